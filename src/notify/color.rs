//! The colours of a message's states. PURE.

use super::message::Role;

/// One colour a role, `0xRRGGBB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colors {
    /// While it runs.
    pub started: u32,
    /// It went well.
    pub success: u32,
    /// It failed.
    pub failure: u32,
    /// It was stopped.
    pub cancelled: u32,
    /// It ran out of time.
    pub timed_out: u32,
    /// It failed, and what ran before runs again.
    pub rolled_back: u32,
    /// It failed, and what ran before does not run again.
    pub rollback_failed: u32,
}

impl Default for Colors {
    fn default() -> Self {
        Self {
            started: 0xFE_E75C,
            success: 0x57_F287,
            failure: 0xED_4245,
            cancelled: 0x95_A5A6,
            timed_out: 0xE6_7E22,
            rolled_back: 0x9B_59B6,
            rollback_failed: 0x99_2D22,
        }
    }
}

impl Colors {
    /// The colour for a role.
    pub fn of(&self, role: Role) -> u32 {
        match role {
            Role::Started => self.started,
            Role::Success => self.success,
            Role::Failure => self.failure,
            Role::Cancelled => self.cancelled,
            Role::TimedOut => self.timed_out,
            Role::RolledBack => self.rolled_back,
            Role::RollbackFailed => self.rollback_failed,
        }
    }
}
