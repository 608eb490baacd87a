//! The reason why a value is invalid, independent of the value's source.

/// The reason why a value is invalid, and how to correct it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The problem, as the rest of a sentence that begins with the value: `is not a platform`.
    pub problem: String,
    /// How to correct the value, in the imperative.
    pub hint: String,
}

impl Invalid {
    /// Creates one from its two texts.
    pub fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { problem: problem.into(), hint: hint.into() }
    }
}
