//! Facts about the repository that the event does not contain.

use std::time::Duration;

use tokio::time::timeout;

use super::observers::history;
use crate::{
    domain::git_event::GitEvent,
    github::repository,
    inputs::{runner::RunnerEnv, typed::Inputs},
    tags::language::{Dialect, PullRequestSha},
};

/// Asks GitHub for facts that labels and rules need and the event does not contain. Facts without an answer stay
/// unknown: a build must not fail because of a label. Takes at most `limit`.
pub async fn learn(event: &mut GitEvent, inputs: &Inputs, env: &RunnerEnv, limit: Duration) {
    let Some(client) = history::client(inputs, env, event) else { return };
    // A payload that contains the repository contains all of these facts.
    let facts = async {
        if event.default_branch.is_some() {
            return None;
        }
        timeout(limit, repository::repository(&client)).await.ok()?.ok()
    };
    let tags = &inputs.names.tags;
    let sha = match (tags.dialect, tags.sha.of_pull_request) {
        (Dialect::Exact, PullRequestSha::Merge) => &event.workflow_sha,
        _ => &event.sha,
    };
    let time = async {
        if event.commit_time.is_some() || sha.is_empty() {
            return None;
        }
        timeout(limit, repository::commit_time(&client, sha)).await.ok()?.ok().flatten()
    };
    let (facts, time) = futures_util::future::join(facts, time).await;
    if let Some(facts) = facts {
        event.default_branch = facts.default_branch;
        event.description = facts.description.filter(|text| !text.trim().is_empty());
        event.license = facts.license.and_then(|license| license.spdx_id);
    }
    event.commit_time = time.or_else(|| event.commit_time.take());
}
