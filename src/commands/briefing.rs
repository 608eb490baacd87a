//! What is found out before a run says its first word: what happened, what is to be done, and with which logins.
//!
//! Much of it is secret, and what shows texts must know every secret from the start.

use super::{
    allowance::Allowance,
    chat::warning,
    logins::Logins,
    prepare::{self, Context},
};
use crate::{
    build::container::Seats,
    domain::{event::Diagnostic, run::Failure, secret::Secret},
    github::{api, client::ApiError},
    inputs::{context::Target, runner::RunnerEnv, typed::Inputs},
    plan::Plan,
    preflight::Edges,
};

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
    pub async fn gather(inputs: &Inputs, env: &RunnerEnv, seats: &Seats, allowance: &mut Allowance) -> Self {
        let mut context = prepare::context(inputs, env);
        // At the same time, and no longer than a run may be held up by it.
        let limit = allowance.before();
        let mut event = context.event.clone();
        let asked = async {
            tokio::join!(
                tokio::time::timeout(limit, git_tags(inputs, env, &context)),
                prepare::learn(&mut event, inputs, env, limit),
            )
        };
        let (tags, ()) = allowance.measured(asked).await;
        let (git_tags, warning) = tags.unwrap_or_else(|_| (None, Some(unknown(&slow(&context)))));
        context.event = event;
        let planned = prepare::plan(inputs, env, &context, git_tags.as_deref());
        let logins = match &planned {
            Ok(plan) => Logins::gather(plan, inputs, env, &context).await,
            Err(_) => Logins::default(),
        };
        let mut briefing = Self::new((inputs, env), context, planned, logins, seats);
        briefing.warnings.extend(warning);
        briefing
    }

    /// The same without asking anyone, for a run that is stopped before it begins.
    pub fn offline(inputs: &Inputs, env: &RunnerEnv, seats: &Seats) -> Self {
        let context = prepare::context(inputs, env);
        let planned = prepare::plan(inputs, env, &context, None);
        Self::new((inputs, env), context, planned, Logins::default(), seats)
    }

    fn new(
        (inputs, env): (&Inputs, &RunnerEnv),
        context: Context,
        planned: Result<Plan, Failure>,
        logins: Logins,
        seats: &Seats,
    ) -> Self {
        let Logins { credentials, mut secrets, warnings, failure: no_login } = logins;
        let planned = planned.map(|plan| {
            let edges = prepare::edges(&plan, inputs, env, &context, credentials, seats.clone());
            (plan, edges)
        });
        secrets.extend(env.secrets());
        secrets.extend(planned.iter().flat_map(|(_, edges)| prepare::secret_values(edges)));
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
        Err(error) => (None, Some(unknown(&error))),
    }
}

fn slow(context: &Context) -> ApiError {
    ApiError::TimedOut(format!("for the tags of {}/{}", context.event.owner, context.event.repo))
}

fn unknown(error: &ApiError) -> Diagnostic {
    warning("tags of the repository", format!("{error}; the pushed tag alone decides about `latest`"))
}
