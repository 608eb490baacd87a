//! The size of a tree, and the limits for one document.

use super::{
    error::{Problem, YamlError},
    node::{Node, Value},
    position::Position,
    scalar::Scalar,
};

/// Maximum number of values in one document, after aliases are replaced. Compose has the same limit.
const MAX_VALUES: usize = 100_000;

/// Maximum length of the text in one document, after aliases are replaced, in bytes.
const MAX_BYTES: usize = 8 << 20;

/// The size of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Number of scalars, lists and mappings.
    pub values: usize,
    /// Length of all text, in bytes.
    pub bytes: usize,
}

impl Size {
    /// Returns the size of a scalar.
    pub fn scalar(text: &str) -> Self {
        Self { values: 1, bytes: text.len() }
    }

    /// Returns the size of a tree.
    pub fn of(node: &Node) -> Self {
        let mut size = Self { values: 1, bytes: 0 };
        match &node.value {
            Value::Scalar(Scalar::Text(text) | Scalar::Int(_, text) | Scalar::Float(_, text)) => {
                size.bytes = text.len();
            }
            Value::Scalar(Scalar::Null | Scalar::Bool(..)) => {}
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
    pub fn add(&mut self, more: Self) {
        self.values = self.values.saturating_add(more.values);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }

    /// Subtracts the size of a part.
    pub(super) fn subtract(&mut self, part: Self) {
        self.values = self.values.saturating_sub(part.values);
        self.bytes = self.bytes.saturating_sub(part.bytes);
    }

    /// Returns an error if the document is too large. `of` names the element to use less of.
    pub(super) fn check(self, at: &Position, of: &'static str) -> Result<(), YamlError> {
        let limit = if self.values > MAX_VALUES {
            format!("{MAX_VALUES} values")
        } else if self.bytes > MAX_BYTES {
            format!("{} MiB of text", MAX_BYTES >> 20)
        } else {
            return Ok(());
        };
        Err(YamlError { at: at.clone(), problem: Problem::TooLarge { limit, of } })
    }
}
