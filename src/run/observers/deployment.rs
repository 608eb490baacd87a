//! The GitHub deployment of a run with the input `environment`: created at the start, updated at the end.
//!
//! If the job itself has `environment:` with the same name, GitHub has already created a deployment and updates it;
//! then that deployment is only reported.

use std::time::Duration;

use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{chat, history};
use crate::{
    domain::{
        deployment::{Deployment, DeploymentOutcome},
        diagnostic::{Diagnostic, Severity},
        git_event::GitEvent,
        outcome::RunOutcome,
        run::RunState,
    },
    github::{
        client::{ApiError, Client},
        deployments::{self, Lifetime, State, Status, Wanted},
    },
    inputs::{runner::RunnerEnv, typed::Inputs},
    plan::Plan,
    report::human,
    retry::RetryPolicy,
    run::saved,
};

/// Names in `GITHUB_STATE`.
const DEPLOYMENT: &str = "deployment";
const SETTLED: &str = "deployment-settled";
/// The final status, before it is sent.
const STATUS: &str = "deployment-status";

const TITLE: &str = "GitHub deployment";
/// The first pause before the final status is sent again: a deployment that stays in progress is misleading.
const PAUSE: Duration = Duration::from_millis(250);

/// A deployment in progress.
#[derive(Debug)]
pub struct Environment {
    client: Client,
    env: RunnerEnv,
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
            let message =
                format!("no deployment was created for {name}: the token, the API URL or the commit is missing");
            return Err(notice(message));
        };
        let wanted = Wanted {
            environment: name.clone(),
            sha: event.sha.clone(),
            description: format!("build and push of {}", human::count(plan.images.len(), "image")),
            lifetime: if event.is_trial() { Lifetime::PullRequest } else { Lifetime::Permanent },
        };
        let url = inputs.deploy.environment_url.clone();
        let begun = Status {
            state: State::InProgress,
            log_url: log_url.to_owned(),
            environment_url: url.clone(),
            description: wanted.description.clone(),
        };
        let run = env.var("GITHUB_RUN_ID").and_then(|id| id.parse().ok());
        let commit = env.var("GITHUB_SHA").unwrap_or_default().to_owned();
        let made = tokio::spawn(make(client.clone(), env.clone(), wanted, begun, run, commit));
        Ok(Some(Self { client, env: env.clone(), name, url, made }))
    }

    /// Sends the outcome of the run. Takes at most `budget`.
    pub async fn finish(mut self, run: &RunState, budget: Duration) -> (Option<Deployment>, Option<Diagnostic>) {
        let deadline = Instant::now() + budget;
        let outcome = outcome(run);
        let status = Status {
            state: match outcome {
                DeploymentOutcome::Success => State::Success,
                DeploymentOutcome::Failure => State::Failure,
                DeploymentOutcome::Cancelled => State::Inactive,
            },
            log_url: run.info.job_url.clone(),
            environment_url: self.url.clone(),
            description: description(run),
        };
        if let Ok(text) = serde_json::to_string(&status) {
            // If this fails, the post stage reports less detail.
            let _ = saved::write(&self.env, &[(STATUS, &text)]);
        }
        let made = match timeout_at(deadline, &mut self.made).await {
            Ok(Ok(made)) => made,
            // It timed out, or it panicked.
            Ok(Err(_)) | Err(_) => Err(slow()),
        };
        self.made.abort();
        let deployment = |id| Deployment { place: self.name.clone(), url: self.url.clone(), id: Some(id), outcome };
        let id = match made {
            Ok(Made::Jobs(id)) => return (Some(deployment(id)), None),
            Ok(Made::Ours(id)) => id,
            Err(error) => return (None, Some(refused(&self.name, &error))),
        };
        let answer = timeout_at(deadline, set_status(&self.client, id, &status)).await.unwrap_or_else(|_| Err(slow()));
        let warning = match answer {
            // If this fails, the post stage only sends the same status again.
            Ok(()) => {
                let _ = saved::write(&self.env, &[(SETTLED, "true")]);
                None
            }
            Err(error) => Some(chat::warning(TITLE, format!("deployment {id} stays in progress: {error}"))),
        };
        (Some(deployment(id)), warning)
    }
}

/// In the post stage, sends a final status that the run failed to send; a deployment that a killed run left in progress
/// becomes inactive or failed. Takes at most `budget`.
pub async fn repair(
    inputs: &Inputs,
    env: &RunnerEnv,
    event: &GitEvent,
    run: &RunState,
    budget: Duration,
) -> Option<Diagnostic> {
    let id = env.state(DEPLOYMENT).filter(|_| env.state(SETTLED).is_none())?.parse().ok()?;
    let client = history::client(inputs, env, event)?;
    let ended = env.state(STATUS).and_then(|text| serde_json::from_str(text).ok());
    let status = ended.unwrap_or_else(|| Status {
        state: if matches!(run.outcome, Some((RunOutcome::Cancelled, _))) { State::Inactive } else { State::Failure },
        log_url: run.info.job_url.clone(),
        environment_url: None,
        description: "the step ended without reporting a result".to_owned(),
    });
    let answer = tokio::time::timeout(budget, set_status(&client, id, &status)).await;
    match answer.unwrap_or_else(|_| Err(slow())) {
        Ok(()) => None,
        Err(error) => Some(chat::warning(TITLE, format!("deployment {id} stays in progress: {error}"))),
    }
}

async fn make(
    client: Client,
    env: RunnerEnv,
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
    let _ = saved::write(&env, &[(DEPLOYMENT, &id.to_string())]);
    // A failure to set the first status does not matter, since the final status replaces it.
    let _ = deployments::update(&client, id, &begun).await;
    Ok(Made::Ours(id))
}

async fn set_status(client: &Client, id: u64, status: &Status) -> Result<(), ApiError> {
    let policy = RetryPolicy { first_pause: PAUSE, ..RetryPolicy::attempts(3) };
    policy.quietly(async || deployments::update(client, id, status).await).await
}

fn slow() -> ApiError {
    ApiError::TimedOut("for a deployment".to_owned())
}

fn outcome(run: &RunState) -> DeploymentOutcome {
    match &run.outcome {
        Some((RunOutcome::Success, _)) => DeploymentOutcome::Success,
        Some((RunOutcome::Cancelled, _)) => DeploymentOutcome::Cancelled,
        Some((RunOutcome::Failure(_) | RunOutcome::TimedOut, _)) | None => DeploymentOutcome::Failure,
    }
}

fn description(run: &RunState) -> String {
    let images = human::count(run.images.len(), "image");
    match &run.outcome {
        Some((RunOutcome::Success, time)) => format!("{images} pushed in {}", human::duration(*time)),
        Some((RunOutcome::Failure(failure), _)) => {
            let of = failure.image().map_or_else(String::new, |image| format!(" of {image}"));
            format!("{}{of} failed", failure.stage.word())
        }
        Some((RunOutcome::TimedOut, time)) => format!("timed out after {}", human::duration(*time)),
        Some((RunOutcome::Cancelled, _)) => "cancelled".to_owned(),
        None => String::new(),
    }
}

fn refused(environment: &str, error: &ApiError) -> Diagnostic {
    let fix = if error.is_refusal() { "; it needs `permissions: deployments: write`" } else { "" };
    notice(format!("no deployment was created for {environment}: {error}{fix}"))
}

fn notice(message: String) -> Diagnostic {
    Diagnostic { severity: Severity::Notice, title: TITLE.to_owned(), message, place: None }
}
