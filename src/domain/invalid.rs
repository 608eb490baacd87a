//! The reason why a value is invalid, before it is known where the value comes from.

/// Why a value is invalid, and how to correct it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// What is wrong, as the rest of a sentence that begins with the value: `is not a platform`.
    pub problem: String,
    /// What to do about it, in the imperative.
    pub hint: String,
}

impl Invalid {
    /// Makes one from its two texts.
    pub fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { problem: problem.into(), hint: hint.into() }
    }
}
