//! A comment on a pull request that is found again and changed, not written anew.
//!
//! API: <https://docs.github.com/en/rest/issues/comments>; needs the permission `pull-requests: write`.

use serde::{Deserialize, Serialize};

use super::client::{ApiError, Client};

const PAGE: usize = 100;
/// More than 1,000 comments are not looked through.
const PAGES: usize = 10;

#[derive(Deserialize)]
struct Comment {
    id: u64,
    body: Option<String>,
    user: Option<User>,
    #[serde(default)]
    author_association: String,
}

#[derive(Deserialize)]
struct User {
    #[serde(rename = "type", default)]
    kind: String,
}

#[derive(Serialize)]
struct Body<'a> {
    body: &'a str,
}

/// Writes `body`, which begins with `marker`, as the one comment with this marker on the pull request.
pub async fn put(client: &Client, pull_request: u64, marker: &str, body: &str) -> Result<(), ApiError> {
    let path = format!("/issues/{pull_request}/comments");
    match find(client, &path, marker).await? {
        Some(id) => client.patch::<serde::de::IgnoredAny>(&format!("/issues/comments/{id}"), &Body { body }).await,
        None => client.post(&path, &Body { body }).await,
    }
    .map(drop)
}

async fn find(client: &Client, path: &str, marker: &str) -> Result<Option<u64>, ApiError> {
    for page in 1..=PAGES {
        let query = [("per_page", PAGE.to_string()), ("page", page.to_string())];
        let comments: Vec<Comment> = client.get(path, &query).await?;
        let last = comments.len() < PAGE;
        if let Some(own) = comments.iter().find(|comment| comment.is_ours(marker)) {
            return Ok(Some(own.id));
        }
        if last {
            break;
        }
    }
    Ok(None)
}

impl Comment {
    /// Whether it was written by a token like ours. Anyone may copy the marker; a stranger's comment must not become the
    /// place of what we say.
    fn is_ours(&self, marker: &str) -> bool {
        let trusted = self.user.as_ref().is_some_and(|user| user.kind == "Bot")
            || matches!(self.author_association.as_str(), "OWNER" | "MEMBER" | "COLLABORATOR");
        trusted && self.body.as_ref().is_some_and(|body| body.starts_with(marker))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Comment;

    #[test]
    fn a_strangers_comment_is_never_ours() {
        let ours = |kind: &str, association: &str, body: &str| {
            let comment = json!({"id": 1, "body": body, "user": {"type": kind}, "author_association": association});
            serde_json::from_value::<Comment>(comment).unwrap().is_ours("<!-- m -->")
        };
        assert!(ours("Bot", "NONE", "<!-- m -->\nx"));
        assert!(ours("User", "COLLABORATOR", "<!-- m -->\nx"));
        assert!(!ours("User", "CONTRIBUTOR", "<!-- m -->\nx"));
        assert!(!ours("Bot", "NONE", "quoted: <!-- m -->"));
    }
}
