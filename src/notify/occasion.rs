//! Which moments of a run are worth a message, and which a mention. PURE.

use super::message::{Phase, Role};
use crate::domain::{history::Change, run::RunState};

/// Which moments are worth a message: the input `notify-on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyOn {
    /// These, whatever came before.
    Moments(Moments),
    /// An end that differs from that of the run before: it broke, or it is fixed. Where the runs before are not known,
    /// every failure.
    Change,
}

/// A set of moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moments(u8);

impl Moments {
    /// All of them.
    pub const ALL: Self = Self(0b1111);

    /// These and one more. A run that timed out or whose release was bad has failed.
    #[must_use]
    pub fn and(self, role: Role) -> Self {
        Self(self.0 | Self::bit(role))
    }

    fn has(self, role: Role) -> bool {
        self.0 & Self::bit(role) != 0
    }

    fn bit(role: Role) -> u8 {
        match role {
            Role::Started => 1,
            Role::Success => 2,
            Role::Failure | Role::TimedOut | Role::RolledBack | Role::RollbackFailed => 4,
            Role::Cancelled => 8,
        }
    }
}

impl NotifyOn {
    /// No message at all.
    pub const NEVER: Self = Self::Moments(Moments(0));
    /// All moments.
    pub const ALWAYS: Self = Self::Moments(Moments::ALL);

    /// Whether the start is worth one.
    pub fn start(self) -> bool {
        matches!(self, Self::Moments(moments) if moments.has(Role::Started))
    }

    /// Whether this end of the run is worth one.
    pub fn end(self, phase: Phase, state: &RunState) -> bool {
        match self {
            Self::Moments(moments) => moments.has(phase.role()),
            Self::Change => match state.change() {
                Some(Change::Broke | Change::Fixed) => true,
                Some(Change::StillFailing(_)) => false,
                None => state.history.is_none() && failed(phase),
            },
        }
    }
}

/// When someone is mentioned: the input `mention-on`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MentionOn {
    /// Whenever a run fails.
    #[default]
    Failure,
    /// When a run fails and the one before did not, as far as that is known.
    FirstFailure,
    /// Never.
    Never,
}

impl MentionOn {
    /// Whether this end of the run calls for it.
    pub fn end(self, phase: Phase, state: &RunState) -> bool {
        failed(phase)
            && match self {
                Self::Failure => true,
                Self::FirstFailure => !matches!(state.change(), Some(Change::StillFailing(_))),
                Self::Never => false,
            }
    }
}

fn failed(phase: Phase) -> bool {
    Moments::default().and(Role::Failure).has(phase.role())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;

    use super::{MentionOn, Moments, NotifyOn};
    use crate::{
        domain::{
            failure::Failure,
            history::History,
            outcome::RunOutcome,
            run::{RunInfo, RunState},
            stage::Stage,
        },
        notify::message::{Phase, Role},
    };

    fn ended(failures: Option<u32>, outcome: RunOutcome) -> RunState {
        let mut state = RunState::new(RunInfo::default(), DateTime::UNIX_EPOCH);
        state.history = failures.map(|failures| History { failures });
        state.outcome = Some((outcome, Duration::from_secs(1)));
        state
    }

    #[test]
    fn a_change_is_what_broke_or_was_fixed() {
        let failure = || RunOutcome::Failure(Box::new(Failure::new(Stage::Build, "no", None)));
        for (failures, outcome, message, first) in [
            (Some(0), failure(), true, true),
            (Some(1), failure(), false, false),
            (Some(4), RunOutcome::TimedOut, false, false),
            (Some(0), RunOutcome::TimedOut, true, true),
            (Some(2), RunOutcome::Success, true, false),
            (Some(0), RunOutcome::Success, false, false),
            (Some(1), RunOutcome::Cancelled, false, false),
            (None, failure(), true, true),
            (None, RunOutcome::Success, false, false),
            (None, RunOutcome::Cancelled, false, false),
        ] {
            let state = ended(failures, outcome.clone());
            let phase = Phase::of(&state);
            assert_eq!(NotifyOn::Change.end(phase, &state), message, "{failures:?} {outcome:?}");
            assert_eq!(MentionOn::FirstFailure.end(phase, &state), first, "{failures:?} {outcome:?}");
            let red = matches!(outcome, RunOutcome::Failure(_) | RunOutcome::TimedOut);
            assert_eq!(MentionOn::Failure.end(phase, &state), red);
            assert!(!MentionOn::Never.end(phase, &state));
        }
        assert!(!NotifyOn::Change.start() && NotifyOn::ALWAYS.start() && !NotifyOn::NEVER.start());
    }

    #[test]
    fn a_bad_release_is_a_failure() {
        let state = ended(None, RunOutcome::Success);
        let failure = NotifyOn::Moments(Moments::default().and(Role::Failure));
        for phase in [Phase::RolledBack, Phase::RollbackFailed, Phase::TimedOut] {
            assert!(failure.end(phase, &state) && MentionOn::Failure.end(phase, &state));
        }
        assert!(!failure.end(Phase::Interrupted, &state));
    }
}
