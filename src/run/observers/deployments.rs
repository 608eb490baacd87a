//! All GitHub deployments of a run: its own, and those of its targets.

use std::time::Duration;

use super::{deployment::Environment, target_deployments::TargetDeployments};
use crate::{
    domain::{deployment::Deployment, diagnostic::Diagnostic, event::Event, git_event::GitEvent, run::RunState},
    inputs::{runner::RunnerEnv, typed::Inputs},
    plan::Plan,
};

/// The GitHub deployments of a run.
pub struct Deployments {
    /// That of the run; `Err` is the reason why there is none.
    of_run: Result<Option<Environment>, Diagnostic>,
    of_targets: TargetDeployments,
}

impl Deployments {
    /// Starts to create the deployment of the run, if it has one. A run without a plan has none.
    pub fn start(inputs: &Inputs, env: &RunnerEnv, event: &GitEvent, plan: Option<&Plan>, log_url: &str) -> Self {
        let of_run = plan.map_or(Ok(None), |plan| Environment::start(inputs, env, event, plan, log_url));
        Self { of_run, of_targets: TargetDeployments::new(inputs, env, event, plan, log_url) }
    }

    /// Follows an event of the run.
    pub fn event(&mut self, event: &Event) {
        self.of_targets.event(event);
    }

    /// Sends the outcomes. Takes at most `budget`.
    pub async fn finish(self, run: &RunState, budget: Duration) -> (Vec<Deployment>, Vec<Diagnostic>) {
        let of_run = async {
            match self.of_run {
                Ok(Some(environment)) => environment.finish(run, budget).await,
                Ok(None) => (None, None),
                Err(notice) => (None, Some(notice)),
            }
        };
        let (of_run, of_targets) = tokio::join!(of_run, self.of_targets.finish(budget));
        let (deployments, notices): (Vec<_>, Vec<_>) = std::iter::once(of_run).chain(of_targets).unzip();
        (deployments.into_iter().flatten().collect(), notices.into_iter().flatten().collect())
    }
}
