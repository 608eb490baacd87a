//! The earlier runs.

/// The runs of the same workflow on the same branch that ended before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Number of failed runs since the last successful one; 0 if the last one succeeded or there is none.
    pub failures: u32,
    /// Whether an earlier run succeeded.
    pub succeeded: bool,
}

/// The difference between the outcomes of a run and of the previous run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It failed, and the previous run did not.
    Broke,
    /// It failed again. Contains the number of consecutive failures, at least 2.
    StillFailing(u32),
    /// It succeeded, and the previous run did not.
    Fixed,
}
