//! The outcome of a run.

use super::failure::Failure;

/// The outcome of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum RunOutcome {
    /// All stages succeeded.
    Success,
    /// A stage failed.
    Failure(Box<Failure>),
    /// The runner sent a signal (`SIGINT` or `SIGTERM`).
    Cancelled,
    /// The time limit of the input `timeout` was exceeded.
    TimedOut,
}
