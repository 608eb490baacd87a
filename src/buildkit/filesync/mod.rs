//! Serves directories of this machine to BuildKit: the build context, the Dockerfile, named contexts.
//!
//! BuildKit asks for a directory by name and says what it wants of it; we list it, it asks for the files that differ
//! from what it has, and we send those. Patterns (`.dockerignore` among them) are read by the daemon and honoured here.
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

/// A directory that BuildKit may read, and the name by which it asks for it.
#[derive(Clone, Debug)]
pub struct SharedDir {
    /// The name, such as `context` or `dockerfile`.
    pub name: String,
    /// What is in it.
    pub source: Source,
}

/// Where the content of a [`SharedDir`] comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A directory on disk. A symbolic link as the last part is followed; links within are sent as links.
    Path(PathBuf),
    /// A few files in memory, by relative path: an inline Dockerfile needs no file on disk.
    Memory(Vec<(String, Vec<u8>)>),
}

/// Why a directory could not be sent. Paths are relative to the directory.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FileSyncError {
    /// The directory itself cannot be opened.
    #[error("cannot open the directory `{path}` that the build needs: {reason}", path = path.display())]
    Root {
        /// The directory as it was given.
        path: PathBuf,
        /// What the system says.
        reason: Reason,
    },
    /// Something in it cannot be read.
    #[error("cannot read `{path}` of the build context: {reason}; make it readable or name it in .dockerignore")]
    Read {
        /// What could not be read.
        path: String,
        /// What the system says.
        reason: Reason,
    },
    /// A file was listed, and is another one, of another kind or gone when BuildKit asks for it.
    #[error(
        "`{path}` of the build context changed while it was sent: {how}; \
         keep it still during the build or name it in .dockerignore"
    )]
    Changed {
        /// What changed.
        path: String,
        /// In what way.
        how: String,
    },
    /// A name or the target of a link is not UTF-8, which BuildKit's protocol needs.
    #[error("the {what} of `{path}` in the build context is not UTF-8; rename it or name it in .dockerignore")]
    NotUtf8 {
        /// `name`, `link target` or `extended attribute`.
        what: &'static str,
        /// The path, with what is not UTF-8 replaced.
        path: String,
    },
    /// A pattern that BuildKit sent cannot be used.
    #[error("cannot filter the build context: {0}")]
    Pattern(#[from] PatternError),
    /// More entries than the protocol can number.
    #[error(
        "the build context has more files than BuildKit can number; name what the build does not need in .dockerignore"
    )]
    TooMany,
    /// A path of [`Source::Memory`] that is not relative and clean, or that stands where another file is.
    #[error("`{path}` is no path for a file in memory; use a relative one without `.` and `..`")]
    MemoryPath {
        /// The path.
        path: String,
    },
    /// The daemon asked for something it may not ask for.
    #[error("BuildKit asked for file number {0}, which is no file or was sent before")]
    UnknownFile(u32),
}

/// What the system said of a failed call, without its error number.
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

/// How much of a [`SharedDir`] was sent, over all requests for it so far. The `.dockerignore`, which the daemon asks for
/// by itself before each build, does not count.
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

/// Looks at a [`FileSync`] that a server has taken over.
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

    /// The first failure on our side. BuildKit reports it too, wrapped in words of its own.
    pub fn failure(&self) -> Option<FileSyncError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fail(&self, error: &FileSyncError) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
    }
}

#[cfg(test)]
mod tests;
