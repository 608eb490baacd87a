//! The two dialects of the tag language.

use crate::domain::tag::Tag;

/// How closely docker/metadata-action is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Mistakes are errors, and invalid tags are repaired.
    #[default]
    Repaired,
    /// Exactly, including its quirks: `tag-compat: true`.
    Exact,
}

impl Dialect {
    /// Makes a tag from any text.
    pub(in crate::tags) fn tag(self, text: &str) -> Tag {
        match self {
            Self::Repaired => Tag::repaired(text),
            Self::Exact => Tag::exact(text),
        }
    }
}
