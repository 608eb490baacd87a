//! What GitHub's API tells of the repository and of a commit, for labels and rules that the event says too little for.

use std::time::Duration;

use octocrab::Octocrab;
use serde::{Deserialize, de::DeserializeOwned};

use super::api::{ApiError, reason};
use crate::{domain::secret::Secret, http};

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

/// The repository `owner/repo`.
pub async fn repository(api: &str, token: &Secret, owner: &str, repo: &str) -> Result<Repository, ApiError> {
    get(api, token, &format!("/repos/{owner}/{repo}")).await
}

/// When a commit was made, RFC 3339 (<https://docs.github.com/en/rest/commits/commits#get-a-commit>).
pub async fn commit_time(
    api: &str,
    token: &Secret,
    owner: &str,
    repo: &str,
    sha: &str,
) -> Result<Option<String>, ApiError> {
    let answer: CommitAnswer = get(api, token, &format!("/repos/{owner}/{repo}/commits/{sha}")).await?;
    Ok(answer.commit.committer.and_then(|committer| committer.date))
}

async fn get<T: DeserializeOwned>(api: &str, token: &Secret, path: &str) -> Result<T, ApiError> {
    http::install_crypto();
    let refused = |error: &octocrab::Error| ApiError::Request { path: path.to_owned(), reason: reason(error) };
    let client = Octocrab::builder()
        .base_uri(api)
        .map_err(|_| ApiError::Url(api.to_owned()))?
        .personal_token(token.expose().to_owned())
        .build()
        .map_err(|error| refused(&error))?;
    match tokio::time::timeout(TIMEOUT, client.get(path, None::<&()>)).await {
        Ok(answer) => answer.map_err(|error| refused(&error)),
        Err(_) => Err(ApiError::TimedOut(path.to_owned())),
    }
}
