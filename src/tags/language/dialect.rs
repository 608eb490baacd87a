//! The two dialects of the tag language.

use crate::domain::tag::Tag;

/// The degree of compatibility with docker/metadata-action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Compatible, except that mistakes are errors and invalid tags are repaired.
    #[default]
    Repaired,
    /// Fully compatible, including its quirks: `tag-compat: true`.
    Exact,
}

impl Dialect {
    /// Creates a tag from any text.
    pub(in crate::tags) fn tag(self, text: &str) -> Tag {
        match self {
            Self::Repaired => Tag::repaired(text),
            Self::Exact => Tag::exact(text),
        }
    }
}
