//! Serves local directories to BuildKit: the build context, the Dockerfile's directory, named contexts.
//!
//! BuildKit requests a directory by name, with patterns (`.dockerignore` among them, which the daemon reads). We list the
//! directory, BuildKit requests the files that differ from its copy, and we send those.
//! Sources: `moby.filesync.v1.FileSync` of `github.com/moby/buildkit`, and `github.com/tonistiigi/fsutil`, whose
//! receiver is the other end.

mod disk;
mod filter;
mod follow;
mod glob;
mod limits;
mod memory;
mod packets;
mod pattern;
mod regexp;
mod request;
mod send;
mod stat;
mod table;
mod walk;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

pub use limits::server;
pub use packets::PacketStream;
pub use pattern::PatternError;
pub use send::FileSync;

/// A directory that BuildKit may read.
#[derive(Clone, Debug)]
pub struct SharedDir {
    /// The name by which BuildKit requests it, such as `context` or `dockerfile`.
    pub name: String,
    /// Where its content is.
    pub source: Source,
}

/// Where the content of a [`SharedDir`] is.
#[derive(Clone, Debug)]
pub enum Source {
    /// A directory on disk. If the path is a symbolic link, the link is followed; links in the directory are sent as links.
    Path(PathBuf),
    /// A few files in memory, by relative path, such as an inline Dockerfile.
    Memory(Vec<(String, Vec<u8>)>),
}

/// Why a directory could not be sent. Paths are relative to the directory.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FileSyncError {
    /// The directory itself cannot be opened.
    #[error("cannot open the directory `{path}`: {reason}", path = path.display())]
    Root {
        /// The directory as it was given.
        path: PathBuf,
        /// The system's reason.
        reason: Reason,
    },
    /// Something in it cannot be read.
    #[error("cannot read `{path}`: {reason}")]
    Read {
        /// The path.
        path: String,
        /// The system's reason.
        reason: Reason,
    },
    /// A file is not the one that was listed when BuildKit requests it.
    #[error("`{path}` changed during the build: it {how}")]
    Changed {
        /// The file.
        path: String,
        /// How, such as `was deleted`.
        how: String,
    },
    /// A name or the target of a link is not UTF-8, which BuildKit's protocol requires.
    #[error("the {what} of `{path}` is not UTF-8")]
    NotUtf8 {
        /// `name`, `link target` or `extended attribute`.
        what: &'static str,
        /// The path, with a replacement for what is not UTF-8.
        path: String,
    },
    /// A pattern that BuildKit sent cannot be used.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// More entries than the protocol can number.
    #[error("the directory has more files than BuildKit supports")]
    TooMany,
    /// A path of [`Source::Memory`] that is not relative and clean, or that is also a directory.
    #[error("`{path}` is not a valid path for a file in memory")]
    MemoryPath {
        /// The path.
        path: String,
    },
    /// The daemon requested an entry that is not a file, or requested a file twice.
    #[error("BuildKit requested file number {0}, which is not a file or was already sent")]
    UnknownFile(u32),
}

impl FileSyncError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Read { .. } => Some("make it readable, or exclude it in .dockerignore"),
            Self::Changed { .. } => Some("do not change files during the build, or exclude them in .dockerignore"),
            Self::NotUtf8 { .. } => Some("rename it, or exclude it in .dockerignore"),
            Self::Pattern(PatternError::TooMany) => Some("use fewer or simpler patterns in .dockerignore"),
            Self::Pattern(_) => {
                Some("correct .dockerignore; see https://docs.docker.com/build/concepts/context/#syntax")
            }
            Self::TooMany => Some("exclude files that the build does not need in .dockerignore"),
            Self::Root { .. } | Self::MemoryPath { .. } | Self::UnknownFile(_) => None,
        }
    }
}

/// The system's reason for a failed call, without the error number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<io::Error> for Reason {
    fn from(error: io::Error) -> Self {
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        let mut chars = text.chars();
        Self(chars.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(chars).collect())
    }
}

impl From<rustix::io::Errno> for Reason {
    fn from(error: rustix::io::Errno) -> Self {
        io::Error::from(error).into()
    }
}

/// How much of a [`SharedDir`] was sent, in all requests for it so far. The `.dockerignore`, which the daemon requests
/// before each build, does not count.
#[derive(Debug, Default)]
pub struct Stats {
    files: AtomicU64,
    sent_files: AtomicU64,
    sent_bytes: AtomicU64,
}

impl Stats {
    /// Files that were listed, sent or not.
    pub fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// Files whose content was sent.
    pub fn sent_files(&self) -> u64 {
        self.sent_files.load(Ordering::Relaxed)
    }

    /// Bytes of content that were sent.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes.load(Ordering::Relaxed)
    }
}

/// Observes a [`FileSync`] that a server owns.
#[derive(Clone, Debug)]
pub struct Monitor {
    stats: Arc<[(String, Arc<Stats>)]>,
    failure: Arc<Mutex<Option<FileSyncError>>>,
}

impl Monitor {
    /// The counters of each directory, by name.
    pub fn stats(&self) -> &[(String, Arc<Stats>)] {
        &self.stats
    }

    /// The first failure on our side. BuildKit reports only that the transfer failed.
    pub fn failure(&self) -> Option<FileSyncError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fail(&self, error: &FileSyncError) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
    }
}

#[cfg(test)]
mod tests;
