//! GitHub's API, by octocrab. Everything here is best effort: a run without a token, or whose token may not, goes on.

use std::time::Duration;

use serde::Deserialize;

use super::client::{ApiError, Client};
use crate::domain::secret::Secret;

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
    let client = Client::new(api, token, owner, repo)?;
    let all = async {
        let mut names = Vec::new();
        for page in 1..=PAGES {
            let query = [("per_page", PAGE.to_string()), ("page", page.to_string())];
            let answer: Vec<TagAnswer> = client.get("/tags", &query).await?;
            let last = answer.len() < PAGE;
            names.extend(answer.into_iter().map(|tag| tag.name));
            if last {
                break;
            }
        }
        Ok(names)
    };
    let slow = || Err(ApiError::TimedOut(format!("for the tags of {owner}/{repo}")));
    tokio::time::timeout(TIMEOUT, all).await.unwrap_or_else(|_| slow())
}
