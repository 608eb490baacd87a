//! Splits an input into lines, the first step in parsing rules, flavors and labels.

use super::{
    csv::{Quotes, records},
    dialect::Dialect,
    text::trimmed,
};

/// A mistake in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// The line of the input, from 1.
    pub line: usize,
    /// The line's text.
    pub written: String,
    /// The problem with the line.
    pub problem: String,
    /// How to correct it, in the imperative.
    pub hint: String,
}

/// Hint that explains how to quote a field.
pub(super) const QUOTING_HINT: &str =
    "quote the whole field and double the quotes inside it, as in `\"pattern=a\"\"b\"`";

/// Returns the lines of an input with their numbers, without blank lines and comments. Quotes may enclose one line or
/// several.
pub fn lines(text: &str, dialect: Dialect) -> Result<Vec<(usize, String)>, LineError> {
    let all = records(text, Quotes::Relaxed).map_err(|(line, error)| LineError {
        line,
        written: text.lines().nth(line - 1).unwrap_or_default().to_owned(),
        problem: error.to_string(),
        hint: QUOTING_HINT.to_owned(),
    })?;
    let lines = all.into_iter().map(|record| (record.line, trimmed(&record.fields.join(",")).to_owned()));
    let comment = |line: &str| dialect == Dialect::Repaired && line.starts_with('#');
    Ok(lines.filter(|(_, line)| !line.is_empty() && !comment(line)).collect())
}
