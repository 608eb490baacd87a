//! The comment on the pull request that the input `pr-comment` enables.

use std::time::Duration;

use super::history;
use crate::{
    domain::{
        diagnostic::{Diagnostic, Severity},
        git_event::{GitEvent, GitRef},
        outcome::RunOutcome,
        run::RunState,
    },
    github::{client::ApiError, comments},
    inputs::{runner::RunnerEnv, typed::Inputs},
    report::comment,
    run::saved,
};

/// Names in `GITHUB_STATE`: the text of the comment, and whether it was written.
const COMMENT: &str = "comment";
const SETTLED: &str = "comment-settled";

/// Writes the outcome of the run, and returns a notice if that failed. Takes at most `budget`. A cancelled run writes
/// nothing, so that the comment keeps the outcome of the last complete run.
pub async fn put(
    inputs: &Inputs,
    env: &RunnerEnv,
    event: &GitEvent,
    run: &RunState,
    budget: Duration,
) -> Option<Diagnostic> {
    let GitRef::PullRequest(number) = event.git_ref else { return None };
    if !inputs.github.show.pr_comment
        || inputs.github.dry_run
        || matches!(run.outcome, Some((RunOutcome::Cancelled, _)))
    {
        return None;
    }
    let client = history::client(inputs, env, event)?;
    let marker = marker(inputs, env);
    let body = comment::body(&marker, run);
    // If this fails, the post stage writes no comment.
    let _ = saved::write(env, &[(COMMENT, &body)]);
    let put = tokio::time::timeout(budget, comments::put(&client, number, &marker, &body)).await;
    match put.unwrap_or_else(|_| Err(slow())) {
        Ok(()) => {
            let _ = saved::write(env, &[(SETTLED, "true")]);
            None
        }
        Err(error) => {
            if !error.is_temporary() {
                let _ = saved::write(env, &[(SETTLED, "true")]);
            }
            Some(refused(&error))
        }
    }
}

/// In the post stage, writes the comment that the run failed to write. Takes at most `budget`.
pub async fn repair(inputs: &Inputs, env: &RunnerEnv, event: &GitEvent, budget: Duration) -> Option<Diagnostic> {
    let body = env.state(COMMENT).filter(|_| env.state(SETTLED).is_none())?;
    let GitRef::PullRequest(number) = event.git_ref else { return None };
    let client = history::client(inputs, env, event)?;
    let put = tokio::time::timeout(budget, comments::put(&client, number, &marker(inputs, env), body)).await;
    put.unwrap_or_else(|_| Err(slow())).err().map(|error| refused(&error))
}

fn marker(inputs: &Inputs, env: &RunnerEnv) -> String {
    let workflow = env.var("GITHUB_WORKFLOW_REF").and_then(|text| text.split('@').next()).unwrap_or_default();
    let job = env.var("GITHUB_JOB").unwrap_or_default();
    comment::marker(&[workflow, job, &inputs.project.working_directory])
}

fn slow() -> ApiError {
    ApiError::TimedOut("for a comment".to_owned())
}

fn refused(error: &ApiError) -> Diagnostic {
    let fix = if error.is_refusal() { "; it needs `pull-requests: write` in `permissions`" } else { "" };
    let message = format!("no comment was written: {error}{fix}");
    Diagnostic { severity: Severity::Notice, title: "pull request comment".to_owned(), message, place: None }
}
