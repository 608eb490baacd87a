//! The facts that determine tags, in addition to the inputs.

use super::names::Facts;
use crate::domain::git_event::GitEvent;

/// The facts that determine tags, in addition to the inputs.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The event that started the run.
    pub event: &'a GitEvent,
    /// Facts about the event that expressions can use.
    pub facts: &'a Facts<'a>,
    /// The repository's Git tags. A release moves `latest` only if no Git tag is a higher version.
    pub git_tags: GitTags<'a>,
}

/// The repository's Git tags, if known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GitTags<'a> {
    /// Not requested, for example because there is no token. Every final version moves `latest` then, as with
    /// docker/metadata-action.
    #[default]
    Unasked,
    /// Their short names.
    Known(&'a [String]),
    /// The request to GitHub failed. A higher version may exist, so no version moves `latest`.
    Unreadable,
}

impl GitTags<'_> {
    /// Whether a version moves `latest`. `is_highest` checks that it is final and the highest of the given tags.
    pub(super) fn allow_latest(self, is_highest: impl FnOnce(&[String]) -> bool) -> bool {
        match self {
            Self::Unasked => is_highest(&[]),
            Self::Known(tags) => is_highest(tags),
            Self::Unreadable => false,
        }
    }
}
