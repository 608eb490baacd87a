//! What the post stage of a run needs, should the run be killed while it deploys.

use serde::{Deserialize, Serialize};

use super::{end::End, plan::Plan, policy::Run, release::Release, target::Target};

/// A deployment that is about to change a target, for those who must know of it should this process be killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// The target's name.
    pub target: String,
    /// The release.
    pub release: Release,
    /// What changes, and the way back.
    pub plan: Plan,
    /// How far it got.
    pub reached: Reached,
    /// Whether the target has recorded how it ended. The report of the run says the same, once there is one.
    pub is_settled: bool,
}

/// How far a deployment got that is about to change a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reached {
    /// The way back is saved. Nothing is switched.
    Saved,
    /// Services are being switched, or were.
    Switch,
    /// The release is being undone for this reason.
    Undo(String),
}

impl<T: Target> Run<'_, T> {
    /// Notes how far this got, for the post stage of this run.
    pub(super) fn note(&mut self, plan: &Plan, reached: Reached) {
        let (target, release) = (self.target.name().to_owned(), self.release.clone());
        let saved = Saved { target, release, plan: plan.clone(), reached, is_settled: false };
        (self.cx.journal)(self.target.name(), Some(&saved));
        self.noted = Some(saved);
    }

    /// Notes that the deployment has ended. An end that leaves something to find out stays noted; if the target has recorded
    /// it, only until the run has reported it.
    pub(super) fn close(&self, end: &End, is_recorded: bool) {
        let name = self.target.name();
        match &self.noted {
            _ if !end.is_open() => (self.cx.journal)(name, None),
            Some(noted) if is_recorded => (self.cx.journal)(name, Some(&Saved { is_settled: true, ..noted.clone() })),
            _ => {}
        }
    }
}
