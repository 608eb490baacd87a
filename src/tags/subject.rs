//! What tags are decided from, apart from the inputs.

use super::names::Facts;
use crate::domain::git_event::GitEvent;

/// What tags are decided from, apart from the inputs.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The event that started the run.
    pub event: &'a GitEvent,
    /// Facts about it that expressions can use.
    pub facts: &'a Facts<'a>,
    /// The repository's Git tags. A release moves `latest` only if none of them is a higher version.
    pub git_tags: GitTags<'a>,
}

/// What is known about the repository's Git tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GitTags<'a> {
    /// GitHub was not asked, because there is no token, for example. Every final version moves `latest` then, as with
    /// docker/metadata-action.
    #[default]
    Unasked,
    /// Their short names.
    Known(&'a [String]),
    /// GitHub was asked but did not answer. A higher version may exist, so no version moves `latest`.
    Unreadable,
}

impl GitTags<'_> {
    /// Whether a version moves `latest`. `is_highest` tells whether it is final and the highest among some tags.
    pub(super) fn allow_latest(self, is_highest: impl FnOnce(&[String]) -> bool) -> bool {
        match self {
            Self::Unasked => is_highest(&[]),
            Self::Known(tags) => is_highest(tags),
            Self::Unreadable => false,
        }
    }
}
