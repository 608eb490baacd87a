//! The fields of the event's payload (`GITHUB_EVENT_PATH`) that this program uses.
//!
//! Every field may be absent, null or of another type. Fields of an unexpected type are ignored, since a build must not
//! fail because of a commit message. Shapes: <https://github.com/octokit/webhooks>. All text in the payload is
//! untrusted.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Map, Value};
use thiserror::Error;

/// Error for a payload that is not a JSON object.
#[derive(Debug, Error)]
#[error("the event's payload is no JSON object: {0}")]
pub struct PayloadError(#[source] serde_json::Error);

/// The event's payload.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Payload {
    /// The repository that the workflow runs in.
    #[serde(deserialize_with = "lenient")]
    pub repository: Option<Repository>,
    /// `push`: the newest commit; null if the branch was deleted.
    #[serde(deserialize_with = "lenient")]
    pub head_commit: Option<Commit>,
    /// `push`: the new commits of a branch.
    #[serde(deserialize_with = "lenient")]
    pub commits: Option<Vec<Commit>>,
    /// `push` of a tag: full name of the branch that the tag is on, if GitHub can determine it.
    #[serde(deserialize_with = "lenient")]
    pub base_ref: Option<String>,
    /// `pull_request` and related events.
    #[serde(deserialize_with = "lenient")]
    pub pull_request: Option<PullRequest>,
    /// `merge_group`.
    #[serde(deserialize_with = "lenient")]
    pub merge_group: Option<MergeGroup>,
    /// `release`.
    #[serde(deserialize_with = "lenient")]
    pub release: Option<Release>,
    /// `workflow_run`.
    #[serde(deserialize_with = "lenient")]
    pub workflow_run: Option<WorkflowRun>,
}

/// A repository.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Repository {
    /// `owner/name`.
    #[serde(deserialize_with = "lenient")]
    pub full_name: Option<String>,
    /// Name without its owner.
    #[serde(deserialize_with = "lenient")]
    pub name: Option<String>,
    /// Description.
    #[serde(deserialize_with = "lenient")]
    pub description: Option<String>,
    /// URL of its page.
    #[serde(deserialize_with = "lenient")]
    pub html_url: Option<String>,
    /// Name of the default branch.
    #[serde(deserialize_with = "lenient")]
    pub default_branch: Option<String>,
    /// License, if GitHub detected one.
    #[serde(deserialize_with = "lenient")]
    pub license: Option<License>,
}

/// A license.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct License {
    /// SPDX identifier.
    #[serde(deserialize_with = "lenient")]
    pub spdx_id: Option<String>,
}

/// A commit.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Commit {
    /// 40 hex digits.
    #[serde(deserialize_with = "lenient")]
    pub id: Option<String>,
    /// The whole message, with all its lines.
    #[serde(deserialize_with = "lenient")]
    pub message: Option<String>,
    /// Commit time, RFC 3339.
    #[serde(deserialize_with = "lenient")]
    pub timestamp: Option<String>,
}

/// A pull request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PullRequest {
    /// Its number.
    #[serde(deserialize_with = "lenient")]
    pub number: Option<u64>,
    /// Its title.
    #[serde(deserialize_with = "lenient")]
    pub title: Option<String>,
    /// The branch to merge.
    #[serde(deserialize_with = "lenient")]
    pub head: Option<Side>,
    /// The branch to merge into.
    #[serde(deserialize_with = "lenient")]
    pub base: Option<Side>,
}

/// The head or base of a pull request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Side {
    /// 40 hex digits.
    #[serde(deserialize_with = "lenient")]
    pub sha: Option<String>,
    /// Short name of the branch.
    #[serde(rename = "ref", deserialize_with = "lenient")]
    pub reference: Option<String>,
    /// Its repository; null if a fork was deleted.
    #[serde(deserialize_with = "lenient")]
    pub repo: Option<Repository>,
}

/// A merge group.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MergeGroup {
    /// 40 hex digits.
    #[serde(deserialize_with = "lenient")]
    pub head_sha: Option<String>,
    /// The merge commit.
    #[serde(deserialize_with = "lenient")]
    pub head_commit: Option<Commit>,
}

/// A release.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Release {
    /// Its title.
    #[serde(deserialize_with = "lenient")]
    pub name: Option<String>,
}

/// A run of another workflow.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct WorkflowRun {
    /// The commit that it ran on.
    #[serde(deserialize_with = "lenient")]
    pub head_commit: Option<Commit>,
}

impl Payload {
    /// Parses a payload. Fails only if the text is not a JSON object.
    pub fn read(json: &str) -> Result<Self, PayloadError> {
        // Parses into a map first, since a derived `Deserialize` also accepts a JSON array for a struct.
        let fields: Map<String, Value> = serde_json::from_str(json).map_err(PayloadError)?;
        serde_json::from_value(Value::Object(fields)).map_err(PayloadError)
    }

    /// Returns the commit with this id. If the payload contains it several times, the copy with the most detail is
    /// returned.
    pub fn commit(&self, sha: &str) -> Option<&Commit> {
        let group = self.merge_group.as_ref().and_then(|group| group.head_commit.as_ref());
        let run = self.workflow_run.as_ref().and_then(|run| run.head_commit.as_ref());
        let all = [self.head_commit.as_ref(), group, run].into_iter().flatten().chain(self.commits.iter().flatten());
        all.into_iter().find(|commit| commit.id.as_deref() == Some(sha))
    }
}

/// Deserializes a field, or returns `None` if its type is not the expected one.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

#[cfg(test)]
mod tests {
    use super::Payload;

    #[test]
    fn odd_fields_are_left_out() {
        let json = r#"{"head_commit": null, "repository": {"name": 7, "full_name": "o/r", "license": []},
                       "pull_request": {"number": "9", "title": "t", "head": {"sha": "a", "repo": null}}}"#;
        let payload = Payload::read(json).unwrap();
        let repository = payload.repository.unwrap();
        assert_eq!((repository.name, repository.full_name.as_deref()), (None, Some("o/r")));
        let pull_request = payload.pull_request.unwrap();
        assert_eq!((pull_request.number, pull_request.title.as_deref()), (None, Some("t")));
        assert!(pull_request.head.unwrap().repo.is_none());
        assert!(payload.head_commit.is_none());
        assert!(Payload::read("{}").is_ok());
        assert!(Payload::read("[").is_err());
    }
}
