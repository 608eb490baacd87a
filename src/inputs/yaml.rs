//! Reads the inputs that are YAML documents of their own into a tree.
//!
//! Deliberately small: no anchors, no tags, no types but text, list and map. Its errors give line and column and
//! never the text, since some of these inputs are secret.

use std::collections::HashSet;

use saphyr_parser::{Event, Parser};
use thiserror::Error;

/// A YAML value.
#[derive(Clone, PartialEq, Eq)]
pub enum Node {
    /// A scalar's text. Plain `null`, `~` and nothing are empty text.
    Text(String),
    /// A sequence.
    List(Vec<Self>),
    /// A mapping with scalar keys, in the document's order.
    Map(Vec<(String, Self)>),
}

/// Why a text is no YAML that we take. Lines and columns count from 1.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum YamlError {
    /// Not YAML.
    #[error("no valid YAML at line {line}, column {column}: {reason}")]
    Syntax {
        /// Line.
        line: usize,
        /// Column.
        column: usize,
        /// The parser's words.
        reason: String,
    },
    /// YAML, but more than we take.
    #[error("{what} at line {line} cannot be used here")]
    Unsupported {
        /// What.
        what: &'static str,
        /// Line.
        line: usize,
    },
}

/// Deeper nesting is refused, which bounds the stack that reading and dropping a tree take.
const DEEPEST: usize = 32;

/// A collection that is being read, and the key that waits for its value.
enum Open {
    List(Vec<Node>),
    Map(Vec<(String, Node)>, HashSet<String>, Option<String>),
}

/// Reads one document.
pub fn read(text: &str) -> Result<Node, YamlError> {
    let mut open: Vec<Open> = Vec::new();
    let mut document = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| YamlError::Syntax {
            line: error.marker().line(),
            column: error.marker().col() + 1,
            reason: error.info().to_owned(),
        })?;
        let unsupported = |what| YamlError::Unsupported { what, line: span.start.line() };
        let done = match event {
            Event::Scalar(text, style, ..) => {
                let plain = style == saphyr_parser::ScalarStyle::Plain;
                let null = plain && matches!(text.as_ref(), "~" | "null" | "Null" | "NULL");
                Node::Text(if null { String::new() } else { text.into_owned() })
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() >= DEEPEST => {
                return Err(unsupported("deep nesting"));
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Vec::new(), HashSet::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(items)) => Node::List(items),
                Some(Open::Map(entries, ..)) => Node::Map(entries),
                None => continue,
            },
            Event::Alias(_) => return Err(unsupported("an alias")),
            Event::DocumentStart(_) if document.is_some() => return Err(unsupported("a second document")),
            Event::DocumentStart(_) | Event::DocumentEnd | Event::StreamStart | Event::StreamEnd | Event::Nothing => {
                continue;
            }
        };
        match open.last_mut() {
            None => document = Some(done),
            Some(Open::List(items)) => items.push(done),
            Some(Open::Map(entries, seen, key)) => match (key.take(), done) {
                (Some(name), value) if seen.insert(name.clone()) => entries.push((name, value)),
                (Some(_), _) => return Err(unsupported("a key that stands there twice")),
                (None, Node::Text(name)) => *key = Some(name),
                (None, _) => return Err(unsupported("a key that is no text")),
            },
        }
    }
    Ok(document.unwrap_or(Node::Text(String::new())))
}

#[cfg(test)]
mod tests {
    use super::{Node, read};

    fn text(text: &str) -> Node {
        Node::Text(text.into())
    }

    #[test]
    fn reads_maps_lists_and_block_scalars() {
        let node = read("- name: web\n  key: |\n    one\n    two\n  empty: ~\n- [a, 'null']\n").unwrap();
        let web = Node::Map(vec![
            ("name".into(), text("web")),
            ("key".into(), text("one\ntwo\n")),
            ("empty".into(), text("")),
        ]);
        assert!(node == Node::List(vec![web, Node::List(vec![text("a"), text("null")])]));
        assert!(read("") == Ok(text("")));
    }

    #[test]
    fn errors_say_where_and_not_what() {
        for (document, want) in [
            ("a: hunter2\n b: [", "no valid YAML at line 2"),
            ("a: &x hunter2\nb: *x", "an alias at line 2 cannot be used here"),
            ("a: hunter2\na: 1", "a key that stands there twice at line 2 cannot be used here"),
            ("a\n---\nb", "a second document"),
            ("? [hunter2]\n: 1", "a key that is no text"),
            (&"[".repeat(100), "deep nesting"),
        ] {
            let error = read(document).err().map(|error| error.to_string()).unwrap();
            assert!(error.starts_with(want), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
