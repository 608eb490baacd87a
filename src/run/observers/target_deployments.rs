//! The GitHub deployments of targets with the key `environment`. Each is created when its target is about to change, and
//! updated when all servers of the target are done. A target that already runs the release has none.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::{task::JoinHandle, time::timeout};

use super::{
    deployment::{Environment, Slot, late, no_client, outcome_of},
    history,
};
use crate::{
    domain::{
        deploy::{DeployReport, DeployStep},
        deployment::{Deployment, DeploymentOutcome},
        diagnostic::Diagnostic,
        event::Event,
        git_event::GitEvent,
    },
    github::{
        client::Client,
        deployments::{Lifetime, Wanted},
    },
    inputs::{runner::RunnerEnv, typed::Inputs},
    plan::Plan,
    run::{saved, targets},
};

/// How long a final status may take while the run goes on.
const STATUS: Duration = Duration::from_secs(30);

/// What became of a deployment: what is known of it, and a message.
type Ended = (Option<Deployment>, Option<Diagnostic>);

/// The GitHub deployments of a run's targets.
pub struct TargetDeployments {
    client: Option<Client>,
    env: RunnerEnv,
    sha: String,
    log_url: String,
    groups: Vec<Group>,
    ended: Vec<JoinHandle<Ended>>,
    notices: Vec<Diagnostic>,
}

/// A target, which can have several servers.
struct Group {
    environment: String,
    url: Option<String>,
    slot: Slot,
    servers: Vec<String>,
    /// The deployment, between its start and its end.
    deployment: Option<Environment>,
    /// The servers that are done.
    reports: Vec<DeployReport>,
}

impl TargetDeployments {
    /// Finds the targets that have a deployment of their own. A target with the environment of the whole run has none.
    pub fn new(inputs: &Inputs, env: &RunnerEnv, event: &GitEvent, plan: Option<&Plan>, log_url: &str) -> Self {
        let of_run = inputs.deploy.environment.as_ref();
        let targets = plan.into_iter().flat_map(|plan| &plan.deploy).filter(|target| target.skipped.is_none());
        let wanted = targets.filter_map(|target| {
            let environment = target.input.environment.as_ref().filter(|name| Some(*name) != of_run)?;
            Some((environment.clone(), &target.input))
        });
        let groups: Vec<Group> = wanted
            .enumerate()
            .map(|(at, (environment, input))| Group {
                environment,
                url: input.url.clone().or_else(|| inputs.deploy.environment_url.clone()),
                slot: Slot(at + 1),
                servers: targets::names_of(input),
                deployment: None,
                reports: Vec::new(),
            })
            .collect();
        for group in &groups {
            let names = serde_json::to_string(&group.servers).unwrap_or_default();
            // If this fails, the post stage repairs nothing.
            let _ = saved::write(env, &[(&group.slot.targets(), &names)]);
        }
        Self {
            client: history::client(inputs, env, event).filter(|_| !event.sha.is_empty()),
            env: env.clone(),
            sha: event.sha.clone(),
            log_url: log_url.to_owned(),
            groups,
            ended: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// Follows an event of the run.
    pub fn event(&mut self, event: &Event) {
        let Event::Deploy { target, step } = event else { return };
        let Some(group) = self.groups.iter_mut().find(|group| group.servers.contains(target)) else { return };
        match step {
            // From here on, the target changes.
            DeployStep::Preparing if group.deployment.is_none() => {
                let Some(client) = &self.client else {
                    self.notices.push(no_client(&group.environment));
                    return;
                };
                let wanted = Wanted {
                    environment: group.environment.clone(),
                    sha: self.sha.clone(),
                    description: format!("deployment to {target}"),
                    lifetime: Lifetime::Permanent,
                };
                let (client, url) = (client.clone(), group.url.clone());
                group.deployment = Some(Environment::create(client, &self.env, group.slot, wanted, url, &self.log_url));
            }
            DeployStep::Finished(report) => {
                group.reports.push((**report).clone());
                if group.reports.len() == group.servers.len() {
                    self.ended.extend(group.end(&self.log_url, STATUS));
                }
            }
            _ => {}
        }
    }

    /// Sends the outcomes that were not sent yet, and waits for the others. Takes at most `budget`.
    pub async fn finish(mut self, budget: Duration) -> Vec<Ended> {
        let rest: Vec<_> = self.groups.iter_mut().filter_map(|group| group.end(&self.log_url, budget)).collect();
        let ended = self.ended.into_iter().chain(rest).map(|task| async {
            match timeout(budget, task).await {
                Ok(Ok(ended)) => ended,
                Ok(Err(_)) | Err(_) => (None, Some(late())),
            }
        });
        let mut ended = join_all(ended).await;
        ended.extend(self.notices.into_iter().map(|notice| (None, Some(notice))));
        ended
    }
}

impl Group {
    /// Starts to send the outcome, if a deployment is in progress.
    fn end(&mut self, log_url: &str, budget: Duration) -> Option<JoinHandle<Ended>> {
        let deployment = self.deployment.take()?;
        let reports: Vec<&DeployReport> = self.reports.iter().collect();
        let (outcome, description) = outcome_of(&reports)
            .unwrap_or_else(|| (DeploymentOutcome::Cancelled, "the deployment was cancelled".to_owned()));
        let log_url = log_url.to_owned();
        Some(tokio::spawn(async move { deployment.end(outcome, description, &log_url, budget).await }))
    }
}
