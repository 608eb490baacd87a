//! Decides which phases of a run send a message and which outcomes mention someone. PURE.

use super::message::{Phase, PhaseKind};
use crate::domain::{history::Change, run::RunState};

/// When a message is sent: the input `notify-on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyOn {
    /// In these phases, regardless of earlier runs.
    Kinds(PhaseKinds),
    /// When the outcome differs from that of the previous run: a new failure, or a fix. If the earlier runs are unknown,
    /// on every failure.
    Change,
}

/// A set of phase kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhaseKinds(u8);

impl PhaseKinds {
    /// All of them.
    pub const ALL: Self = Self(0b1111);

    /// Adds a kind. A timeout and a failed deployment count as failures.
    #[must_use]
    pub fn and(self, kind: PhaseKind) -> Self {
        Self(self.0 | Self::bit(kind))
    }

    fn has(self, kind: PhaseKind) -> bool {
        self.0 & Self::bit(kind) != 0
    }

    fn bit(kind: PhaseKind) -> u8 {
        match kind {
            PhaseKind::Started => 1,
            PhaseKind::Success => 2,
            PhaseKind::Failure | PhaseKind::TimedOut | PhaseKind::RolledBack | PhaseKind::RollbackFailed => 4,
            PhaseKind::Cancelled => 8,
        }
    }
}

impl NotifyOn {
    /// No message at all.
    pub const NEVER: Self = Self::Kinds(PhaseKinds(0));
    /// A message in every phase.
    pub const ALWAYS: Self = Self::Kinds(PhaseKinds::ALL);

    /// Whether the start of a run sends a message.
    pub fn start(self) -> bool {
        matches!(self, Self::Kinds(kinds) if kinds.has(PhaseKind::Started))
    }

    /// Whether this outcome sends a message.
    pub fn end(self, phase: Phase, state: &RunState) -> bool {
        match self {
            Self::Kinds(kinds) => kinds.has(phase.kind()),
            Self::Change => match state.change() {
                Some(Change::Broke | Change::Fixed) => true,
                Some(Change::StillFailing(_)) => false,
                // Without a success before it, a failure is no change, but nobody was notified of it yet.
                None => state.history.is_none_or(|history| !history.succeeded) && failed(phase),
            },
        }
    }
}

/// When someone is mentioned: the input `mention-on`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MentionOn {
    /// On every failure.
    #[default]
    Failure,
    /// On a failure, unless the previous run is known to have failed too.
    FirstFailure,
    /// Never.
    Never,
}

impl MentionOn {
    /// Whether this outcome mentions someone.
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
    PhaseKinds::default().and(PhaseKind::Failure).has(phase.kind())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;

    use super::{MentionOn, NotifyOn, PhaseKinds};
    use crate::{
        domain::{
            failure::Failure,
            history::History,
            outcome::RunOutcome,
            run::{RunInfo, RunState},
            stage::Stage,
        },
        notify::message::{Phase, PhaseKind},
    };

    fn ended(failures: Option<u32>, outcome: RunOutcome) -> RunState {
        let mut state = RunState::new(RunInfo::default(), DateTime::UNIX_EPOCH);
        state.history = failures.map(|failures| History { failures, succeeded: true });
        state.outcome = Some((outcome, Duration::from_secs(1)));
        state
    }

    #[test]
    fn a_change_is_a_new_failure_or_a_fix() {
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
    fn a_failed_deployment_is_a_failure() {
        let state = ended(None, RunOutcome::Success);
        let failure = NotifyOn::Kinds(PhaseKinds::default().and(PhaseKind::Failure));
        for phase in [Phase::RolledBack, Phase::RollbackFailed, Phase::TimedOut] {
            assert!(failure.end(phase, &state) && MentionOn::Failure.end(phase, &state));
        }
        assert!(!failure.end(Phase::Interrupted, &state));
    }
}
