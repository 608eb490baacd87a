//! What is found out before a run says its first word: what happened, what is to be done, and with which logins.
//!
//! Much of it is secret, and what shows texts must know every secret from the start.

use std::time::Duration;

use tokio::time::timeout;

use super::{
    allowance::Allowance,
    chat::warning,
    likely,
    logins::Logins,
    prepare::{self, Context},
    secret_values::secret_values,
};
use crate::{
    builder::container::Seats,
    domain::{diagnostic::Diagnostic, failure::Failure, git_event::GitRef, secret::Secret, stage::Stage},
    github::{api, client::ApiError},
    inputs::{runner::RunnerEnv, typed::Inputs},
    plan::Plan,
    preflight::Edges,
};

/// How long a run that is stopped plans, to say which images it was about.
const OFFLINE: Duration = Duration::from_millis(500);

/// What a run knows when it begins.
pub struct Briefing {
    /// Where it happens and why.
    pub context: Context,
    /// What is to be done and what it takes, or why there is no plan.
    pub planned: Result<(Plan, Edges), Failure>,
    /// What must not be shown, beside the inputs.
    pub secrets: Vec<Secret>,
    /// What looks like a secret and was not handed in as one.
    pub likely: Vec<Secret>,
    /// What went less than well in finding out.
    pub warnings: Vec<Diagnostic>,
    /// Why there is no login where there must be one.
    pub no_login: Option<Failure>,
}

impl Briefing {
    /// Asks GitHub and the clouds for what the event and the inputs do not tell.
    pub async fn gather(inputs: &Inputs, env: &RunnerEnv, seats: &Seats, allowance: &mut Allowance) -> Self {
        let mut context = prepare::context(inputs, env);
        // At the same time, and no longer than a run may be held up by it.
        let limit = allowance.before();
        let mut event = context.event.clone();
        let asked = async {
            tokio::join!(
                timeout(limit, git_tags(inputs, env, &context)),
                prepare::learn(&mut event, inputs, env, limit)
            )
        };
        let (git_tags, ()) = allowance.measured(asked).await;
        let slow = |_| Some(Err(ApiError::TimedOut("for the repository's tags".to_owned())));
        let git_tags = git_tags.unwrap_or_else(slow);
        context.event = event;
        let warning = git_tags.as_ref().and_then(|tags| tags.as_ref().err()).map(latest_stays);
        let git_tags = git_tags.map(|tags| tags.map_err(|error| error.to_string()));
        let planned = prepare::plan_apart(inputs, env, &context, git_tags).await;
        let logins = match &planned {
            Ok(plan) => Logins::gather(plan, inputs, env, &context).await,
            Err(_) => Logins::default(),
        };
        let mut briefing = Self::new((inputs, env), context, planned, logins, seats).await;
        briefing.warnings.extend(warning);
        briefing
    }

    /// The same without asking anyone, for a run that is stopped before it begins.
    pub async fn offline(inputs: &Inputs, env: &RunnerEnv, seats: &Seats) -> Self {
        let context = prepare::context(inputs, env);
        let planned = timeout(OFFLINE, prepare::plan_apart(inputs, env, &context, None)).await;
        let planned = planned.unwrap_or_else(|_| {
            let headline = "the run was stopped before its plan was made".to_owned();
            Err(Failure::invalid(Stage::Plan, headline, None))
        });
        Self::new((inputs, env), context, planned, Logins::default(), seats).await
    }

    async fn new(
        (inputs, env): (&Inputs, &RunnerEnv),
        context: Context,
        planned: Result<Plan, Failure>,
        logins: Logins,
        seats: &Seats,
    ) -> Self {
        let Logins { credentials, mut secrets, warnings, failure: no_login } = logins;
        secrets.extend(env.secrets());
        let mut likely = likely::of_environment(env);
        let planned = match planned {
            Ok(plan) => {
                likely.extend(likely::of_plan(&plan, inputs, env));
                let (inputs, env, context, seats) = (inputs.clone(), env.clone(), context.clone(), seats.clone());
                let read = prepare::apart(move || {
                    let edges = prepare::edges(&plan, &inputs, &env, &context, credentials, seats);
                    secret_values(&edges).map(|values| (plan, edges, values))
                });
                read.await.map(|(plan, edges, values)| {
                    secrets.extend(values);
                    (plan, edges)
                })
            }
            Err(failure) => Err(failure),
        };
        Self { context, planned, secrets, likely, warnings, no_login }
    }
}

/// The repository's Git tags, or why GitHub does not tell them. `None` if nothing depends on them or there is no token.
async fn git_tags(inputs: &Inputs, env: &RunnerEnv, context: &Context) -> Option<Result<Vec<String>, ApiError>> {
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

/// The warning that a higher version may be tagged.
fn latest_stays(error: &ApiError) -> Diagnostic {
    let message = format!(
        "{error}; a higher version may exist, so `latest` was not moved; check that the job has `permissions: contents: \
         read` and run it again, or set `flavor: latest=true` to move it in any case"
    );
    warning("tags of the repository", message)
}
