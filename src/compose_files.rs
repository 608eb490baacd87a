//! The compose files of a checkout, read from disk.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use crate::compose::Files;

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
        match std::fs::read(self.root.join(path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(None),
                ErrorKind::IsADirectory => Err("it is a directory, not a file".to_owned()),
                _ => Err(error.to_string()),
            },
        }
    }
}
