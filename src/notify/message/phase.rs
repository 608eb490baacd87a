//! Where a run stands, in a word, a sign and a colour. PURE.

use serde::{Deserialize, Serialize};

use crate::domain::{outcome::RunOutcome, run::RunState, stage::Stage};

/// Where a run stands, as a reader distinguishes it: each has a word and a colour of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It runs, and is in this stage.
    Running(Stage),
    /// All was done.
    Succeeded,
    /// A stage failed.
    Failed,
    /// Someone stopped it.
    Cancelled,
    /// It took longer than the input `timeout` allows.
    TimedOut,
    /// It was killed and could not say so itself; the post stage says it.
    Interrupted,
    /// The deployed release was bad, and the one before runs again.
    RolledBack,
    /// The deployed release was bad, and the one before does not run again.
    RollbackFailed,
    /// It runs elsewhere: nothing is known of its stages.
    Underway,
}

/// What a colour stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Yellow.
    Started,
    /// Green.
    Success,
    /// Red.
    Failure,
    /// Grey.
    Cancelled,
    /// Orange.
    TimedOut,
    /// Purple.
    RolledBack,
    /// Dark red.
    RollbackFailed,
}

impl Phase {
    /// Where this run stands. What the state does not tell ([`Phase::Interrupted`] and those below it) is for the caller
    /// to know.
    pub fn of(state: &RunState) -> Self {
        match &state.outcome {
            None => Self::Running(state.stage),
            Some((RunOutcome::Success, _)) => Self::Succeeded,
            Some((RunOutcome::Failure(_), _)) => Self::Failed,
            Some((RunOutcome::Cancelled, _)) => Self::Cancelled,
            Some((RunOutcome::TimedOut, _)) => Self::TimedOut,
        }
    }

    /// Its colour.
    pub fn role(self) -> Role {
        match self {
            Self::Running(_) | Self::Underway => Role::Started,
            Self::Succeeded => Role::Success,
            Self::Failed => Role::Failure,
            Self::Cancelled | Self::Interrupted => Role::Cancelled,
            Self::TimedOut => Role::TimedOut,
            Self::RolledBack => Role::RolledBack,
            Self::RollbackFailed => Role::RollbackFailed,
        }
    }

    /// The colour as a sign, for clients that hide the colour bar.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Running(_) | Self::Underway => "🟡",
            Self::Succeeded => "🟢",
            Self::Failed => "🔴",
            // With the selector that asks for an emoji: by itself it is a letter-like sign in many fonts.
            Self::Cancelled | Self::Interrupted => "⚪\u{FE0F}",
            Self::TimedOut => "🟠",
            Self::RolledBack => "🟣",
            Self::RollbackFailed => "🚨",
        }
    }

    /// The state in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running(Stage::Plan | Stage::Preflight) => "starting…",
            Self::Running(Stage::Build) => "building…",
            Self::Running(Stage::Publish) => "publishing…",
            Self::Running(Stage::Deploy) => "deploying…",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed out",
            Self::Interrupted => "interrupted",
            Self::RolledBack => "rolled back",
            Self::RollbackFailed => "rollback failed",
            Self::Underway => "running…",
        }
    }

    /// Whether the run goes on.
    pub fn is_open(self) -> bool {
        self.role() == Role::Started
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Phase, Role, Stage};
    use crate::notify::color::Colors;

    #[test]
    fn every_state_has_a_word_and_every_role_a_colour_and_a_sign_of_its_own() {
        let open = [Stage::Preflight, Stage::Build, Stage::Publish, Stage::Deploy].map(Phase::Running);
        let ends = [
            Phase::Succeeded,
            Phase::Failed,
            Phase::Cancelled,
            Phase::TimedOut,
            Phase::RolledBack,
            Phase::RollbackFailed,
        ];
        let all = [&open[..], &ends, &[Phase::Interrupted, Phase::Underway]].concat();
        assert_eq!(all.iter().map(|phase| phase.word()).collect::<BTreeSet<_>>().len(), all.len());
        let signs: BTreeSet<_> = ends.iter().map(|phase| (phase.sign(), Colors::default().of(phase.role()))).collect();
        assert_eq!(signs.len(), ends.len());
        assert!(ends.iter().all(|phase| !phase.is_open() && phase.role() != Role::Started));
        assert!(open.iter().all(|phase| phase.is_open()));
    }
}
