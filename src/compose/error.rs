//! What can be wrong with a compose project, told so that the user can mend it.

use std::fmt;

use thiserror::Error;

use super::yaml::At;
use crate::domain::diagnostic::Place;

/// Why a compose project cannot be read. The texts never show the value of a build argument, label or variable.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ComposeError {
    /// There is no compose file at all.
    #[error(
        "found no compose file (looked for {looked_for}) and no Dockerfile: check out the repository before this step, or \
         name the file with the input `compose-file`, or a Dockerfile with the input `file`"
    )]
    NoFile {
        /// The names tried, comma separated.
        looked_for: String,
    },
    /// A file that is asked for is not there.
    #[error("{wanted_by}: file `{file}` does not exist: correct the path or add the file to the repository")]
    Missing {
        /// The path, relative to the working directory.
        file: String,
        /// Who asked for it: a position in a file, or an input.
        wanted_by: String,
    },
    /// A file is there but cannot be read.
    #[error("cannot read `{file}`: {reason}")]
    Unreadable {
        /// The path, relative to the working directory.
        file: String,
        /// Why.
        reason: String,
    },
    /// A file outside the checkout that the inputs do not name.
    #[error("{} reads {file}, which is outside the checkout", wanted_by.subject())]
    Outside {
        /// The file, absolute and without symbolic links.
        file: String,
        /// Who asked for it.
        wanted_by: WantedBy,
    },
    /// A file is no valid YAML, or is not what Compose can take.
    #[error("{at}: {problem}")]
    Syntax {
        /// Where.
        at: At,
        /// What is wrong and how to mend it.
        problem: String,
    },
    /// A key that a build needs has a value that it cannot have.
    #[error("{at}: `{path}` {problem}")]
    Key {
        /// Where the value stands.
        at: At,
        /// The key's path, such as `services.web.build.args`.
        path: String,
        /// What is wrong and how to mend it.
        problem: String,
    },
    /// The project exceeds a bound.
    #[error("{file}: {problem}")]
    Limit {
        /// The file that exceeded it, relative to the working directory.
        file: String,
        /// The bound and how to keep it.
        problem: String,
    },
    /// A `.env` file cannot be parsed.
    #[error("{file}:{line}: {problem}")]
    Dotenv {
        /// The path, relative to the working directory.
        file: String,
        /// The line, from 1.
        line: u32,
        /// What is wrong and how to mend it.
        problem: String,
    },
}

/// Who asks for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedBy {
    /// An input, or Compose's own convention, by the file's name.
    Name(String),
    /// A key of a file.
    Key(At, String),
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
    /// The same as the subject of a sentence.
    fn subject(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Key(at, key) => format!("{at}: `{key}`"),
        }
    }
}

impl ComposeError {
    /// A [`ComposeError::Key`].
    pub(crate) fn key(at: &At, path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Key { at: at.clone(), path: path.into(), problem: problem.into() }
    }

    /// What to do about it, where the text does not say so.
    pub fn hint(&self) -> Option<String> {
        let Self::Outside { file, .. } = self else { return None };
        Some(format!("move the file into the repository, or add `fs.read={file}` to the input `allow`"))
    }

    /// The line in question, for an annotation; its path is relative to the working directory.
    pub fn place(&self) -> Option<Place> {
        let (file, line) = match self {
            Self::Syntax { at, .. } | Self::Key { at, .. } | Self::Outside { wanted_by: WantedBy::Key(at, _), .. } => {
                (at.file.to_string(), at.line)
            }
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
