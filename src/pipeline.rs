//! The run, in order. Each stage takes values and returns values; this file alone decides what follows what.
//!
//! ```text
//! preflight -> build -> publish
//! ```
//!
//! Nothing here formats text, builds a request or reads the environment.

use std::time::Duration;

use crate::{
    beside::beside,
    builder::{self, Built, Goal},
    cancel::{Cancel, Stop},
    context::RunContext,
    domain::{event::Event, failure::Failure, stage::Stage},
    events::Events,
    plan::Plan,
    preflight,
    publish::{self, Move, Release, Survey, Unpublished},
};

/// How long the end of the builds waits for what the registries say of the tags as they are.
const SURVEY: Duration = Duration::from_secs(2);

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What is in a registry under its tags now.
    pub releases: Vec<Release>,
}

/// Why a run did not come to its end.
#[derive(Clone, Debug, PartialEq)]
pub enum Unfinished {
    /// A stage failed.
    Failed(Box<Failure>),
    /// It was asked to stop.
    Stopped(Stop),
}

/// Does what the plan says.
///
/// # Errors
/// The failure of a stage, or the stop that was asked for through `cancel`. Then no tag has moved, or the events say
/// which. `journal` is given the tags that are about to move, right before they do.
pub async fn run(
    plan: &Plan,
    cx: &RunContext,
    cancel: &Cancel,
    journal: &dyn Fn(&[Move]),
    events: &Events,
) -> Result<Outcome, Unfinished> {
    // To stop a build is to drop it. On the heap: it holds the state of every solve.
    let ready = cancel.unless(Box::pin(async {
        // Everything that can be known to fail is known before the first layer is built.
        events.emit(Event::StageStarted(Stage::Preflight)).await;
        let mut specs = preflight::build_specs(plan, cx)?;
        let builder = preflight::builder(plan, cx, &mut specs, goal(plan), events).await?;
        for doubt in preflight::support(&builder, &mut specs).await? {
            events.emit(Event::Diagnostic(doubt)).await;
        }

        // Every image at the same time. Credentials are tried meanwhile: wrong ones end the run at once, not after it.
        events.emit(Event::StageStarted(Stage::Build)).await;
        let survey = Survey::default();
        let build = async {
            tokio::select! {
                biased;
                failure = preflight::refused_login(&builder, plan) => Err(failure),
                built = builder::all(&builder, &specs, goal(plan), events) => built,
            }
        };
        let survey_all = survey.take(plan, &builder, cx.branch.as_ref(), events);
        // After a failure nothing depends on it.
        let (built, _) = beside(build, survey_all, |built| if built.is_ok() { SURVEY } else { Duration::ZERO }).await;
        Ok::<_, Failure>((builder, specs, survey, built?))
    }));
    let (builder, specs, survey, built): (_, _, _, Vec<Built>) = ready.await??;

    if !plan.push.enabled {
        return Ok(Outcome::default());
    }
    // Tags move last, together, once every image is ready.
    events.emit(Event::StageStarted(Stage::Publish)).await;
    let cx = publish::Context {
        plan,
        builder: &builder,
        specs: &specs,
        branch: cx.branch.as_ref(),
        survey: &survey,
        events,
        cancel,
        journal,
    };
    let releases = publish::all(cx, &built).await?;
    Ok(Outcome { releases })
}

fn goal(plan: &Plan) -> Goal {
    match (plan.push.enabled, plan.load) {
        (true, false) => Goal::Push,
        (true, true) => Goal::PushAndLoad,
        (false, true) => Goal::Load,
        (false, false) if plan.compare_with.is_some() => Goal::Measure,
        (false, false) => Goal::Check,
    }
}

impl From<Failure> for Unfinished {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

impl From<Stop> for Unfinished {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

impl From<Unpublished> for Unfinished {
    fn from(reason: Unpublished) -> Self {
        match reason {
            Unpublished::Failed(failure) => Self::Failed(failure),
            Unpublished::Stopped(stop) => Self::Stopped(stop),
        }
    }
}
