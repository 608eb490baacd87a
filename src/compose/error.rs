//! Errors in a compose project.

use std::fmt;

use thiserror::Error;

use crate::{
    domain::{diagnostic::Place, invalid::Invalid},
    yaml::{Position, YamlError},
};

/// The reason why a compose project cannot be read. Its message never contains the value of a build argument, label or
/// variable.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ComposeError {
    /// No compose file was found.
    #[error("no compose file and no Dockerfile found (looked for {looked_for})")]
    NoFile {
        /// The names of the compose files, comma-separated.
        looked_for: String,
    },
    /// A file does not exist.
    #[error("{wanted_by}: file `{file}` does not exist")]
    Missing {
        /// The path, relative to the working directory.
        file: String,
        /// The input or key that names it.
        wanted_by: WantedBy,
    },
    /// A file cannot be read.
    #[error("cannot read `{file}`: {reason}")]
    Unreadable {
        /// The path, relative to the working directory.
        file: String,
        /// The reason.
        reason: String,
    },
    /// A file is outside the checkout, and no input names it.
    #[error("{} reads {file}, which is outside the checkout", wanted_by.subject())]
    Outside {
        /// The file, absolute and without symbolic links.
        file: String,
        /// The input or key that names it.
        wanted_by: WantedBy,
    },
    /// A file is not valid YAML.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// A file is not a mapping.
    #[error("{at}: a compose file must be a mapping, but this is {kind}")]
    NoMapping {
        /// The position of the document.
        at: Position,
        /// The type of the document.
        kind: &'static str,
    },
    /// A key that a build needs has an invalid value.
    #[error("{at}: `{path}` {}", reason.problem)]
    Key {
        /// Position of the value.
        at: Position,
        /// Path of the key, such as `services.web.build.args`.
        path: String,
        /// The reason.
        reason: Invalid,
    },
    /// The project exceeds a limit.
    #[error("{file}: {}", reason.problem)]
    Limit {
        /// The file that exceeds it, relative to the working directory.
        file: String,
        /// The limit.
        reason: Invalid,
    },
    /// A `.env` file is invalid.
    #[error("{file}:{line}: {}", reason.problem)]
    Dotenv {
        /// The path, relative to the working directory.
        file: String,
        /// The line, from 1.
        line: u32,
        /// The reason.
        reason: Invalid,
    },
}

/// The input or key that names a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedBy {
    /// An input, or a file that Compose reads by default.
    Name(String),
    /// A key of a file.
    Key(Position, String),
}

impl fmt::Display for WantedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Key(at, key) => write!(f, "{at} (`{key}`)"),
        }
    }
}

impl WantedBy {
    /// Returns the subject of a sentence about the input or key.
    fn subject(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Key(at, key) => format!("{at}: `{key}`"),
        }
    }
}

impl ComposeError {
    /// Creates a [`ComposeError::Key`].
    pub(super) fn key(
        at: &Position,
        path: impl Into<String>,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Key { at: at.clone(), path: path.into(), reason: Invalid::new(problem, hint) }
    }

    /// Returns a hint in the imperative.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoFile { .. } => {
                "check out the repository before this step, or name a file with the input `compose-file` or `file`"
                    .to_owned()
            }
            Self::Missing { .. } => "correct the path, or add the file to the repository".to_owned(),
            Self::Unreadable { .. } => return None,
            Self::Outside { file, .. } => {
                format!("move the file into the repository, or add `fs.read={file}` to the input `allow`")
            }
            Self::Yaml(error) => error.problem.hint(),
            Self::NoMapping { .. } => "begin the file with `services:`".to_owned(),
            Self::Key { reason, .. } | Self::Limit { reason, .. } | Self::Dotenv { reason, .. } => reason.hint.clone(),
        })
    }

    /// Returns the line that caused the error, for an annotation. Its path is relative to the working directory.
    pub fn place(&self) -> Option<Place> {
        let (file, line) = match self {
            Self::Yaml(YamlError { at, .. })
            | Self::NoMapping { at, .. }
            | Self::Key { at, .. }
            | Self::Outside { wanted_by: WantedBy::Key(at, _), .. }
            | Self::Missing { wanted_by: WantedBy::Key(at, _), .. } => (at.file.to_string(), at.line),
            Self::Dotenv { file, line, .. } => (file.clone(), *line),
            Self::NoFile { .. }
            | Self::Missing { .. }
            | Self::Unreadable { .. }
            | Self::Outside { .. }
            | Self::Limit { .. } => return None,
        };
        Some(Place { file, line, end_line: line })
    }
}
