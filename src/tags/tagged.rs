//! The tags of an image, or the error that prevents deciding them.

use thiserror::Error;

use super::names::RenderError;
use crate::domain::tag::Tag;

/// The tags of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tagged {
    /// The tags; the first is the version. Without duplicates in [`Dialect::Repaired`]. Not empty if there are no
    /// rules.
    ///
    /// [`Dialect::Repaired`]: super::language::Dialect::Repaired
    pub tags: Vec<Tag>,
    /// The tags that identify neither a version nor a commit, according to the kinds of their rules.
    pub moving: Vec<Tag>,
    /// Reasons why rules created no tag although their kind applies to the event.
    pub warnings: Vec<String>,
    /// The same, for reasons that are no mistake.
    pub notices: Vec<String>,
}

/// The reason why the tags cannot be decided.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TagError {
    /// A rule is invalid.
    #[error("line {line}, `{written}`: {reason}")]
    Rule {
        /// The rule's line in the input, from 1.
        line: usize,
        /// The rule as written.
        written: String,
        /// The reason.
        reason: RuleError,
    },
    /// The flavor is invalid.
    #[error("input `flavor`: {0}")]
    Flavor(RenderError),
}

impl TagError {
    /// Returns a hint in the imperative.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Rule { reason, .. } => reason.hint(),
            Self::Flavor(reason) => reason.hint(),
        }
    }
}

/// The reason why a rule is invalid.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RuleError {
    /// A template cannot be rendered.
    #[error(transparent)]
    Expression(#[from] RenderError),
    /// `enable` is neither `true` nor `false`.
    #[error("`enable` is `{0}`, not `true` or `false`")]
    Enable(String),
    /// A regular expression is invalid.
    #[error("invalid regular expression: {0}")]
    Pattern(String),
    /// A regular expression takes too long.
    #[error("{0}")]
    Slow(String),
    /// `match` has no group.
    #[error("`match={0}` has no group")]
    NoGroup(String),
}

impl RuleError {
    fn hint(&self) -> &'static str {
        match self {
            Self::Expression(reason) => reason.hint(),
            Self::Enable(_) => "use `true`, `false`, or an expression that renders to one of them",
            Self::Pattern(_) => "correct `pattern` or `match`",
            Self::Slow(_) => "simplify `pattern` or `match`: avoid repetitions inside or next to each other",
            Self::NoGroup(_) => "put the version in parentheses",
        }
    }
}
