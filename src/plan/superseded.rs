//! Runs of one branch may end in either order: which tags an older commit must not take back from a newer one.
//!
//! The rule: the run asks GitHub for the head of its branch ([`question`]). If that is another commit, and the registry
//! already has the image of that commit, or has the image of another descendant of the run's commit under a moving tag, the
//! tags that move ([`moving`]) stay where they are; the other tags are pushed. The registry has the head's image if it has
//! the commit's own tag ([`tag_of_commit`]), or, where the rules make no such tag, if
//! the image under a moving tag says in its label [`REVISION`] that it was built from the commit. A moving tag that the
//! registry does not have yet takes nothing back, so that it can be pushed in any case.

use super::ImagePlan;
use crate::domain::{
    git_event::{GitEvent, GitRef},
    tag::Tag,
};

/// The label that names an image's commit. The image may be anybody's who can push to the repository, so that the label
/// is no proof of anything else.
pub const REVISION: &str = "org.opencontainers.image.revision";

/// What GitHub is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// The branch's short name.
    pub branch: &'a str,
    /// The commit that should be its head.
    pub sha: &'a str,
}

/// The branch whose head an event's commit should be. `None` for events that no later commit supersedes: releases, pull
/// requests and merge groups, whose tags are their own, and runs outside GitHub.
pub fn question(event: &GitEvent) -> Option<Question<'_>> {
    let GitRef::Branch(branch) = &event.git_ref else { return None };
    let sha = event.sha.as_str();
    let is_commit = matches!(sha.len(), 40 | 64) && sha.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_commit.then_some(Question { branch, sha })
}

/// The tags of an image that the next commit of the branch gets too: the branch's, `latest`, `nightly`. In the order of
/// [`ImagePlan::tags`], among which they are.
pub fn moving(image: &ImagePlan) -> Vec<&Tag> {
    image.destinations.tags.iter().filter(|tag| image.movement.moving().contains(tag)).collect()
}

/// The tag that another commit of the branch has and no third. `None` if the rules make none, or none that the commit
/// alone decides.
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
