//! The runs before this one.

/// The runs of the same workflow on the same branch that ended before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// How many failed since the last that succeeded; 0 if the last one succeeded or there is none.
    pub failures: u32,
}

/// How the end of a run differs from that of the run before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It fails, and the run before did not.
    Broke,
    /// It fails again: this is the failure of this number in a row, from 2.
    StillFailing(u32),
    /// It succeeds, and the run before did not.
    Fixed,
}
