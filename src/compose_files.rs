//! Reads the compose files of a checkout from disk.

use std::path::{Path, PathBuf};

use crate::{
    boundary::{Boundary, NamedBy},
    compose::Files,
    regular_file,
};

/// Maximum size of a compose or env file in bytes. Large ones have some ten thousand.
const LARGEST: u64 = 1 << 20;

/// Reads files relative to a working directory. Absolute paths and `..` may leave the directory, as in Compose, but not the
/// checkout if a boundary is set.
#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
    boundary: Option<Boundary>,
    /// The files that inputs name.
    named: Vec<String>,
}

impl Directory {
    /// Creates a reader for this directory.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), boundary: None, named: Vec::new() }
    }

    /// Restricts the checkout's files to paths that `boundary` allows. `named` are the paths of files that inputs name, as
    /// passed to [`Files::read`].
    #[must_use]
    pub fn within(self, boundary: Boundary, named: Vec<String>) -> Self {
        Self { boundary: Some(boundary), named, ..self }
    }

    /// Returns the directory.
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

    fn is_directory(&self, path: &str) -> bool {
        self.root.join(path).is_dir()
    }

    fn outside(&self, path: &str) -> Option<String> {
        let full = self.root.join(path);
        let named_by = if self.named.iter().any(|named| named == path) { NamedBy::Input } else { NamedBy::Checkout };
        let real = self.boundary.as_ref()?.check(&full, named_by).err()?;
        // A dangling link is allowed, because it refers to no file.
        full.exists().then(|| real.display().to_string())
    }
}
