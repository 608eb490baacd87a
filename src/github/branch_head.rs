//! Determines whether a commit is still the newest of its branch, and which of two commits is newer.
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

/// Total time for the answer, including retries.
const TOTAL: Duration = Duration::from_secs(4);
/// How long GitHub may return an outdated head after a push, which would make the newest commit appear superseded.
const LAG: Duration = Duration::from_secs(1);

/// The relation of a commit to its branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// It is the newest commit.
    Head,
    /// Another commit is the newest, after a later push or a force-push.
    Behind {
        /// The newest commit.
        head: String,
    },
    /// Unknown: GitHub did not answer, or the branch does not exist anymore. Contains the reason.
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

/// Determines whether `sha` is the head of `branch`, given by its short name. A commit counts as behind only if GitHub says
/// so twice, with a pause in between.
pub async fn head(client: &Client, branch: &str, sha: &str) -> Head {
    let answer = async {
        let first = current(client, branch).await?;
        if first.eq_ignore_ascii_case(sha) {
            return Ok(first);
        }
        sleep(LAG).await;
        current(client, branch).await
    };
    let timed_out = || Err(ApiError::TimedOut(format!("for the head of {branch}")));
    match timeout(TOTAL, answer).await.unwrap_or_else(|_| timed_out()) {
        Ok(head) if head.eq_ignore_ascii_case(sha) => Head::Head,
        Ok(head) => Head::Behind { head },
        Err(ApiError::Refused { status: 404, .. }) => {
            Head::Unknown(format!("the branch {branch} does not exist, or the token cannot read it"))
        }
        Err(error) => Head::Unknown(error.to_string()),
    }
}

#[derive(Deserialize)]
struct Comparison {
    status: String,
}

/// Whether `other` is a descendant of `sha`.
///
/// # Errors
/// If GitHub does not answer in time or refuses the request.
pub async fn is_newer(client: &Client, other: &str, sha: &str) -> Result<bool, ApiError> {
    let path = format!("/compare/{}...{}", percent_encoded(sha), percent_encoded(other));
    // The second page omits the list of changed files, which is not needed here.
    let query = [("per_page", "1".to_owned()), ("page", "2".to_owned())];
    let answer = retry::with_retries("the comparison of two commits", || client.get::<Comparison>(&path, &query));
    let timed_out = || Err(ApiError::TimedOut("for the comparison of two commits".to_owned()));
    Ok(timeout(TOTAL, answer).await.unwrap_or_else(|_| timed_out())?.status == "ahead")
}

/// The newest commit of a branch.
async fn current(client: &Client, branch: &str) -> Result<String, ApiError> {
    let segments: Vec<String> = branch.split('/').map(percent_encoded).collect();
    let path = format!("/git/ref/heads/{}", segments.join("/"));
    let answer: Reference = retry::with_retries("the head of the branch", || client.get(&path, &[])).await?;
    let sha = answer.object.sha;
    let is_commit = matches!(sha.len(), 40 | 64) && sha.bytes().all(|byte| byte.is_ascii_hexdigit());
    if answer.name != format!("refs/heads/{branch}") || !is_commit {
        return Err(ApiError::Unreachable { path, reason: "the answer is about another branch".to_owned() });
    }
    Ok(sha)
}
