//! Errors in YAML documents.

use thiserror::Error;

use super::position::Position;

/// Maximum nesting depth of lists and mappings. It bounds the stack that parsing and dropping a tree needs.
pub(super) const MAX_DEPTH: usize = 100;

/// Maximum length of a key, in bytes.
pub(super) const MAX_KEY: usize = 1024;

/// A problem in a YAML document, and its position.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{at}: {problem}")]
pub struct YamlError {
    /// The position.
    pub at: Position,
    /// The problem.
    pub problem: Problem,
}

/// A problem in a YAML document.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// Invalid YAML. Contains the parser's message.
    #[error("invalid YAML ({0})")]
    Syntax(String),
    /// More lines than can be repaired have wrong indentation.
    #[error("too many lines inside brackets or quotes are indented less than the lines around them")]
    Indentation,
    /// An alias inside its own anchor.
    #[error("an alias refers to the anchor that contains it")]
    Circular,
    /// Lists and mappings are nested too deeply.
    #[error("lists and mappings are nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// A key that is a list or a mapping.
    #[error("{0} cannot be a key")]
    ComplexKey(&'static str),
    /// A key that is too long.
    #[error("a key is longer than {MAX_KEY} bytes")]
    LongKey,
    /// Two entries of a mapping have the same key.
    #[error("duplicate key `{0}`")]
    DuplicateKey(String),
    /// Two entries of a mapping are merge keys.
    #[error("duplicate key `<<`")]
    DuplicateMerge,
    /// The value of a merge key is not a mapping.
    #[error("`<<` is neither a mapping nor a list of mappings")]
    MergeValue,
    /// The document is too large.
    #[error("the document has more than {limit}")]
    TooLarge {
        /// The limit, such as `8 MiB of text`.
        limit: String,
        /// The element to use less of.
        of: &'static str,
    },
    /// More than one document.
    #[error("there is a second document")]
    SecondDocument,
}

impl Problem {
    /// Returns a hint in the imperative.
    pub fn hint(&self) -> String {
        match self {
            Self::Syntax(_) => "check indentation, quotes and brackets up to this position".to_owned(),
            Self::Indentation => "indent them".to_owned(),
            Self::Circular => "remove the alias or the anchor".to_owned(),
            Self::TooDeep => "use fewer levels".to_owned(),
            Self::ComplexKey(_) => "use a string as the key".to_owned(),
            Self::LongKey => "use a shorter key".to_owned(),
            Self::DuplicateKey(_) => "remove one of the entries".to_owned(),
            Self::DuplicateMerge => "combine them, as in `<<: [*a, *b]`".to_owned(),
            Self::MergeValue => "use an alias, as in `<<: *name`".to_owned(),
            Self::TooLarge { of, .. } => format!("shorten it, or use fewer {of}"),
            Self::SecondDocument => "remove the line `---` and what follows it".to_owned(),
        }
    }

    /// Describes the problem without any text of the document, which may be secret.
    pub fn without_text(&self) -> String {
        match self {
            Self::DuplicateKey(_) => "duplicate key".to_owned(),
            other => other.to_string(),
        }
    }
}
