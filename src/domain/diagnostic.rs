//! Messages to the user that do not end the run.

/// The severity of a [`Diagnostic`], ordered from the least to the most severe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For information.
    Notice,
    /// A problem that should be fixed.
    Warning,
    /// A problem that makes the run fail.
    Error,
}

/// A message to the user, shown in the log and as an annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The severity.
    pub severity: Severity,
    /// The annotation's title, a few words.
    pub title: String,
    /// The problem, and how to fix it.
    pub message: String,
    /// The position, if it is about a file of the repository.
    pub place: Option<Place>,
}

/// Lines of a file in the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Path relative to the workspace, `/`-separated.
    pub file: String,
    /// First line, from 1.
    pub line: u32,
    /// Last line, from 1; at least `line`.
    pub end_line: u32,
}
