//! How a deployment to one target ended. Pure.

use super::{judge::Fault, target::TargetError};
use crate::domain::deploy::DeployResult::{self, Cancelled, FailedNotRolledBack, FailedRolledBack};

/// How a deployment to one target ended; the part of a report that the policy decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) result: DeployResult,
    pub(super) reason: Option<String>,
    pub(super) hint: Option<String>,
    pub(super) by_hand: Vec<String>,
    pub(super) was_switched: bool,
    pub(super) failed_service: Option<String>,
    pub(super) log: Vec<String>,
}

/// The deployment failed before anything was switched.
impl From<TargetError> for Box<End> {
    fn from(error: TargetError) -> Self {
        let end = End::new(FailedRolledBack).with_error(error);
        let reason = end.reason.clone().unwrap_or_default();
        end.because(format!("{reason}; nothing was switched")).into()
    }
}

impl End {
    pub(super) fn new(result: DeployResult) -> Self {
        Self {
            result,
            reason: None,
            hint: None,
            by_hand: Vec::new(),
            was_switched: false,
            failed_service: None,
            log: Vec::new(),
        }
    }

    /// The release may still run.
    pub(super) fn not_rolled_back(reason: &str, by_hand: Vec<String>) -> Self {
        Self { by_hand, ..Self::new(FailedNotRolledBack).because(reason).switched() }
    }

    pub(super) fn because(self, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }

    pub(super) fn switched(self) -> Self {
        Self { was_switched: true, ..self }
    }

    pub(super) fn with_error(self, error: TargetError) -> Self {
        Self { reason: Some(error.chain()), hint: error.hint, log: error.log, ..self }
    }

    pub(super) fn with(self, service: &str, error: TargetError) -> Self {
        Self { failed_service: Some(service.to_owned()), ..self.with_error(error) }
    }

    pub(super) fn with_fault(self, fault: &Fault, log: Vec<String>) -> Self {
        let Fault { service, problem } = fault;
        Self { failed_service: Some(service.clone()), log, ..self.because(format!("{service}: {problem}")) }
    }

    pub(super) fn caused_by(self, error: &TargetError) -> Self {
        let reason = self.reason.clone().unwrap_or_default();
        Self { hint: error.hint.clone(), ..self.because(format!("{reason}: {}", error.chain())) }
    }

    /// The same failure, but the release was not, or not certainly, rolled back.
    pub(super) fn left(self, problem: &str, by_hand: Vec<String>) -> Self {
        let reason = self.reason.clone().unwrap_or_default();
        Self { result: FailedNotRolledBack, by_hand, ..self.because(format!("{reason}; {problem}")) }
    }

    /// The same failure, but the lock was lost before the end of the rollback.
    pub(super) fn lost(self, lost: Self) -> Self {
        let problem = lost.reason.unwrap_or_default();
        Self { result: lost.result, ..self.left(&problem, lost.by_hand) }
    }

    /// The same failure, but the run was cancelled before the end of the rollback.
    pub(super) fn cancelled(self, problem: &str) -> Self {
        let reason = self.reason.clone().unwrap_or_default();
        Self { result: Cancelled, ..self.because(format!("{reason}; {problem}")) }
    }

    /// Whether somebody still has to find out what runs.
    pub(super) fn is_open(&self) -> bool {
        self.was_switched && matches!(self.result, FailedNotRolledBack | Cancelled)
    }
}
