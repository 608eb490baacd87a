//! GitHub's API, by octocrab. Everything here is best effort: a run without a token, or whose token may not, goes on.

use std::{error::Error as _, time::Duration};

use octocrab::Octocrab;
use serde::Deserialize;
use thiserror::Error;

use crate::{domain::secret::Secret, http};

/// Why GitHub did not answer.
#[derive(Debug, Error)]
pub enum ApiError {
    /// The address is wrong.
    #[error("GITHUB_API_URL `{0}` is no URL")]
    Url(String),
    /// It refused, or could not be reached.
    #[error("ask GitHub for {path}: {reason}")]
    Request {
        /// What was asked for.
        path: String,
        /// Why.
        reason: String,
    },
    /// It is too slow.
    #[error("GitHub did not answer {0} within {limit} s", limit = TIMEOUT.as_secs())]
    TimedOut(String),
}

/// An answer that comes later is not worth the wait.
const TIMEOUT: Duration = Duration::from_secs(10);
/// GitHub's largest page, and how many are read: more than 1,000 tags are not looked through.
const PAGE: usize = 100;
const PAGES: usize = 10;

#[derive(Deserialize)]
struct TagAnswer {
    name: String,
}

/// The short names of the repository's Git tags
/// (<https://docs.github.com/en/rest/repos/repos#list-repository-tags>).
pub async fn git_tags(api: &str, token: &Secret, owner: &str, repo: &str) -> Result<Vec<String>, ApiError> {
    http::install_crypto();
    let path = format!("/repos/{owner}/{repo}/tags");
    let refused = |error: &octocrab::Error| ApiError::Request { path: path.clone(), reason: reason(error) };
    let client = Octocrab::builder()
        .base_uri(api)
        .map_err(|_| ApiError::Url(api.to_owned()))?
        .personal_token(token.expose().to_owned())
        .build()
        .map_err(|error| refused(&error))?;
    let all = async {
        let mut names = Vec::new();
        for page in 1..=PAGES {
            let query = [("per_page", PAGE), ("page", page)];
            let answer: Vec<TagAnswer> = client.get(&path, Some(&query)).await.map_err(|error| refused(&error))?;
            let last = answer.len() < PAGE;
            names.extend(answer.into_iter().map(|tag| tag.name));
            if last {
                break;
            }
        }
        Ok(names)
    };
    tokio::time::timeout(TIMEOUT, all).await.unwrap_or_else(|_| Err(ApiError::TimedOut(path.clone())))
}

/// GitHub's own words where it answered.
pub(super) fn reason(error: &octocrab::Error) -> String {
    match error {
        octocrab::Error::GitHub { source, .. } => source.message.clone(),
        other => other.source().map_or_else(|| "no answer".to_owned(), ToString::to_string),
    }
}
