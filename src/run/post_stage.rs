//! Tells the runner whether the post stage is needed, with a variable that `post-if` in `action.yml` reads. It saves the start
//! of a container in most jobs.
//!
//! All steps of a job share the variable, and all post stages run after the last step. So a step that finds the post stage
//! needed by an earlier step leaves it at that.

use std::path::Path;

use crate::{
    github::files::{RunnerFile, assignments},
    inputs::runner::RunnerEnv,
};

/// The variable.
pub const VARIABLE: &str = "BUILD_DEPLOY_POST";
/// Its value if no step left anything to repair.
pub const NOT_NEEDED: &str = "not-needed";
/// Its value if a step did, or was killed.
const NEEDED: &str = "needed";

/// Requests the post stage. Called before anything is started, because a process that is killed cannot request it.
pub fn request(env: &RunnerEnv) {
    write(env, NEEDED);
}

/// Withdraws the request of this step.
pub fn withdraw(env: &RunnerEnv) {
    if env.var(VARIABLE) != Some(NEEDED) {
        write(env, NOT_NEEDED);
    }
}

fn write(env: &RunnerEnv, value: &str) {
    if let Some(path) = env.var(RunnerFile::Env.variable())
        && let Ok(text) = assignments([(VARIABLE, value)], rand::random())
    {
        // Without the variable, the post stage runs.
        let _ = RunnerFile::Env.append(Path::new(path), &text);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{VARIABLE, request, withdraw};
    use crate::inputs::runner::RunnerEnv;

    /// The value that the variable has after a step, if it had `before`.
    fn after(before: Option<&str>, step: impl Fn(&RunnerEnv)) -> Option<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let variables = before.map(|value| (VARIABLE, value)).into_iter().chain([("GITHUB_ENV", path)]);
        step(&RunnerEnv::new(variables));
        // The last assignment counts: name and delimiter, value, delimiter.
        let text = fs::read_to_string(path).unwrap();
        text.lines().rev().nth(1).or(before).map(str::to_owned)
    }

    #[test]
    fn a_step_that_ends_needs_no_post_stage() {
        let step = |env: &RunnerEnv| {
            request(env);
            withdraw(env);
        };
        assert_eq!(after(None, step).as_deref(), Some("not-needed"));
        assert_eq!(after(Some("not-needed"), step).as_deref(), Some("not-needed"));
    }

    #[test]
    fn a_step_that_is_killed_needs_it() {
        assert_eq!(after(None, request).as_deref(), Some("needed"));
        assert_eq!(after(Some("not-needed"), request).as_deref(), Some("needed"));
    }

    #[test]
    fn a_step_does_not_withdraw_the_request_of_another() {
        let step = |env: &RunnerEnv| {
            request(env);
            withdraw(env);
        };
        assert_eq!(after(Some("needed"), step).as_deref(), Some("needed"));
    }
}
