//! GitHub deployments: of a run with the input `environment`, created at its start and updated at its end, and of a target
//! with the key `environment` (see [`super::target_deployments`]).
//!
//! If the job itself has `environment:` with the same name, GitHub has already created a deployment and updates it;
//! then that deployment is only reported.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{chat, history};
use crate::{
    domain::{
        deploy::{DeployReport, DeployResult},
        deployment::{Deployment, DeploymentOutcome},
        diagnostic::{Diagnostic, Severity},
        git_event::GitEvent,
        outcome::RunOutcome,
        run::RunState,
        stage::Stage,
    },
    github::{
        client::{ApiError, Client},
        deployments::{self, Lifetime, State, Status, Wanted},
    },
    inputs::{
        runner::RunnerEnv,
        typed::{CommandInput, Inputs},
    },
    plan::Plan,
    report::{deployments::words, human},
    retry::RetryPolicy,
    run::saved,
};

const TITLE: &str = "GitHub deployment";
/// The first pause before the final status is sent again: a deployment that stays in progress is misleading.
const PAUSE: Duration = Duration::from_millis(250);

/// Where the post stage finds a deployment in `GITHUB_STATE`: number 0 is that of the run, the others are those of targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(pub(super) usize);

impl Slot {
    /// Name of the deployment's id.
    fn id(self) -> String {
        if self.0 == 0 { "deployment".to_owned() } else { format!("deployment-{}", self.0) }
    }

    /// Name of the final status, before it is sent.
    fn status(self) -> String {
        format!("{}-status", self.id())
    }

    /// Name of the mark that the final status was sent.
    fn settled(self) -> String {
        format!("{}-settled", self.id())
    }

    /// Name of the list of the targets that the deployment is for.
    pub(super) fn targets(self) -> String {
        format!("{}-targets", self.id())
    }
}

/// A deployment in progress.
#[derive(Debug)]
pub struct Environment {
    client: Client,
    env: RunnerEnv,
    slot: Slot,
    name: String,
    url: Option<String>,
    made: JoinHandle<Result<Made, ApiError>>,
}

/// The owner of a deployment.
#[derive(Clone, Copy, Debug)]
enum Made {
    /// This run created it and updates it.
    Ours(u64),
    /// GitHub created it for the job and updates it.
    Jobs(u64),
}

impl Environment {
    /// Starts to create the deployment that the inputs request. Returns `Ok(None)` if they request none; `Err` is a
    /// notice with the reason why none was created.
    pub fn start(
        inputs: &Inputs,
        env: &RunnerEnv,
        event: &GitEvent,
        plan: &Plan,
        log_url: &str,
    ) -> Result<Option<Self>, Diagnostic> {
        let Some(name) = inputs.deploy.environment.clone() else { return Ok(None) };
        if !plan.push.enabled {
            let message = format!("no deployment was created for {name}: nothing is pushed, {}", plan.push.reason);
            return Err(notice(message));
        }
        let client = history::client(inputs, env, event).filter(|_| !event.sha.is_empty());
        let Some(client) = client else {
            return Err(no_client(&name));
        };
        let wanted = Wanted {
            environment: name.clone(),
            sha: event.sha.clone(),
            description: match inputs.command {
                CommandInput::Deploy => "deployment".to_owned(),
                CommandInput::Rollback => "rollback".to_owned(),
                _ => format!("build and push of {}", human::count(plan.images.len(), "image")),
            },
            lifetime: if event.is_trial() { Lifetime::PullRequest } else { Lifetime::Permanent },
        };
        let url = inputs.deploy.environment_url.clone();
        Ok(Some(Self::create(client, env, Slot(0), wanted, url, log_url)))
    }

    /// Starts to create a deployment.
    pub(super) fn create(
        client: Client,
        env: &RunnerEnv,
        slot: Slot,
        wanted: Wanted,
        url: Option<String>,
        log_url: &str,
    ) -> Self {
        let name = wanted.environment.clone();
        let begun = Status {
            state: State::InProgress,
            log_url: log_url.to_owned(),
            environment_url: url.clone(),
            description: wanted.description.clone(),
        };
        let run = env.var("GITHUB_RUN_ID").and_then(|id| id.parse().ok());
        let commit = env.var("GITHUB_SHA").unwrap_or_default().to_owned();
        let made = tokio::spawn(make(client.clone(), env.clone(), slot, wanted, begun, run, commit));
        Self { client, env: env.clone(), slot, name, url, made }
    }

    /// Sends the outcome of the run. Takes at most `budget`.
    pub async fn finish(self, run: &RunState, budget: Duration) -> (Option<Deployment>, Option<Diagnostic>) {
        self.end(outcome(run), description(run), &run.info.job_url, budget).await
    }

    /// Sends an outcome. Takes at most `budget`.
    pub(super) async fn end(
        mut self,
        outcome: DeploymentOutcome,
        description: String,
        log_url: &str,
        budget: Duration,
    ) -> (Option<Deployment>, Option<Diagnostic>) {
        let deadline = Instant::now() + budget;
        let status = Status {
            state: state(outcome),
            log_url: log_url.to_owned(),
            environment_url: self.url.clone(),
            description,
        };
        if let Ok(text) = serde_json::to_string(&status) {
            // If this fails, the post stage reports less detail.
            let _ = saved::write(&self.env, &[(&self.slot.status(), &text)]);
        }
        let made = match timeout_at(deadline, &mut self.made).await {
            Ok(Ok(made)) => made,
            // It timed out, or it panicked.
            Ok(Err(_)) | Err(_) => Err(slow()),
        };
        self.made.abort();
        let (id, is_ours) = match made {
            Ok(Made::Jobs(id)) => (id, false),
            Ok(Made::Ours(id)) => (id, true),
            Err(error) => return (None, Some(refused(&self.name, &error))),
        };
        let deployment = Some(Deployment { place: self.name, url: self.url, id: Some(id), outcome });
        if !is_ours {
            return (deployment, None);
        }
        let answer = timeout_at(deadline, set_status(self.client, id, status)).await.unwrap_or_else(|_| Err(slow()));
        let warning = match answer {
            // If this fails, the post stage only sends the same status again.
            Ok(()) => {
                let _ = saved::write(&self.env, &[(&self.slot.settled(), "true")]);
                None
            }
            Err(error) => Some(chat::warning(TITLE, format!("deployment {id} stays in progress: {error}"))),
        };
        (deployment, warning)
    }
}

/// In the post stage, sends the final statuses that the run failed to send; a deployment that a killed run left in progress
/// gets the outcome that was found at its target, or becomes inactive or failed. Takes at most `budget`.
pub async fn repair(
    inputs: &Inputs,
    env: &RunnerEnv,
    event: &GitEvent,
    run: &RunState,
    budget: Duration,
) -> Vec<Diagnostic> {
    let Some(client) = history::client(inputs, env, event) else { return Vec::new() };
    let of_targets = (1..).map(Slot).take_while(|slot| env.state(&slot.targets()).is_some());
    let repairs = [Slot(0)].into_iter().chain(of_targets).map(|slot| repair_one(&client, env, slot, run, budget));
    join_all(repairs).await.into_iter().flatten().collect()
}

async fn repair_one(
    client: &Client,
    env: &RunnerEnv,
    slot: Slot,
    run: &RunState,
    budget: Duration,
) -> Option<Diagnostic> {
    let id = env.state(&slot.id()).filter(|_| env.state(&slot.settled()).is_none())?.parse().ok()?;
    let ended = env.state(&slot.status()).and_then(|text| serde_json::from_str(text).ok());
    let status = ended.unwrap_or_else(|| {
        let names = env.state(&slot.targets()).and_then(|text| serde_json::from_str::<Vec<String>>(text).ok());
        let names = names.unwrap_or_default();
        let reports = run.targets.iter().filter(|target| names.contains(&target.name));
        let reports: Vec<&DeployReport> = reports.filter_map(|target| target.report()).collect();
        // Only the server that was interrupted has a report here: what became of the others is not known.
        let found = outcome_of(&reports)
            .filter(|(outcome, _)| *outcome != DeploymentOutcome::Success || reports.len() == names.len());
        let is_cancelled = matches!(run.outcome, Some((RunOutcome::Cancelled, _)));
        let (outcome, description) = found.unwrap_or_else(|| {
            let outcome = if is_cancelled { DeploymentOutcome::Cancelled } else { DeploymentOutcome::Failure };
            (outcome, "the step ended without reporting a result".to_owned())
        });
        Status { state: state(outcome), log_url: run.info.job_url.clone(), environment_url: None, description }
    });
    let answer = tokio::time::timeout(budget, set_status(client.clone(), id, status)).await;
    match answer.unwrap_or_else(|_| Err(slow())) {
        Ok(()) => None,
        Err(error) => Some(chat::warning(TITLE, format!("deployment {id} stays in progress: {error}"))),
    }
}

async fn make(
    client: Client,
    env: RunnerEnv,
    slot: Slot,
    wanted: Wanted,
    begun: Status,
    run: Option<u64>,
    commit: String,
) -> Result<Made, ApiError> {
    if let Some(run) = run {
        let commits = [wanted.sha.as_str(), commit.as_str()];
        if let Some(id) = deployments::of_run(&client, &wanted.environment, &commits, run).await? {
            return Ok(Made::Jobs(id));
        }
    }
    let id = deployments::create(&client, &wanted).await?;
    // If this fails, the post stage repairs nothing, as if it did not exist.
    let _ = saved::write(&env, &[(&slot.id(), &id.to_string())]);
    // A failure to set the first status does not matter, since the final status replaces it.
    let _ = deployments::update(&client, id, &begun).await;
    Ok(Made::Ours(id))
}

/// Owns everything, and its closure lends nothing: otherwise, its future could not be spawned.
async fn set_status(client: Client, id: u64, status: Status) -> Result<(), ApiError> {
    let policy = RetryPolicy { first_pause: PAUSE, ..RetryPolicy::attempts(3) };
    let update = move || {
        let (client, status) = (client.clone(), status.clone());
        async move { deployments::update(&client, id, &status).await }
    };
    policy.quietly(update).await
}

fn slow() -> ApiError {
    ApiError::TimedOut("for a deployment".to_owned())
}

fn state(outcome: DeploymentOutcome) -> State {
    match outcome {
        DeploymentOutcome::Success => State::Success,
        DeploymentOutcome::Failure => State::Failure,
        DeploymentOutcome::Cancelled => State::Inactive,
    }
}

fn outcome(run: &RunState) -> DeploymentOutcome {
    match &run.outcome {
        Some((RunOutcome::Success, _)) => DeploymentOutcome::Success,
        Some((RunOutcome::Cancelled, _)) => DeploymentOutcome::Cancelled,
        Some((RunOutcome::Failure(_) | RunOutcome::TimedOut, _)) | None => DeploymentOutcome::Failure,
    }
}

/// Returns the outcome of a deployment with these reports, in words too. `None` if there is no report.
pub(super) fn outcome_of(reports: &[&DeployReport]) -> Option<(DeploymentOutcome, String)> {
    let failed = reports.iter().find(|report| outcome_of_result(report.result) == DeploymentOutcome::Failure);
    let cancelled = reports.iter().find(|report| outcome_of_result(report.result) == DeploymentOutcome::Cancelled);
    let report = failed.or(cancelled).or(reports.first())?;
    let reason = report.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    Some((outcome_of_result(report.result), format!("{}: {}{reason}", report.name, words(report))))
}

fn outcome_of_result(result: DeployResult) -> DeploymentOutcome {
    match result {
        DeployResult::Unchanged | DeployResult::Deployed => DeploymentOutcome::Success,
        DeployResult::FailedRolledBack
        | DeployResult::FailedNotRolledBack
        | DeployResult::MigrationFailed
        | DeployResult::Locked => DeploymentOutcome::Failure,
        // What ran before still runs, so its deployment stays active.
        DeployResult::Superseded | DeployResult::Cancelled | DeployResult::Skipped => DeploymentOutcome::Cancelled,
    }
}

fn description(run: &RunState) -> String {
    let reports: Vec<&DeployReport> = run.targets.iter().filter_map(|target| target.report()).collect();
    match (&run.outcome, outcome_of(&reports)) {
        (Some((RunOutcome::Success, time)), deployed) => {
            // The commands `deploy` and `rollback` push no image.
            let pushed = Some(human::count(run.images.len(), "image") + " pushed")
                .filter(|_| !run.images.is_empty() || deployed.is_none());
            let done: Vec<String> = pushed.into_iter().chain(deployed.map(|(_, words)| words)).collect();
            format!("{} in {}", done.join(", "), human::duration(*time))
        }
        (Some((RunOutcome::Failure(failure), _)), Some((_, words))) if failure.stage == Stage::Deploy => words,
        (Some((RunOutcome::Failure(failure), _)), _) => {
            let of = failure.image().map_or_else(String::new, |image| format!(" of {image}"));
            format!("{}{of} failed", failure.stage.word())
        }
        (Some((RunOutcome::TimedOut, time)), _) => format!("timed out after {}", human::duration(*time)),
        (Some((RunOutcome::Cancelled, _)), _) => "cancelled".to_owned(),
        (None, _) => String::new(),
    }
}

fn refused(environment: &str, error: &ApiError) -> Diagnostic {
    let fix = if error.is_refusal() { "; it needs `deployments: write` in `permissions`" } else { "" };
    notice(format!("no deployment was created for {environment}: {error}{fix}"))
}

pub(super) fn no_client(environment: &str) -> Diagnostic {
    notice(format!("no deployment was created for {environment}: the token, the API URL or the commit is missing"))
}

/// The post stage sends what the run did not send in time.
pub(super) fn late() -> Diagnostic {
    notice("the outcome of a deployment was not sent in time; it is sent at the end of the job".to_owned())
}

fn notice(message: String) -> Diagnostic {
    Diagnostic { severity: Severity::Notice, title: TITLE.to_owned(), message, place: None }
}
