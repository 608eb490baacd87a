//! Builds the tree from the events of `saphyr-parser`.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};

use super::{
    error::{MAX_DEPTH, MAX_KEY, Problem, YamlError},
    indent::{Lines, Repair},
    node::{Key, Node, Role, Value},
    position::Position,
    scalar::{Scalar, resolve},
    size::Size,
};

/// Parses a text that contains one document. An empty text is `null`. `file` names the text in positions.
pub fn parse_one(file: &str, text: &str) -> Result<Node, YamlError> {
    let mut documents = parse(file, text)?.into_iter();
    let first = documents.next();
    if let Some(second) = documents.next() {
        return Err(error(second.at, Problem::SecondDocument));
    }
    let start = Position { file: Arc::from(file), line: 1, column: 1 };
    Ok(first.unwrap_or(Node { at: start, role: Role::Merge, value: Value::Scalar(Scalar::Null) }))
}

/// Parses all documents of a text. An empty text has none. `file` names the text in positions.
pub fn parse(file: &str, text: &str) -> Result<Vec<Node>, YamlError> {
    let mut lines = Lines::new(text.strip_prefix('\u{feff}').unwrap_or(text));
    loop {
        let text = lines.text();
        let mut tree = Tree {
            file: Arc::from(file),
            lines: &lines,
            anchors: HashMap::new(),
            frames: Vec::new(),
            total: Size::default(),
            anchored: Size::default(),
            root: None,
            documents: Vec::new(),
        };
        match tree.read(&text)? {
            None => return Ok(tree.documents),
            Some(invalid) => {
                let at = tree.at(*invalid.marker());
                match lines.repair(&invalid) {
                    Repair::Done => {}
                    Repair::None => return Err(error(at, Problem::Syntax(invalid.info().to_owned()))),
                    Repair::TooMany => return Err(error(at, Problem::Indentation)),
                }
            }
        }
    }
}

/// A list or mapping that is not closed yet.
struct Frame {
    at: Position,
    role: Role,
    anchor: usize,
    /// Its size so far, after aliases are replaced.
    size: Size,
    kind: FrameKind,
}

enum FrameKind {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, seen: HashSet<String>, key: Option<PendingKey>, merged: Option<Node> },
}

enum PendingKey {
    Named(Key),
    /// A plain `<<`.
    Merge,
}

fn error(at: Position, problem: Problem) -> YamlError {
    YamlError { at, problem }
}

struct Tree<'a> {
    file: Arc<str>,
    lines: &'a Lines,
    /// Complete nodes that have an anchor, and their size.
    anchors: HashMap<usize, (Node, Size)>,
    /// The total size of all nodes with an anchor.
    anchored: Size,
    frames: Vec<Frame>,
    total: Size,
    root: Option<Node>,
    documents: Vec<Node>,
}

/// Whether a scalar is plain, so that it can be a merge key.
#[derive(Clone, Copy, PartialEq)]
enum Plain {
    Yes,
    No,
}

impl Tree<'_> {
    /// Reads the whole text. Returns the parser's error, if any.
    fn read(&mut self, text: &str) -> Result<Option<ScanError>, YamlError> {
        let mut parser = Parser::new(StrInput::new(text));
        while let Some(event) = parser.next_event() {
            match event {
                Ok((event, span)) => self.take(event, span.start)?,
                Err(error) => return Ok(Some(error)),
            }
        }
        Ok(None)
    }

    fn at(&self, marker: Marker) -> Position {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let column = marker.col().saturating_sub(self.lines.moved(marker.line())) + 1;
        Position { file: self.file.clone(), line: number(marker.line()), column: number(column) }
    }

    fn take(&mut self, event: Event<'_>, marker: Marker) -> Result<(), YamlError> {
        let at = self.at(marker);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.root = None;
                Ok(())
            }
            Event::DocumentEnd => {
                self.documents.extend(self.root.take());
                self.anchors.clear();
                Ok(())
            }
            Event::Alias(id) => {
                let Some((node, size)) = self.anchors.get(&id).cloned() else {
                    return Err(error(at, Problem::Circular));
                };
                self.insert_copy(node, size, at)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let role = role_of(tag.as_deref());
                let plain = if style == ScalarStyle::Plain && tag.is_none() { Plain::Yes } else { Plain::No };
                let scalar = resolve(&text, style == ScalarStyle::Plain, tag.as_deref().and_then(core_type));
                let node = Node { at: at.clone(), role, value: Value::Scalar(scalar) };
                let size = Size::scalar(&text);
                self.remember(anchor, &node, size, &at)?;
                self.insert(node, size, &text, plain, at)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(at, role_of(tag.as_deref()), anchor, FrameKind::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let kind = FrameKind::Map { entries: Vec::new(), seen: HashSet::new(), key: None, merged: None };
                self.open(at, role_of(tag.as_deref()), anchor, kind)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
        }
    }

    fn open(&mut self, at: Position, role: Role, anchor: usize, kind: FrameKind) -> Result<(), YamlError> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(error(at, Problem::TooDeep));
        }
        self.frames.push(Frame { at, role, anchor, size: Size::scalar(""), kind });
        Ok(())
    }

    fn close(&mut self) -> Result<(), YamlError> {
        let Some(Frame { at, role, anchor, size, kind }) = self.frames.pop() else { return Ok(()) };
        let value = match kind {
            FrameKind::List(items) => Value::List(items),
            FrameKind::Map { mut entries, merged, .. } => {
                if let Some(merged) = merged {
                    merge_in(&mut entries, merged)?;
                }
                Value::Map(entries)
            }
        };
        let node = Node { at: at.clone(), role, value };
        self.remember(anchor, &node, size, &at)?;
        // Its parts are counted already.
        self.total.subtract(Size { values: size.values - 1, bytes: size.bytes });
        self.insert_copy(node, size, at)
    }

    /// Stores a copy of a node that has an anchor. Nested anchors are copied once for each level.
    fn remember(&mut self, anchor: usize, node: &Node, size: Size, at: &Position) -> Result<(), YamlError> {
        if anchor > 0 {
            self.anchored.add(size);
            self.anchored.check(at, "anchors")?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(())
    }

    fn insert_copy(&mut self, node: Node, size: Size, at: Position) -> Result<(), YamlError> {
        let text = match &node.value {
            Value::Scalar(scalar) => scalar.text().into_owned(),
            Value::List(_) | Value::Map(_) => String::new(),
        };
        self.insert(node, size, &text, Plain::No, at)
    }

    /// Adds a complete node to the tree: as an item, a key, a value or the document's root.
    fn insert(&mut self, node: Node, size: Size, text: &str, plain: Plain, at: Position) -> Result<(), YamlError> {
        self.total.add(size);
        self.total.check(&at, "aliases")?;
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.size.add(size);
        match &mut frame.kind {
            FrameKind::List(items) => items.push(node),
            FrameKind::Map { entries, seen, key, merged } => match key.take() {
                None => {
                    if !matches!(node.value, Value::Scalar(_)) {
                        return Err(error(at, Problem::ComplexKey(node.kind())));
                    }
                    if text.len() > MAX_KEY {
                        return Err(error(at, Problem::LongKey));
                    }
                    if !seen.insert(text.to_owned()) {
                        let merge = plain == Plain::Yes && text == "<<";
                        let problem =
                            if merge { Problem::DuplicateMerge } else { Problem::DuplicateKey(text.to_owned()) };
                        return Err(error(at, problem));
                    }
                    *key = Some(if plain == Plain::Yes && text == "<<" {
                        PendingKey::Merge
                    } else {
                        PendingKey::Named(Key { text: text.to_owned(), at })
                    });
                }
                Some(PendingKey::Merge) => *merged = Some(node),
                Some(PendingKey::Named(key)) => entries.push((key, node)),
            },
        }
        Ok(())
    }
}

/// Adds the entries of a merge key: the mapping's own keys take precedence, then those of the first mapping of a list
/// (<https://yaml.org/type/merge.html>).
fn merge_in(entries: &mut Vec<(Key, Node)>, merged: Node) -> Result<(), YamlError> {
    let at = merged.at.clone();
    let sources = match merged.value {
        Value::List(items) => items,
        value => vec![Node { value, ..merged }],
    };
    let mut seen: HashSet<String> = entries.iter().map(|(key, _)| key.text.clone()).collect();
    for source in sources {
        let Value::Map(more) = source.value else {
            return Err(error(at, Problem::MergeValue));
        };
        entries.extend(more.into_iter().filter(|(key, _)| seen.insert(key.text.clone())));
    }
    Ok(())
}

fn role_of(tag: Option<&Tag>) -> Role {
    match tag {
        Some(tag) if tag.handle == "!" && tag.suffix == "reset" => Role::Reset,
        Some(tag) if tag.handle == "!" && tag.suffix == "override" => Role::Override,
        _ => Role::Merge,
    }
}

/// Returns `str` for `!!str`.
fn core_type(tag: &Tag) -> Option<&str> {
    tag.is_yaml_core_schema().then_some(tag.suffix.as_str())
}

#[cfg(test)]
mod tests {
    use super::parse_one;

    #[test]
    fn single_documents() {
        let node =
            parse_one("x", "- name: web\n  key: |\n    one\n    two\n  empty: ~\n- [a, 'null', 010, True]\n").unwrap();
        let [web, list] = node.items().unwrap() else { panic!("{node:?}") };
        assert_eq!(web.get("key").unwrap().written().as_deref(), Some("one\ntwo\n"));
        assert_eq!(web.get("empty").unwrap().written().as_deref(), Some(""));
        let written: Vec<_> = list.items().unwrap().iter().filter_map(super::Node::written).collect();
        assert_eq!(written, ["a", "null", "010", "True"], "scalars as they are written");
        let empty = parse_one("x", "# nothing\n").unwrap();
        assert!(empty.is_null());
        assert_eq!(empty.at.to_string(), "x:1:1");
    }

    #[test]
    fn errors_can_be_shown_without_text() {
        for (document, want) in [
            ("a: hunter2\n b: [", "invalid YAML"),
            ("hunter2: 1\nhunter2: 1", "duplicate key"),
            ("a\n---\nb", "there is a second document"),
            ("? [hunter2]\n: 1", "a list cannot be a key"),
            (&"[".repeat(101), "lists and mappings are nested more than 100 levels deep"),
        ] {
            let problem = parse_one("x", document).unwrap_err().problem.without_text();
            assert!(problem.starts_with(want) && !problem.contains("hunter2"), "{problem}");
        }
    }
}
