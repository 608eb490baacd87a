//! Bounds on what a project may come to. A pull request controls its files: without bounds, a few lines that include,
//! extend or refer to each other expand to more than any machine holds.
//!
//! The bounds are far above real projects, whose compose files have a few thousand values in total.

use std::cell::Cell;

use super::{
    error::ComposeError,
    scalar::Scalar,
    yaml::{At, Node, Value},
};

/// Compose files and env files that one project may read, repeated ones included.
pub(super) const MAX_FILES: usize = 1000;

/// Values (scalars, lists and mappings) of all files, aliases, `include` and `extends` written out.
pub(super) const MAX_VALUES: usize = 300_000;

/// Text of all files, variables, aliases, `include` and `extends` written out, in bytes.
pub(super) const MAX_BYTES: usize = 32 << 20;

/// Values that one file may come to, aliases written out. Compose's own limit.
pub(super) const MAX_FILE_VALUES: usize = 100_000;

/// The text that one file may come to, aliases written out, in bytes.
pub(super) const MAX_FILE_BYTES: usize = 8 << 20;

/// How long a key may be, in bytes.
pub(super) const MAX_KEY: usize = 1024;

/// How deep files may include each other.
pub(super) const MAX_INCLUDE_DEPTH: usize = 64;

/// Entries of one list or mapping that a build is made of: services, arguments, tags and so on.
pub(super) const MAX_ENTRIES: usize = 4096;

/// Services that are built. What depends on what is found out by comparing each with each.
pub(super) const MAX_BUILDS: usize = 500;

/// The length of a path, in bytes: Linux's own limit.
pub(super) const MAX_PATH: usize = 4096;

/// The size of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) values: usize,
    pub(super) bytes: usize,
}

impl Size {
    /// The size of a single value.
    pub(super) fn scalar(text: &str) -> Self {
        Self { values: 1, bytes: text.len() }
    }

    /// The size of a tree.
    pub(super) fn of(node: &Node) -> Self {
        let mut size = Self { values: 1, bytes: 0 };
        match &node.value {
            Value::Scalar(Scalar::Text(text) | Scalar::Int(_, text) | Scalar::Float(_, text)) => {
                size.bytes = text.len();
            }
            Value::Scalar(Scalar::Null | Scalar::Bool(_)) => {}
            Value::List(items) => items.iter().for_each(|item| size.add(Self::of(item))),
            Value::Map(entries) => {
                for (key, node) in entries {
                    size.bytes = size.bytes.saturating_add(key.text.len());
                    size.add(Self::of(node));
                }
            }
        }
        size
    }

    /// Adds another size.
    pub(super) fn add(&mut self, more: Self) {
        self.values = self.values.saturating_add(more.values);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }

    /// Refuses what is more than one file may come to. `of` is what there is to save on.
    pub(super) fn check_file(self, at: &At, of: &str) -> Result<(), ComposeError> {
        let limit = if self.values > MAX_FILE_VALUES {
            format!("{MAX_FILE_VALUES} values")
        } else if self.bytes > MAX_FILE_BYTES {
            format!("{} MiB of text", MAX_FILE_BYTES >> 20)
        } else {
            return Ok(());
        };
        let problem = format!("the file comes to more than {limit}: shorten it, or use fewer {of}");
        Err(ComposeError::Syntax { at: at.clone(), problem })
    }

    /// Takes a part out again.
    pub(super) fn subtract(&mut self, part: Self) {
        self.values = self.values.saturating_sub(part.values);
        self.bytes = self.bytes.saturating_sub(part.bytes);
    }
}

/// What a project has used so far.
#[derive(Debug, Default)]
pub(super) struct Budget {
    files: Cell<usize>,
    size: Cell<Size>,
}

impl Budget {
    /// Counts a file that is used.
    pub(super) fn use_file(&self, file: &str) -> Result<(), ComposeError> {
        self.files.set(self.files.get() + 1);
        if self.files.get() > MAX_FILES {
            let problem = format!("the project reads more than {MAX_FILES} files: include or extend fewer");
            return Err(ComposeError::Limit { file: file.to_owned(), problem });
        }
        Ok(())
    }

    /// Counts what a file adds to the project.
    pub(super) fn spend(&self, file: &str, more: Size) -> Result<(), ComposeError> {
        let mut size = self.size.get();
        size.add(more);
        self.size.set(size);
        let problem = if size.values > MAX_VALUES {
            format!("the project comes to more than {MAX_VALUES} values: include, extend or repeat less")
        } else if size.bytes > MAX_BYTES {
            format!("the project comes to more than {} MiB of text: include, extend or repeat less", MAX_BYTES >> 20)
        } else {
            return Ok(());
        };
        Err(ComposeError::Limit { file: file.to_owned(), problem })
    }

    /// Counts a copy of a tree.
    pub(super) fn spend_copy(&self, file: &str, node: &Node) -> Result<(), ComposeError> {
        self.spend(file, Size::of(node))
    }

    /// Counts text alone.
    pub(super) fn spend_text(&self, file: &str, bytes: usize) -> Result<(), ComposeError> {
        self.spend(file, Size { values: 0, bytes })
    }
}
