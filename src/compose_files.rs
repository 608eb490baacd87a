//! The compose files of a checkout, read from disk.

use std::path::{Path, PathBuf};

use crate::{
    boundary::{Boundary, NamedBy},
    compose::Files,
    regular_file,
};

/// Bytes of one compose or env file. Large ones have a few ten thousand.
const LARGEST: u64 = 1 << 20;

/// Reads files below a working directory; absolute paths and `..` lead out of it, as in Compose, but not out of the
/// checkout where a boundary is set.
#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
    boundary: Option<Boundary>,
    /// The files that inputs name.
    named: Vec<String>,
}

impl Directory {
    /// The files of this directory.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), boundary: None, named: Vec::new() }
    }

    /// The same, but only what `boundary` lets the checkout's files read; `named` are the files that inputs name, as they
    /// are asked for.
    #[must_use]
    pub fn within(self, boundary: Boundary, named: Vec<String>) -> Self {
        Self { boundary: Some(boundary), named, ..self }
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

    fn outside(&self, path: &str) -> Option<String> {
        let full = self.root.join(path);
        let named_by = if self.named.iter().any(|named| named == path) { NamedBy::Input } else { NamedBy::Checkout };
        let real = self.boundary.as_ref()?.check(&full, named_by).err()?;
        // A link that leads nowhere may be there, and a file may not.
        full.exists().then(|| real.display().to_string())
    }
}
