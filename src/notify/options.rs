//! The settings and time budgets of a run's notifications.

use std::time::Duration;

use super::{
    delivery::Timing,
    policy::{MentionOn, NotifyOn},
};

/// Longest time that a run waits for its final message. A slow or unreachable service delays a build no longer than this.
pub const FINAL_BUDGET: Duration = Duration::from_secs(5);

/// Longest time after a cancellation: the runner kills the process 7.5 s after the first signal.
pub const CANCEL_BUDGET: Duration = Duration::from_secs(2);

/// When messages are sent.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The phases that send a message.
    pub on: NotifyOn,
    /// The outcomes that mention someone.
    pub mention_on: MentionOn,
    /// Timeouts and pauses.
    pub timing: Timing,
}
