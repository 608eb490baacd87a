//! The branch that a run publishes for.

use crate::github::{
    branch_head::{self, Head},
    client::Client,
};

/// The branch that a run publishes for, and the commit that it builds.
#[derive(Clone, Debug)]
pub struct Branch {
    /// The client for GitHub's API.
    pub client: Client,
    /// The branch's short name.
    pub name: String,
    /// The commit.
    pub sha: String,
}

impl Branch {
    /// Asks GitHub for the relation of the commit to the branch now.
    pub(super) async fn head(&self) -> Head {
        branch_head::head(&self.client, &self.name, &self.sha).await
    }

    /// Whether another commit is a descendant of this one. Also true if GitHub does not answer.
    pub(super) async fn is_older_than(&self, other: &str) -> bool {
        branch_head::is_newer(&self.client, other, &self.sha).await.unwrap_or(true)
    }
}
