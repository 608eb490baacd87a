//! The colors of messages. PURE.

use super::message::PhaseKind;

/// One color for each kind of phase, as `0xRRGGBB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colors {
    /// In progress.
    pub started: u32,
    /// Succeeded.
    pub success: u32,
    /// Failed.
    pub failure: u32,
    /// Cancelled.
    pub cancelled: u32,
    /// Timed out.
    pub timed_out: u32,
    /// The deployment failed and was rolled back.
    pub rolled_back: u32,
    /// The deployment failed, and so did its rollback.
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
    /// The color for a kind of phase.
    pub fn of(&self, kind: PhaseKind) -> u32 {
        match kind {
            PhaseKind::Started => self.started,
            PhaseKind::Success => self.success,
            PhaseKind::Failure => self.failure,
            PhaseKind::Cancelled => self.cancelled,
            PhaseKind::TimedOut => self.timed_out,
            PhaseKind::RolledBack => self.rolled_back,
            PhaseKind::RollbackFailed => self.rollback_failed,
        }
    }
}
