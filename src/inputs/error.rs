//! A mistake in what the user wrote.

use std::fmt;

use thiserror::Error;

/// A mistake in one input: which, what stood there, why it is wrong and what to write instead.
/// All mistakes of a run are reported together. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct InputError {
    /// The input's name.
    pub input: String,
    /// What was written, shortened; `None` where it is secret or absent.
    pub value: Option<String>,
    /// Why it is wrong.
    pub problem: String,
    /// What to do.
    pub fix: String,
}

impl InputError {
    /// Longer values are cut in messages, in characters.
    const SHOWN: usize = 120;

    /// A mistake in an input whose value may not, or need not, be shown.
    pub fn hidden(input: &str, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { input: input.to_owned(), value: None, problem: problem.into(), fix: fix.into() }
    }

    /// A mistake in an input, with the value that is wrong.
    pub fn shown(input: &str, value: &str, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        let mut short: String = value.chars().take(Self::SHOWN).collect();
        if short.len() < value.len() {
            short.push('…');
        }
        Self { value: Some(short), ..Self::hidden(input, problem, fix) }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "input `{}`", self.input)?;
        if let Some(value) = &self.value {
            write!(f, ", value `{}`", value.escape_debug())?;
        }
        write!(f, ": {}; {}", self.problem, self.fix)
    }
}
