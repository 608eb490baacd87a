//! Collects everything that a run needs before its first output: the event, the plan and the logins.
//!
//! Much of it is secret, and the redactor must know every secret from the start.

use std::{io::Write, time::Duration};

use chrono::Utc;
use tokio::time::timeout;

use super::{
    allowance::Allowance,
    facts,
    job::{self, JobContext},
    logins::Logins,
    observers::chat::{Chat, warning},
    planning,
    secrets::{self, likely, of_builds},
    wiring,
};
use crate::{
    builder::container::ContainerLeases,
    context::RunContext,
    domain::{
        diagnostic::Diagnostic, failure::Failure, git_event::GitRef, redact::Redactor, run::RunState, secret::Secret,
        stage::Stage,
    },
    github::{api, client::ApiError},
    inputs::{
        cli::Difference,
        runner::RunnerEnv,
        typed::{Inputs, MissingRepository, RegistryInputs},
    },
    plan::Plan,
    report::log::Log,
};

/// Time limit for the plan of a stopped run, which only names the images in its report.
const OFFLINE: Duration = Duration::from_millis(500);

/// Everything that a run knows when it begins.
pub struct RunSetup {
    /// The event and the directories.
    pub context: JobContext,
    /// The plan and its context, or the failure to make them.
    pub planned: Result<(Plan, RunContext), Failure>,
    /// Secrets besides the inputs.
    pub secrets: Vec<Secret>,
    /// Values that look like secrets but were not passed as secrets.
    pub likely: Vec<Secret>,
    /// Warnings about the setup.
    pub warnings: Vec<Diagnostic>,
    /// The failure to get a login that is required.
    pub no_login: Option<Failure>,
}

impl RunSetup {
    /// Collects everything, with requests to GitHub and the clouds for facts that the event and the inputs do not
    /// contain.
    pub async fn gather(inputs: &Inputs, env: &RunnerEnv, leases: &ContainerLeases, allowance: &mut Allowance) -> Self {
        let (context, planned, warning) = Self::plan(inputs, env, allowance).await;
        let logins = match &planned {
            Ok(plan) => Logins::gather(plan, inputs, env, &context).await,
            Err(_) => Logins::default(),
        };
        let mut setup = Self::new((inputs, env), context, planned, logins, leases).await;
        setup.warnings.extend(warning);
        setup
    }

    /// Collects the same for the command `plan`, with logins only if it compares with what is deployed. GitHub is asked, so
    /// that the plan is that of a run. Nothing is created.
    pub async fn of_plan(inputs: &Inputs, env: &RunnerEnv, difference: Difference) -> Self {
        let (context, planned, warning) = Self::plan(inputs, env, &mut Allowance::default()).await;
        let logins = match &planned {
            Ok(plan) if difference == Difference::Read => {
                let registry =
                    RegistryInputs { missing_repository: MissingRepository::Refuse, ..inputs.registry.clone() };
                Logins::gather(plan, &Inputs { registry, ..inputs.clone() }, env, &context).await
            }
            _ => Logins::default(),
        };
        let mut setup = Self::new((inputs, env), context, planned, logins, &ContainerLeases::default()).await;
        setup.warnings.extend(warning);
        setup
    }

    /// Makes the plan with the facts that GitHub returns, and a warning if it did not return the repository's tags.
    async fn plan(
        inputs: &Inputs,
        env: &RunnerEnv,
        allowance: &mut Allowance,
    ) -> (JobContext, Result<Plan, Failure>, Option<Diagnostic>) {
        let mut context = job::context(inputs, env);
        // Concurrently, and no longer than the run may be delayed.
        let limit = allowance.before();
        let mut event = context.event.clone();
        let asked = async {
            tokio::join!(timeout(limit, git_tags(inputs, env, &context)), facts::learn(&mut event, inputs, env, limit))
        };
        let (git_tags, ()) = allowance.measured(asked).await;
        let slow = |_| Some(Err(ApiError::TimedOut("for the repository's tags".to_owned())));
        let git_tags = git_tags.unwrap_or_else(slow);
        context.event = event;
        let warning = git_tags.as_ref().and_then(|tags| tags.as_ref().err()).map(latest_stays);
        let git_tags = git_tags.map(|tags| tags.map_err(|error| error.to_string()));
        let planned = planning::plan_apart(inputs, env, &context, git_tags).await;
        (context, planned, warning)
    }

    /// Collects the same without any requests, for a run that is stopped before it begins.
    pub async fn offline(inputs: &Inputs, env: &RunnerEnv, leases: &ContainerLeases) -> Self {
        let context = job::context(inputs, env);
        let planned = timeout(OFFLINE, planning::plan_apart(inputs, env, &context, None)).await;
        let planned = planned.unwrap_or_else(|_| {
            let headline = "the run was stopped before the plan was complete".to_owned();
            Err(Failure::invalid(Stage::Plan, headline, None))
        });
        Self::new((inputs, env), context, planned, Logins::default(), leases).await
    }

    async fn new(
        (inputs, env): (&Inputs, &RunnerEnv),
        context: JobContext,
        planned: Result<Plan, Failure>,
        logins: Logins,
        leases: &ContainerLeases,
    ) -> Self {
        let Logins { credentials, mut secrets, warnings, failure: no_login, .. } = logins;
        secrets.extend(env.secrets());
        let mut likely = likely::of_environment(env);
        let planned = match planned {
            Ok(plan) => {
                likely.extend(likely::of_plan(&plan, inputs, env));
                let (inputs, env, context, leases) = (inputs.clone(), env.clone(), context.clone(), leases.clone());
                let read = planning::apart(move || {
                    let cx = wiring::run_context(&plan, &inputs, &env, &context, credentials, leases)?;
                    of_builds::values(&cx).map(|values| (plan, cx, values))
                });
                read.await.map(|(plan, cx, values)| {
                    secrets.extend(values);
                    (plan, cx)
                })
            }
            Err(failure) => Err(failure),
        };
        Self { context, planned, secrets, likely, warnings, no_login }
    }
}

/// Requests the repository's Git tags from GitHub. Returns `None` if nothing depends on them or the token is missing.
async fn git_tags(inputs: &Inputs, env: &RunnerEnv, context: &JobContext) -> Option<Result<Vec<String>, ApiError>> {
    let event = &context.event;
    let (GitRef::Tag(_), Some(token), Some(api)) = (&event.git_ref, &inputs.github.token, env.var("GITHUB_API_URL"))
    else {
        return None;
    };
    let of_images = inputs.project.images.iter().flat_map(|image| &image.tags);
    if !inputs.names.tags.needs_git_tags(of_images) {
        return None;
    }
    Some(api::git_tags(api, token, &event.owner, &event.repo).await)
}

/// Returns the warning that a higher version may exist, so `latest` stays where it is.
fn latest_stays(error: &ApiError) -> Diagnostic {
    let message = format!(
        "{error}; a higher version may exist, so `latest` was not moved; check that the job has `permissions: contents: \
         read` and run it again, or set `flavor: latest=true` to move it in any case"
    );
    warning("tags of the repository", message)
}

/// Returns everything for a message outside a run: the event and the directories, the channels, the redactor, and the state.
pub fn message<W: Write>(inputs: &Inputs, env: &RunnerEnv, log: &mut Log<W>) -> (JobContext, Chat, Redactor, RunState) {
    let context = job::context(inputs, env);
    let chat = Chat::new(inputs);
    let secrets: Vec<Secret> = chat.secrets().into_iter().chain(env.secrets()).collect();
    let redactor = secrets::mask(inputs, &secrets, &likely::of_environment(env), log);
    let info = job::run_info(&context, &redactor);
    (context, chat, redactor, RunState::new(info, Utc::now()))
}
