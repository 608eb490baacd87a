//! What is found out before a run says its first word: what happened, what is to be done, and with which logins.
//!
//! Much of it is secret, and what shows texts must know every secret from the start.

use std::time::Duration;

use super::{
    chat::warning,
    logins::Logins,
    prepare::{self, Context},
};
use crate::{
    build::container::Seats,
    domain::{
        event::Diagnostic,
        run::{Failure, Stage},
        secret::Secret,
    },
    github::api,
    inputs::{context::Target, runner::RunnerEnv, typed::Inputs},
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
    /// What went less than well in finding out.
    pub warnings: Vec<Diagnostic>,
    /// Why there is no login where there must be one.
    pub no_login: Option<Failure>,
}

impl Briefing {
    /// Asks GitHub and the clouds for what the event and the inputs do not tell.
    pub async fn gather(inputs: &Inputs, env: &RunnerEnv, seats: &Seats) -> Self {
        let mut context = prepare::context(inputs, env);
        let (git_tags, warning) = git_tags(inputs, env, &context).await;
        prepare::learn(&mut context.event, inputs, env).await;
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
        let planned = tokio::time::timeout(OFFLINE, prepare::plan_apart(inputs, env, &context, None)).await;
        let planned = planned.unwrap_or_else(|_| {
            let headline = "the run was stopped before its plan was made".to_owned();
            Err(Failure::new(Stage::Plan, headline, None))
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
        let planned = match planned {
            Ok(plan) => {
                let (inputs, env, context, seats) = (inputs.clone(), env.clone(), context.clone(), seats.clone());
                let read = prepare::apart(move || {
                    let edges = prepare::edges(&plan, &inputs, &env, &context, credentials, seats);
                    prepare::secret_values(&edges).map(|values| (plan, edges, values))
                });
                read.await.map(|(plan, edges, values)| {
                    secrets.extend(values);
                    (plan, edges)
                })
            }
            Err(failure) => Err(failure),
        };
        Self { context, planned, secrets, warnings, no_login }
    }
}

/// The repository's Git tags, where they decide something: whether a release is the highest.
async fn git_tags(inputs: &Inputs, env: &RunnerEnv, context: &Context) -> (Option<Vec<String>>, Option<Diagnostic>) {
    let event = &context.event;
    let (Target::Tag(_), Some(token), Some(api)) = (&event.target, &inputs.github.token, env.var("GITHUB_API_URL"))
    else {
        return (None, None);
    };
    let of_images = inputs.project.images.iter().flat_map(|image| &image.tags);
    if !inputs.names.tags.asks_for_the_newest(of_images) {
        return (None, None);
    }
    match api::git_tags(api, token, &event.owner, &event.repo).await {
        Ok(tags) => (Some(tags), None),
        Err(error) => {
            let message = format!("{error}; the pushed tag alone decides about `latest`");
            (None, Some(warning("tags of the repository", message)))
        }
    }
}
