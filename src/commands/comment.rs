//! The comment on the pull request, with the input `pr-comment`.

use std::time::Duration;

use super::inquiry;
use crate::{
    domain::{
        event::{Diagnostic, Ending, Severity},
        run::RunState,
    },
    github::{client::ApiError, comments},
    inputs::{
        context::{GitEvent, Target},
        runner::RunnerEnv,
        typed::Inputs,
    },
    report::comment,
};

/// Writes how the run ended, and returns a word on it if that could not be. Takes no longer than `budget`. A cancelled run
/// has nothing to say: what stands there is from a run that came to its end.
pub async fn put(
    inputs: &Inputs,
    env: &RunnerEnv,
    event: &GitEvent,
    run: &RunState,
    budget: Duration,
) -> Option<Diagnostic> {
    let Target::PullRequest(number) = event.target else { return None };
    if !inputs.github.show.pr_comment || inputs.github.dry_run || matches!(run.ending, Some((Ending::Cancelled, _))) {
        return None;
    }
    let client = inquiry::client(inputs, env, event)?;
    let workflow = env.var("GITHUB_WORKFLOW_REF").and_then(|text| text.split('@').next()).unwrap_or_default();
    let job = env.var("GITHUB_JOB").unwrap_or_default();
    let marker = comment::marker(&[workflow, job, &inputs.project.working_directory]);
    let body = comment::body(&marker, run);
    let put = tokio::time::timeout(budget, comments::put(&client, number, &marker, &body)).await;
    let error = put.unwrap_or_else(|_| Err(ApiError::TimedOut("for a comment".to_owned()))).err()?;
    let fix = if error.is_refusal() { "; it needs `permissions: pull-requests: write`" } else { "" };
    let message = format!("none is written: {error}{fix}");
    Some(Diagnostic { severity: Severity::Notice, title: "pull request comment".to_owned(), message, place: None })
}
