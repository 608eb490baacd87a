//! The compose files of a checkout, read from disk.

use std::path::{Path, PathBuf};

use crate::{compose::Files, regular_file};

/// Bytes of one compose or env file. Large ones have a few ten thousand.
const LARGEST: u64 = 1 << 20;

/// Reads files below a working directory; absolute paths and `..` lead out of it, as in Compose.
#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// The files of this directory.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.root
    }
}

impl Files for Directory {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match regular_file::read(&self.root.join(path), LARGEST) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}
