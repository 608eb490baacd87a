//! How a run ended.

use super::failure::Failure;

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum RunOutcome {
    /// Everything was done.
    Success,
    /// A stage failed.
    Failure(Box<Failure>),
    /// The runner sent a signal (`SIGINT` or `SIGTERM`).
    Cancelled,
    /// The time of the input `timeout` ran out.
    TimedOut,
}
