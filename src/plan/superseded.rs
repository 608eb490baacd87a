//! Prevents an older commit from taking tags back from a newer one, since runs of one branch may finish in any order.
//!
//! The run asks GitHub for the head of its branch ([`question`]). The moving tags ([`moving`]) are left unchanged if the
//! head is another commit, and the registry has an image of the head, or has an image of another descendant of the run's
//! commit under a moving tag. All other tags are pushed. The registry has an image of the head if it has the head's own tag
//! ([`tag_of_commit`]), or, if the rules make no such tag, if the label [`REVISION`] of the image under a moving tag names
//! the head. A moving tag that does not exist in the registry yet is always pushed, since it replaces nothing.

use super::ImagePlan;
use crate::domain::{
    git_event::{GitEvent, GitRef},
    tag::Tag,
};

/// The label that names an image's commit. Anyone who can push to the repository can set it, so it proves nothing else.
pub const REVISION: &str = "org.opencontainers.image.revision";

/// The question to GitHub: is this commit the head of this branch?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// The branch's short name.
    pub branch: &'a str,
    /// The commit that is expected to be its head.
    pub sha: &'a str,
}

/// Returns the branch and the commit expected to be its head. `None` for events that no later commit supersedes (releases,
/// pull requests and merge groups, which have their own tags) and for runs outside GitHub.
pub fn question(event: &GitEvent) -> Option<Question<'_>> {
    let GitRef::Branch(branch) = &event.git_ref else { return None };
    let sha = event.sha.as_str();
    let is_commit = matches!(sha.len(), 40 | 64) && sha.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_commit.then_some(Question { branch, sha })
}

/// Returns the tags of an image that the next commit of the branch gets too, such as the branch's name, `latest` and
/// `nightly`. They are in the order of [`ImagePlan::tags`].
pub fn moving(image: &ImagePlan) -> Vec<&Tag> {
    image.destinations.tags.iter().filter(|tag| image.movement.moving().contains(tag)).collect()
}

/// Returns the tag that the rules make for a given commit of the branch and for no other. `None` if no rule makes one, or
/// if it depends on more than the commit.
pub fn tag_of_commit(image: &ImagePlan, sha: &str) -> Option<Tag> {
    image.movement.tag_of_commit(sha)
}

#[cfg(test)]
mod tests {
    use super::{Question, question};
    use crate::domain::git_event::{GitEvent, GitRef};

    #[test]
    fn only_commits_of_branches_are_superseded() {
        let sha = "0123456789abcdef0123456789abcdef01234567";
        let event = |name: &str, git_ref, sha: &str| GitEvent {
            name: name.into(),
            git_ref,
            sha: sha.into(),
            ..GitEvent::default()
        };
        for name in ["push", "schedule", "workflow_dispatch", "repository_dispatch", "workflow_run", "pull_request"] {
            let event = event(name, GitRef::Branch("release/1".into()), sha);
            assert_eq!(question(&event), Some(Question { branch: "release/1", sha }), "{name}");
        }
        for git_ref in [GitRef::Tag("v1.2.3".into()), GitRef::PullRequest(7), GitRef::MergeGroup(7), GitRef::Unknown] {
            assert_eq!(question(&event("push", git_ref.clone(), sha)), None, "{git_ref:?}");
        }
        for odd in ["", "0123456", "../../../../../../../../../../../../../../"] {
            assert_eq!(question(&event("push", GitRef::Branch("main".into()), odd)), None, "{odd}");
        }
    }
}
