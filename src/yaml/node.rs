//! The tree of a document.

use std::borrow::Cow;

use super::{position::Position, scalar::Scalar};

/// A value in a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its position; for an alias, the position of the anchor.
    pub at: Position,
    /// The way in which it combines with a value of an earlier file.
    pub role: Role,
    /// The value.
    pub value: Value,
}

/// The way in which a node combines with the value at the same path in an earlier file
/// (<https://github.com/compose-spec/compose-spec/blob/main/13-merge.md>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Merges with the earlier value.
    Merge,
    /// Removes the earlier value (`!reset`).
    Reset,
    /// Replaces the earlier value (`!override`).
    Override,
}

/// The value of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A single value.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file, without duplicate keys.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its text.
    pub text: String,
    /// Its position.
    pub at: Position,
}

impl Node {
    /// Creates a string.
    pub fn text(at: &Position, text: impl Into<String>) -> Self {
        Self { at: at.clone(), role: Role::Merge, value: Value::Scalar(Scalar::Text(text.into())) }
    }

    /// Creates a mapping.
    pub fn map(at: &Position, entries: Vec<(Key, Self)>) -> Self {
        Self { at: at.clone(), role: Role::Merge, value: Value::Map(entries) }
    }

    /// Whether it is empty or `null`.
    pub fn is_null(&self) -> bool {
        self.value == Value::Scalar(Scalar::Null)
    }

    /// Returns the text of a scalar as written; empty for `null`. `None` for lists and mappings.
    pub fn written(&self) -> Option<Cow<'_, str>> {
        if let Value::Scalar(scalar) = &self.value { Some(scalar.source()) } else { None }
    }

    /// Returns the items, if it is a list.
    pub fn items(&self) -> Option<&[Self]> {
        if let Value::List(items) = &self.value { Some(items) } else { None }
    }

    /// Returns the entries, if it is a mapping.
    pub fn entries(&self) -> Option<&[(Key, Self)]> {
        if let Value::Map(entries) = &self.value { Some(entries) } else { None }
    }

    /// Returns the value under a key, if it is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries()?.iter().find(|(k, _)| k.text == key).map(|(_, node)| node)
    }

    /// Returns the name of its type, for errors: `a list`.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) => scalar.kind(),
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}
