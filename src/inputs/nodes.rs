//! Reads the values of keys in YAML inputs.

use super::{error::InputError, values::lines};
use crate::{
    domain::{invalid::Invalid, nearest::nearest},
    yaml::{self, Node, Value},
};

/// A mistake in the value of a key.
pub(super) struct Mistake {
    pub(super) line: usize,
    pub(super) value: Option<String>,
    pub(super) reason: Invalid,
}

impl Mistake {
    pub(super) fn new(line: usize, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { line, value: None, reason: Invalid::new(problem, hint) }
    }

    /// The same mistake as an error of an input, with the key.
    pub(super) fn of(self, input: &'static str, key: &str) -> InputError {
        let Self { line, value, reason } = self;
        InputError { value, ..InputError::new(input, reason).at_line(line).at_key(key) }
    }
}

/// Parses the only document of an input.
pub(super) fn document(input: &'static str, text: &str) -> Result<Node, InputError> {
    yaml::parse_one(input, text).map_err(|error| {
        let reason = Invalid::new(error.problem.to_string(), error.problem.hint());
        InputError::new(input, reason).at_line(error.at.line_number())
    })
}

/// Returns the items of a list. A single mapping is a list of one; `None` for anything else.
pub(super) fn one_or_more(document: &Node) -> Option<&[Node]> {
    match &document.value {
        Value::List(items) => Some(items),
        Value::Map(_) => Some(std::slice::from_ref(document)),
        Value::Scalar(_) => None,
    }
}

/// Reports a key that is not one of `keys`.
pub(super) fn unknown_key(input: &'static str, key: &yaml::Key, keys: &[&'static str]) -> InputError {
    let hint = nearest(&key.text, keys.iter().copied())
        .map_or_else(|| format!("use one of {}", keys.join(", ")), |nearest| format!("did you mean `{nearest}`?"));
    InputError::shown(input, &key.text, "is not a known key", hint).at_line(key.at.line_number())
}

/// Returns the text of a scalar; `None` if it is empty.
pub(super) fn text(node: &Node) -> Result<Option<String>, Mistake> {
    let text = node
        .written()
        .ok_or_else(|| Mistake::new(node.at.line_number(), format!("is {}", node.kind()), "write a text"))?;
    Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
}

/// Returns the texts of a list, or the lines of a string.
pub(super) fn texts(node: &Node) -> Result<Vec<String>, Mistake> {
    Ok(items(node)?.into_iter().map(|(_, item)| item).collect())
}

/// Returns the items of a list with their lines. A string is a list with one item per line, without blank lines and
/// comments.
pub(super) fn items(node: &Node) -> Result<Vec<(usize, String)>, Mistake> {
    let line = node.at.line_number();
    match &node.value {
        Value::Scalar(scalar) => {
            let text = scalar.source();
            // The position of a block (`|`) is the position of its first line that is not blank.
            let blank = text.bytes().take_while(|byte| *byte == b'\n').count();
            let first = line.saturating_sub(blank);
            let numbered = text.lines().enumerate();
            let numbered = numbered.filter_map(|(index, text)| Some((first + index, lines(text).next()?)));
            Ok(numbered.map(|(line, text)| (line, text.to_owned())).collect())
        }
        Value::List(items) => {
            let item = |item: &Node| Ok(text(item)?.map(|text| (item.at.line_number(), text)));
            items.iter().filter_map(|node| item(node).transpose()).collect()
        }
        Value::Map(_) => Err(Mistake::new(line, "is a mapping", "write a YAML list")),
    }
}

/// A key with its value, which may be absent.
pub(super) struct Pair {
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) value: Option<String>,
}

/// Returns the entries of a mapping, or the items of a list of `key=value`.
pub(super) fn pairs(node: &Node) -> Result<Vec<Pair>, Mistake> {
    if let Some(entries) = node.entries() {
        let pair = |(key, value): &(yaml::Key, Node)| {
            Ok(Pair { line: key.at.line_number(), key: key.text.clone(), value: text(value)? })
        };
        return entries.iter().map(pair).collect();
    }
    let pair = |(line, item): (usize, String)| match item.split_once('=') {
        Some(("", _)) => Err(Mistake::new(line, "has no name before the `=`", "write `KEY=value`")),
        Some((key, value)) => Ok(Pair { line, key: key.to_owned(), value: Some(value.to_owned()) }),
        None => Ok(Pair { line, key: item, value: None }),
    };
    items(node)?.into_iter().map(pair).collect()
}
