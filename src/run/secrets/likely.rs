//! Values that look like secrets but were not passed as secrets.
//!
//! A step's `env:` may contain secrets, and a compose file may write them into build arguments (`${STEP_SECRET}`),
//! whose values BuildKit shows in the names of steps. GitHub masks its secrets only in its own log, so messages are
//! redacted here. These values are not masked in the runner's log, because the runner drops every output that contains
//! a masked text, and some of them are not secret.

use crate::{
    domain::{
        secrecy::{is_word, looks_random, names_a_secret},
        secret::Secret,
    },
    inputs::{runner::RunnerEnv, typed::Inputs},
    plan::Plan,
};

/// Returns the values of variables that are named like a secret, such as `NPM_TOKEN`, unless they are a word.
pub fn of_environment(env: &RunnerEnv) -> Vec<Secret> {
    let named = env.vars().filter(|(name, value)| is_users(name) && names_a_secret(name) && !is_word(value));
    named.map(|(_, value)| Secret::new(value)).collect()
}

/// Returns values in build arguments: those of arguments that are named like a secret, unless they are a word; and
/// those that look random and come from the input `build-args` or an environment variable, unless they are public
/// facts.
pub fn of_plan(plan: &Plan, inputs: &Inputs, env: &RunnerEnv) -> Vec<Secret> {
    let arguments = || plan.images.iter().flat_map(|image| &image.build.args);
    let named =
        arguments().filter(|(name, value)| names_a_secret(name) && !is_word(value)).map(|(_, value)| value.as_str());
    let of_images = inputs.project.images.iter().flat_map(|image| &image.build_args);
    let given = inputs.build.args.iter().chain(of_images).map(|(_, value)| value.as_str());
    let variables = env.vars().filter(|(name, _)| is_users(name) && !is_runners(name)).map(|(_, value)| value);
    let passed = variables.filter(|value| looks_random(value) && arguments().any(|(_, shown)| shown.contains(value)));
    let is_public = |value: &str| {
        let facts = env.vars().filter(|(name, _)| is_runners(name) && !names_a_secret(name)).map(|(_, fact)| fact);
        value.starts_with('/') || facts.chain([plan.event.sha.as_str()]).any(|fact| fact.contains(value))
    };
    let random = given.filter(|value| looks_random(value)).chain(passed).filter(|value| !is_public(value));
    named.chain(random).map(Secret::new).collect()
}

/// Whether a variable is not one of this action's own.
fn is_users(name: &str) -> bool {
    !["INPUT_", "STATE_"].iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a variable is set by the runner.
fn is_runners(name: &str) -> bool {
    ["GITHUB_", "RUNNER_", "ACTIONS_"].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::of_environment;
    use crate::inputs::runner::RunnerEnv;

    #[test]
    fn variables_are_secret_by_their_name() {
        let env = RunnerEnv::new([
            ("STEP_SECRET", "hunter2"),
            ("NPM_TOKEN", "npm-x1"),
            ("DB_PASSWORD", "postgres"),
            ("VERSION", "a1B2c3D4e5F6g7H8i9J0"),
            ("SSH_AUTH_SOCK", "/tmp/agent"),
            ("INPUT_SECRETS", "one=two"),
            ("EMPTY_TOKEN", ""),
        ]);
        let values: Vec<String> = of_environment(&env).iter().map(|secret| secret.expose().to_owned()).collect();
        assert_eq!(values, ["npm-x1", "hunter2"]);
    }
}
