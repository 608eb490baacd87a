//! Facts about the repository and a commit from GitHub's API, for labels and tag rules that need more than the event.

use std::time::Duration;

use serde::{Deserialize, de::DeserializeOwned};

use super::client::{ApiError, Client};

/// Maximum time to wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Facts about a repository (<https://docs.github.com/en/rest/repos/repos#get-a-repository>).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Repository {
    /// Name of the default branch.
    pub default_branch: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// Its license.
    pub license: Option<License>,
}

/// A license as detected by GitHub.
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

/// Fetches the repository of the client.
pub async fn repository(client: &Client) -> Result<Repository, ApiError> {
    get(client, "").await
}

/// Fetches the time of a commit in RFC 3339 format (<https://docs.github.com/en/rest/commits/commits#get-a-commit>).
pub async fn commit_time(client: &Client, sha: &str) -> Result<Option<String>, ApiError> {
    let answer: CommitAnswer = get(client, &format!("/commits/{sha}")).await?;
    Ok(answer.commit.committer.and_then(|committer| committer.date))
}

async fn get<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, ApiError> {
    let answer = tokio::time::timeout(TIMEOUT, client.get(path, &[])).await;
    answer.unwrap_or_else(|_| Err(ApiError::TimedOut(format!("for {path}"))))
}
