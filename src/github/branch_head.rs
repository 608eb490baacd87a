//! Whether a commit is still the newest of its branch, and which of two commits is newer.
//!
//! API: <https://docs.github.com/en/rest/git/refs#get-a-reference> and
//! <https://docs.github.com/en/rest/commits/commits#compare-two-commits>; need the permission `contents: read`.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::{
    client::{ApiError, Client, percent_encoded},
    retry,
};

/// How long the answer may take, repetitions included.
const TOTAL: Duration = Duration::from_secs(4);
/// How long GitHub may take to notice a push everywhere. An older answer would call the newest commit superseded.
const LAG: Duration = Duration::from_secs(1);

/// What a commit is to its branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// The newest commit.
    Head,
    /// Another commit is the newest: a later one, or one that a force push put there.
    Behind {
        /// That commit.
        head: String,
    },
    /// GitHub did not tell, or the branch does not exist any more. The text says why and fits behind a colon.
    Unknown(String),
}

#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "ref")]
    name: String,
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    sha: String,
}

/// Asks whether `sha` is the head of `branch`, a short name. A commit is behind only if GitHub says so twice, a moment
/// apart.
pub async fn head(client: &Client, branch: &str, sha: &str) -> Head {
    let asked = async {
        let first = current(client, branch).await?;
        if first.eq_ignore_ascii_case(sha) {
            return Ok(first);
        }
        sleep(LAG).await;
        current(client, branch).await
    };
    let slow = || Err(ApiError::TimedOut(format!("for the head of {branch}")));
    match timeout(TOTAL, asked).await.unwrap_or_else(|_| slow()) {
        Ok(head) if head.eq_ignore_ascii_case(sha) => Head::Head,
        Ok(head) => Head::Behind { head },
        Err(ApiError::Refused { status: 404, .. }) => {
            Head::Unknown(format!("the branch {branch} does not exist any more, or the token may not read it"))
        }
        Err(error) => Head::Unknown(error.to_string()),
    }
}

#[derive(Deserialize)]
struct Comparison {
    status: String,
}

/// Whether `other` is a descendant of `sha`: a newer commit of the same line.
///
/// # Errors
/// GitHub did not tell.
pub async fn is_newer(client: &Client, other: &str, sha: &str) -> Result<bool, ApiError> {
    let path = format!("/compare/{}...{}", percent_encoded(sha), percent_encoded(other));
    // Only the first page lists the files that changed, of which nothing is needed here.
    let query = [("per_page", "1".to_owned()), ("page", "2".to_owned())];
    let asked = retry::patiently("how two commits compare", || client.get::<Comparison>(&path, &query));
    let slow = || Err(ApiError::TimedOut("how two commits compare".to_owned()));
    Ok(timeout(TOTAL, asked).await.unwrap_or_else(|_| slow())?.status == "ahead")
}

/// The newest commit of a branch.
async fn current(client: &Client, branch: &str) -> Result<String, ApiError> {
    let segments: Vec<String> = branch.split('/').map(percent_encoded).collect();
    let path = format!("/git/ref/heads/{}", segments.join("/"));
    let answer: Reference = retry::patiently("the head of the branch", || client.get(&path, &[])).await?;
    let sha = answer.object.sha;
    let is_commit = matches!(sha.len(), 40 | 64) && sha.bytes().all(|byte| byte.is_ascii_hexdigit());
    if answer.name != format!("refs/heads/{branch}") || !is_commit {
        return Err(ApiError::Unreachable { path, reason: "the answer is not about this branch".to_owned() });
    }
    Ok(sha)
}
