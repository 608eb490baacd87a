//! Why a text is not a valid document.

use thiserror::Error;

use super::position::Position;

/// How deep lists and mappings may be nested. The limit bounds the stack that parsing and dropping a tree takes.
pub(super) const MAX_DEPTH: usize = 100;

/// Maximum length of a key, in bytes.
pub(super) const MAX_KEY: usize = 1024;

/// Why a text is not a valid document.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{at}: {problem}")]
pub struct YamlError {
    /// Where.
    pub at: Position,
    /// Why.
    pub problem: Problem,
}

/// What is wrong with a document.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// It is not YAML. Holds the parser's message.
    #[error("invalid YAML ({0})")]
    Syntax(String),
    /// More lines are indented wrongly than are repaired.
    #[error("too many lines inside brackets or quotes are indented less than the lines around them")]
    Indentation,
    /// An alias inside its own anchor.
    #[error("an alias refers to the anchor that contains it")]
    Circular,
    /// Lists and mappings are nested too deep.
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
    /// A merge key with another value than mappings.
    #[error("`<<` is neither a mapping nor a list of mappings")]
    MergeValue,
    /// The document is too large.
    #[error("the document has more than {limit}")]
    TooLarge {
        /// The limit, such as `8 MiB of text`.
        limit: String,
        /// What to use less of.
        of: &'static str,
    },
    /// More than one document.
    #[error("there is a second document")]
    SecondDocument,
}

impl Problem {
    /// What to do about it, in the imperative.
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

    /// Describes it without any text of the document, which may be secret.
    pub fn without_text(&self) -> String {
        match self {
            Self::DuplicateKey(_) => "duplicate key".to_owned(),
            other => other.to_string(),
        }
    }
}
