//! A comment on a pull request that later runs find and update.
//!
//! API: <https://docs.github.com/en/rest/issues/comments>; needs the permission `pull-requests: write`.

use serde::{Deserialize, Serialize};

use super::client::{ApiError, Client};

const PAGE: usize = 100;
/// Only the first 1,000 comments are searched.
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

/// Creates or updates the comment on the pull request that begins with `marker`. `body` begins with it too.
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
        if let Some(own) = comments.iter().find(|comment| comment.is_own(marker)) {
            return Ok(Some(own.id));
        }
        if last {
            break;
        }
    }
    Ok(None)
}

impl Comment {
    /// Whether this action may have written it. Anyone can copy the marker, so comments of other users are not updated.
    fn is_own(&self, marker: &str) -> bool {
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
    fn comments_of_others_are_not_updated() {
        let ours = |kind: &str, association: &str, body: &str| {
            let comment = json!({"id": 1, "body": body, "user": {"type": kind}, "author_association": association});
            serde_json::from_value::<Comment>(comment).unwrap().is_own("<!-- m -->")
        };
        assert!(ours("Bot", "NONE", "<!-- m -->\nx"));
        assert!(ours("User", "COLLABORATOR", "<!-- m -->\nx"));
        assert!(!ours("User", "CONTRIBUTOR", "<!-- m -->\nx"));
        assert!(!ours("Bot", "NONE", "quoted: <!-- m -->"));
    }
}
