//! An invalid input.

use std::fmt;

use thiserror::Error;

use crate::domain::invalid::Invalid;

/// An error in one input. All errors of a run are reported together. Never contains a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct InputError {
    /// The input's name.
    pub input: String,
    /// The line within the input, from 1, if the input has several lines.
    pub line: Option<usize>,
    /// The key, if the input is YAML.
    pub key: Option<String>,
    /// The invalid value, shortened; `None` if it is secret or absent.
    pub value: Option<String>,
    /// The problem with the value, or with the input if there is no value: `is not a platform`.
    pub problem: String,
    /// How to correct it, in the imperative.
    pub hint: String,
}

impl InputError {
    /// Maximum length of a shown value, in characters.
    const SHOWN: usize = 120;

    /// Creates an error that does not contain the value, because it is secret or not needed.
    pub fn hidden(input: &str, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        let (problem, hint) = (problem.into(), hint.into());
        Self { input: input.to_owned(), line: None, key: None, value: None, problem, hint }
    }

    /// Creates an error that contains the invalid value.
    pub fn shown(input: &str, value: &str, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        let mut short: String = value.chars().take(Self::SHOWN).collect();
        if short.len() < value.len() {
            short.push('…');
        }
        Self { value: Some(short), ..Self::hidden(input, problem, hint) }
    }

    /// Creates an error that does not contain the value, because it is secret or not needed.
    pub fn new(input: &str, reason: Invalid) -> Self {
        Self::hidden(input, reason.problem, reason.hint)
    }

    /// Returns the same error for a line of the input.
    #[must_use]
    pub fn at_line(self, line: usize) -> Self {
        Self { line: Some(line), ..self }
    }

    /// Returns the same error for the value of a key.
    #[must_use]
    pub fn at_key(self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "input `{}`", self.input)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ", `{key}`")?;
        }
        f.write_str(": ")?;
        if let Some(value) = &self.value {
            write!(f, "`{}` ", value.escape_debug())?;
        }
        write!(f, "{}; {}", self.problem, self.hint)
    }
}
