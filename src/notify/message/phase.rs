//! The phase of a run, with its label, emoji and color. PURE.

use serde::{Deserialize, Serialize};

use crate::domain::{
    deploy::DeployResult,
    outcome::RunOutcome,
    run::{RunState, TargetState},
    stage::Stage,
};

/// The phase of a run as messages show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// In this stage.
    Running(Stage),
    /// Succeeded.
    Succeeded,
    /// A stage failed.
    Failed,
    /// Cancelled.
    Cancelled,
    /// It took longer than the input `timeout` allows.
    TimedOut,
    /// Killed without a result. Only the post stage reports it.
    Interrupted,
    /// The deployment failed and was rolled back.
    RolledBack,
    /// The deployment failed, and so did its rollback.
    RollbackFailed,
    /// A job that builds by other means is running; its stages are unknown.
    RunningExternal,
}

/// The kinds of phases, each with its own color.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseKind {
    /// In progress: yellow.
    Started,
    /// Succeeded: green.
    Success,
    /// Failed: red.
    Failure,
    /// Cancelled or interrupted: gray.
    Cancelled,
    /// Timed out: orange.
    TimedOut,
    /// Rolled back: purple.
    RolledBack,
    /// Rollback failed: dark red.
    RollbackFailed,
}

impl Phase {
    /// The phase of this run. [`Phase::Interrupted`] and [`Phase::RunningExternal`] do not follow from the state; the caller
    /// sets them.
    pub fn of(state: &RunState) -> Self {
        match &state.outcome {
            None => Self::Running(state.stage),
            Some((RunOutcome::Success, _)) => Self::Succeeded,
            Some((RunOutcome::Failure(_), _)) => Self::of_failure(state),
            Some((RunOutcome::Cancelled, _)) => Self::Cancelled,
            Some((RunOutcome::TimedOut, _)) => Self::TimedOut,
        }
    }

    /// The phase of a failed run: what the failed deployment left behind, if it was one.
    fn of_failure(state: &RunState) -> Self {
        let reports = || state.targets.iter().filter_map(TargetState::report);
        if reports().any(|report| report.result == DeployResult::FailedNotRolledBack) {
            Self::RollbackFailed
        } else if reports().any(|report| report.result == DeployResult::FailedRolledBack && report.was_switched) {
            Self::RolledBack
        } else {
            Self::Failed
        }
    }

    /// The kind, which decides the color.
    pub fn kind(self) -> PhaseKind {
        match self {
            Self::Running(_) | Self::RunningExternal => PhaseKind::Started,
            Self::Succeeded => PhaseKind::Success,
            Self::Failed => PhaseKind::Failure,
            Self::Cancelled | Self::Interrupted => PhaseKind::Cancelled,
            Self::TimedOut => PhaseKind::TimedOut,
            Self::RolledBack => PhaseKind::RolledBack,
            Self::RollbackFailed => PhaseKind::RollbackFailed,
        }
    }

    /// An emoji for the kind, for clients that hide the color bar.
    pub fn emoji(self) -> &'static str {
        match self {
            Self::Running(_) | Self::RunningExternal => "🟡",
            Self::Succeeded => "🟢",
            Self::Failed => "🔴",
            // With the emoji variation selector: without it, many fonts draw a text symbol.
            Self::Cancelled | Self::Interrupted => "⚪\u{FE0F}",
            Self::TimedOut => "🟠",
            Self::RolledBack => "🟣",
            Self::RollbackFailed => "🚨",
        }
    }

    /// The phase in a word or two.
    pub fn label(self) -> &'static str {
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
            Self::RunningExternal => "running…",
        }
    }

    /// Whether the run is still in progress.
    pub fn is_running(self) -> bool {
        self.kind() == PhaseKind::Started
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Phase, PhaseKind, Stage};
    use crate::notify::color::Colors;

    #[test]
    fn every_phase_has_its_own_label_and_every_kind_its_own_color_and_emoji() {
        let open = [Stage::Preflight, Stage::Build, Stage::Publish, Stage::Deploy].map(Phase::Running);
        let ends = [
            Phase::Succeeded,
            Phase::Failed,
            Phase::Cancelled,
            Phase::TimedOut,
            Phase::RolledBack,
            Phase::RollbackFailed,
        ];
        let all = [&open[..], &ends, &[Phase::Interrupted, Phase::RunningExternal]].concat();
        assert_eq!(all.iter().map(|phase| phase.label()).collect::<BTreeSet<_>>().len(), all.len());
        let looks: BTreeSet<_> = ends.iter().map(|phase| (phase.emoji(), Colors::default().of(phase.kind()))).collect();
        assert_eq!(looks.len(), ends.len());
        assert!(ends.iter().all(|phase| !phase.is_running() && phase.kind() != PhaseKind::Started));
        assert!(open.iter().all(|phase| phase.is_running()));
    }
}
