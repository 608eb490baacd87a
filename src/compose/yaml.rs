//! A YAML document as a tree in which every node knows its line and column.
//!
//! Built on the events of `saphyr-parser`. Aliases and merge keys (`<<`) are replaced by what they stand for, so
//! that nothing downstream knows of them; the tags `!reset` and `!override` of Compose stay on their nodes.
//! Absent on purpose: complex keys, and tags other than those two and the core schema's.

mod indent;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};

use self::indent::{Lines, Mended};
use super::{
    budget::{MAX_KEY, Size},
    error::ComposeError,
    scalar::{Scalar, resolve},
};

/// A position in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A value in a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it stands; behind an alias, where the anchor stands.
    pub at: At,
    /// What it does to a value that an earlier file gave.
    pub role: Role,
    /// What it is.
    pub value: Value,
}

/// What a node does to the value under the same path in a file that came before
/// (<https://github.com/compose-spec/compose-spec/blob/main/13-merge.md>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is merged with it.
    Merge,
    /// It removes it (`!reset`).
    Reset,
    /// It takes its place (`!override`).
    Override,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A single value.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file. Keys are unique.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its text.
    pub text: String,
    /// Where it stands.
    pub at: At,
}

impl Node {
    /// A string that stands at `at`.
    pub fn text(at: &At, text: impl Into<String>) -> Self {
        Self { at: at.clone(), role: Role::Merge, value: Value::Scalar(Scalar::Text(text.into())) }
    }

    /// A mapping that stands at `at`.
    pub fn map(at: &At, entries: Vec<(Key, Self)>) -> Self {
        Self { at: at.clone(), role: Role::Merge, value: Value::Map(entries) }
    }

    /// Whether it is empty or `null`.
    pub fn is_null(&self) -> bool {
        self.value == Value::Scalar(Scalar::Null)
    }

    /// Its entries, if it is a mapping.
    pub fn entries(&self) -> Option<&[(Key, Self)]> {
        if let Value::Map(entries) = &self.value { Some(entries) } else { None }
    }

    /// The value under a key, if it is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries()?.iter().find(|(k, _)| k.text == key).map(|(_, node)| node)
    }

    /// What it is, for an error: `a list`.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) => scalar.kind(),
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// How deep lists and mappings may be nested.
pub const MAX_DEPTH: usize = 100;

/// Parses all documents of a file. One without any content has none.
///
/// `file` is how the text is called in errors.
pub fn parse(file: &str, text: &str) -> Result<Vec<Node>, ComposeError> {
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
            Some(error) => {
                let at = tree.at(*error.marker());
                match lines.mend(&error) {
                    Mended::Yes => {}
                    Mended::No => {
                        let hint = "check indentation, quotes and brackets up to here";
                        return Err(syntax(at, format!("no valid YAML ({}): {hint}", error.info())));
                    }
                    Mended::TooMany => {
                        let problem = "too many lines within brackets or quotes are indented less than what is around \
                                       them: indent them";
                        return Err(syntax(at, problem));
                    }
                }
            }
        }
    }
}

/// A list or mapping that is not closed yet.
struct Frame {
    at: At,
    role: Role,
    anchor: usize,
    /// Its size so far, aliases written out.
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

fn syntax(at: At, problem: impl Into<String>) -> ComposeError {
    ComposeError::Syntax { at, problem: problem.into() }
}

struct Tree<'a> {
    file: Arc<str>,
    lines: &'a Lines,
    /// Finished nodes that have an anchor, and their size.
    anchors: HashMap<usize, (Node, Size)>,
    /// The size of all that ever had an anchor.
    anchored: Size,
    frames: Vec<Frame>,
    total: Size,
    root: Option<Node>,
    documents: Vec<Node>,
}

/// A scalar that is a merge key when it stands where a key does.
#[derive(Clone, Copy, PartialEq)]
enum Plain {
    Yes,
    No,
}

impl Tree<'_> {
    /// Takes in a whole text. `Ok(Some(_))` is what the parser complains of.
    fn read(&mut self, text: &str) -> Result<Option<ScanError>, ComposeError> {
        let mut parser = Parser::new(StrInput::new(text));
        while let Some(event) = parser.next_event() {
            match event {
                Ok((event, span)) => self.take(event, span.start)?,
                Err(error) => return Ok(Some(error)),
            }
        }
        Ok(None)
    }

    fn at(&self, marker: Marker) -> At {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let column = marker.col().saturating_sub(self.lines.moved(marker.line())) + 1;
        At { file: self.file.clone(), line: number(marker.line()), column: number(column) }
    }

    fn take(&mut self, event: Event<'_>, marker: Marker) -> Result<(), ComposeError> {
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
                    return Err(syntax(at, "an alias stands within its own anchor: remove one of the two"));
                };
                self.put(node, size, at)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let role = role_of(tag.as_deref());
                let plain = if style == ScalarStyle::Plain && tag.is_none() { Plain::Yes } else { Plain::No };
                let scalar = resolve(&text, style == ScalarStyle::Plain, tag.as_deref().and_then(core_type));
                let node = Node { at: at.clone(), role, value: Value::Scalar(scalar) };
                let size = Size::scalar(&text);
                self.remember(anchor, &node, size, &at)?;
                self.place(node, size, &text, plain, at)
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

    fn open(&mut self, at: At, role: Role, anchor: usize, kind: FrameKind) -> Result<(), ComposeError> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(syntax(at, format!("lists and mappings are nested more than {MAX_DEPTH} deep")));
        }
        self.frames.push(Frame { at, role, anchor, size: Size::scalar(""), kind });
        Ok(())
    }

    fn close(&mut self) -> Result<(), ComposeError> {
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
        // Its parts were counted when they came.
        self.total.subtract(Size { values: size.values - 1, bytes: size.bytes });
        self.put(node, size, at)
    }

    /// Keeps a copy of what has an anchor. Anchors within anchors are copied as often as they are nested.
    fn remember(&mut self, anchor: usize, node: &Node, size: Size, at: &At) -> Result<(), ComposeError> {
        if anchor > 0 {
            self.anchored.add(size);
            self.anchored.check_file(at, "anchors")?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(())
    }

    fn put(&mut self, node: Node, size: Size, at: At) -> Result<(), ComposeError> {
        let text = match &node.value {
            Value::Scalar(scalar) => scalar.text().into_owned(),
            Value::List(_) | Value::Map(_) => String::new(),
        };
        self.place(node, size, &text, Plain::No, at)
    }

    /// Puts a finished node where it belongs: as an item, a key, a value or the document's root.
    fn place(&mut self, node: Node, size: Size, text: &str, plain: Plain, at: At) -> Result<(), ComposeError> {
        self.total.add(size);
        self.total.check_file(&at, "aliases")?;
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
                        let problem = format!("{} cannot be a key: write a name", node.kind());
                        return Err(syntax(at, problem));
                    }
                    if text.len() > MAX_KEY {
                        return Err(syntax(at, format!("a key is longer than {MAX_KEY} bytes: use a shorter one")));
                    }
                    if !seen.insert(text.to_owned()) {
                        let what = if plain == Plain::Yes && text == "<<" {
                            "has a second `<<`: write `<<: [*a, *b]`".to_owned()
                        } else {
                            format!("has the key `{text}` twice: remove one of them")
                        };
                        return Err(syntax(at, format!("the mapping {what}")));
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

/// Adds what `<<` stands for: keys that are there win, then the first mapping of a list
/// (<https://yaml.org/type/merge.html>).
fn merge_in(entries: &mut Vec<(Key, Node)>, merged: Node) -> Result<(), ComposeError> {
    let at = merged.at.clone();
    let sources = match merged.value {
        Value::List(items) => items,
        value => vec![Node { value, ..merged }],
    };
    let mut seen: HashSet<String> = entries.iter().map(|(key, _)| key.text.clone()).collect();
    for source in sources {
        let Value::Map(more) = source.value else {
            let problem = "`<<` needs a mapping or a list of mappings, such as `<<: *name`".to_owned();
            return Err(syntax(at, problem));
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

/// `str` of `!!str`.
fn core_type(tag: &Tag) -> Option<&str> {
    tag.is_yaml_core_schema().then_some(tag.suffix.as_str())
}
