//! Limits the size of a project. A pull request controls its files: without limits, a few lines that include, extend or
//! refer to each other could expand beyond the memory of any machine.
//!
//! The limits are far above real projects, whose compose files have a few thousand values in total. [`crate::yaml`] limits
//! single files.

use std::{cell::Cell, fmt};

use super::error::ComposeError;
use crate::{
    domain::invalid::Invalid,
    yaml::{Node, Position, Size},
};

/// Maximum number of compose files and env files in a project. A file that is used twice counts twice.
const MAX_FILES: usize = 1000;

/// Maximum number of values (scalars, lists and mappings) in all files, after aliases, `include` and `extends` are replaced.
const MAX_VALUES: usize = 300_000;

/// Maximum length of all text, after variables, aliases, `include` and `extends` are replaced, in bytes.
const MAX_BYTES: usize = 32 << 20;

/// Maximum depth of nested includes.
pub(super) const MAX_INCLUDE_DEPTH: usize = 64;

/// Maximum number of entries in each list or mapping of a build: services, arguments, tags and so on.
const MAX_ENTRIES: usize = 4096;

/// Maximum number of services that are built. Finding their dependencies takes quadratic time.
pub(super) const MAX_BUILDS: usize = 500;

/// Maximum length of a path, in bytes. Linux has the same limit.
pub(super) const MAX_PATH: usize = 4096;

/// Returns an error if a list or mapping is too large.
pub(super) fn check_entries(entries: usize, at: &Position, path: impl fmt::Display) -> Result<(), ComposeError> {
    if entries > MAX_ENTRIES {
        let problem = format!("has more than {MAX_ENTRIES} entries");
        return Err(ComposeError::key(at, path.to_string(), problem, "use fewer"));
    }
    Ok(())
}

/// The amount of each limit that a project has used.
#[derive(Debug, Default)]
pub(super) struct Budget {
    files: Cell<usize>,
    size: Cell<Size>,
}

impl Budget {
    /// Counts a file.
    pub(super) fn use_file(&self, file: &str) -> Result<(), ComposeError> {
        self.files.set(self.files.get() + 1);
        if self.files.get() > MAX_FILES {
            let problem = format!("the project uses more than {MAX_FILES} files");
            let reason = Invalid::new(problem, "include or extend fewer files");
            return Err(ComposeError::Limit { file: file.to_owned(), reason });
        }
        Ok(())
    }

    /// Counts the size that a file adds to the project.
    pub(super) fn spend(&self, file: &str, more: Size) -> Result<(), ComposeError> {
        let mut size = self.size.get();
        size.add(more);
        self.size.set(size);
        let problem = if size.values > MAX_VALUES {
            format!("the project has more than {MAX_VALUES} values")
        } else if size.bytes > MAX_BYTES {
            format!("the project has more than {} MiB of text", MAX_BYTES >> 20)
        } else {
            return Ok(());
        };
        let reason = Invalid::new(problem, "include, extend or repeat less");
        Err(ComposeError::Limit { file: file.to_owned(), reason })
    }

    /// Counts a copy of a tree.
    pub(super) fn spend_copy(&self, file: &str, node: &Node) -> Result<(), ComposeError> {
        self.spend(file, Size::of(node))
    }

    /// Counts text.
    pub(super) fn spend_text(&self, file: &str, bytes: usize) -> Result<(), ComposeError> {
        self.spend(file, Size { values: 0, bytes })
    }
}
