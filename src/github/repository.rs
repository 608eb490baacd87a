//! What GitHub's API tells of the repository and of a commit, for labels and rules that the event says too little for.

use std::time::Duration;

use serde::{Deserialize, de::DeserializeOwned};

use super::client::{ApiError, Client};

/// An answer that comes later is not worth the wait.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Facts of a repository (<https://docs.github.com/en/rest/repos/repos#get-a-repository>).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Repository {
    /// Name of the default branch.
    pub default_branch: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Its license.
    pub license: Option<License>,
}

/// A license, as far as GitHub can tell.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct License {
    /// SPDX identifier.
    pub spdx_id: Option<String>,
}

#[derive(Deserialize)]
struct CommitAnswer {
    commit: Commit,
}

#[derive(Deserialize)]
struct Commit {
    committer: Option<Committer>,
}

#[derive(Deserialize)]
struct Committer {
    date: Option<String>,
}

/// The client's repository.
pub async fn repository(client: &Client) -> Result<Repository, ApiError> {
    get(client, "").await
}

/// When a commit was made, RFC 3339 (<https://docs.github.com/en/rest/commits/commits#get-a-commit>).
pub async fn commit_time(client: &Client, sha: &str) -> Result<Option<String>, ApiError> {
    let answer: CommitAnswer = get(client, &format!("/commits/{sha}")).await?;
    Ok(answer.commit.committer.and_then(|committer| committer.date))
}

async fn get<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, ApiError> {
    let answer = tokio::time::timeout(TIMEOUT, client.get(path, &[])).await;
    answer.unwrap_or_else(|_| Err(ApiError::TimedOut(format!("for {path}"))))
}
