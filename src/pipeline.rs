//! The stages of a run, their order, and the data that each passes to the next.
//!
//! ```text
//! preflight -> build -> publish
//! ```
//!
//! | stage | takes | returns | on failure |
//! |---|---|---|---|
//! | [`preflight`] | the plan, the run's context | a connected builder, what to build | nothing was started |
//! | [`builder`] | the builder, the specs | [`Built`]: each image, uploaded by digest | no tag has moved |
//! | [`publish`] | the images | [`Release`]: each image under its tags | tags are restored |
//!
//! A test stage belongs between build and publish, a deploy stage after publish. Nothing here formats text, builds a
//! request or reads the environment.

use std::time::Duration;

use crate::{
    beside::beside,
    builder::{self, Builder, Built, Goal, spec::BuildSpec},
    cancel::{Cancel, Stop},
    context::RunContext,
    domain::{event::Event, failure::Failure, stage::Stage},
    events::Events,
    plan::Plan,
    preflight,
    publish::{self, Move, Release, Survey, Unpublished},
};

/// How long a finished build waits for the registries to report the current targets of the tags.
const SURVEY: Duration = Duration::from_secs(2);

/// The result of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The images that are in a registry under their tags. Empty if the run does not push.
    pub releases: Vec<Release>,
}

/// Why a run ended early.
#[derive(Clone, Debug, PartialEq)]
pub enum Unfinished {
    /// A stage failed.
    Failed(Box<Failure>),
    /// A signal or the time limit stopped it.
    Stopped(Stop),
}

/// Runs the plan. `journal` receives the tags that are about to move, right before they do.
///
/// # Errors
/// The failure of a stage, or the stop that was requested through `cancel`. If any tag moved, the events list it.
pub async fn run(
    plan: &Plan,
    cx: &RunContext,
    cancel: &Cancel,
    journal: &dyn Fn(&[Move]),
    events: &Events,
) -> Result<Outcome, Unfinished> {
    // A build is stopped by dropping it. Boxed, because it holds the state of every solve.
    let ready = Box::pin(async {
        let ready = preflight(plan, cx, events).await?;
        let built = build(plan, cx, &ready, events).await?;
        Ok::<_, Failure>((ready, built))
    });
    let (ready, (built, survey)) = cancel.unless(ready).await??;
    if !plan.push.enabled {
        return Ok(Outcome::default());
    }

    // Tags move last and together, once every image is ready. This must not be dropped half way, so it gets `cancel`.
    events.emit(Event::StageStarted(Stage::Publish)).await;
    let (builder, specs, branch, survey) = (&ready.builder, &*ready.specs, cx.branch.as_ref(), &survey);
    let cx = publish::Context { plan, builder, specs, branch, survey, events, cancel, journal };
    let releases = publish::all(cx, &built).await?;
    Ok(Outcome { releases })
}

/// The result of preflight, for the build.
struct Ready {
    builder: Builder,
    specs: Vec<BuildSpec>,
}

/// Runs all checks that are possible before the first layer is built.
async fn preflight(plan: &Plan, cx: &RunContext, events: &Events) -> Result<Ready, Failure> {
    events.emit(Event::StageStarted(Stage::Preflight)).await;
    let mut specs = preflight::build_specs(plan, cx)?;
    let builder = preflight::builder(plan, cx, &mut specs, goal(plan), events).await?;
    for doubt in preflight::support(&builder, &mut specs).await? {
        events.emit(Event::Diagnostic(doubt)).await;
    }
    Ok(Ready { builder, specs })
}

/// Builds all images concurrently and uploads them by digest. Meanwhile, checks the credentials, so that a run with invalid
/// ones fails early, and asks the registries for the current targets of the tags.
async fn build(plan: &Plan, cx: &RunContext, ready: &Ready, events: &Events) -> Result<(Vec<Built>, Survey), Failure> {
    events.emit(Event::StageStarted(Stage::Build)).await;
    let Ready { builder, specs } = ready;
    let build = async {
        tokio::select! {
            biased;
            failure = preflight::refused_login(builder, plan) => Err(failure),
            built = builder::all(builder, specs, goal(plan), events) => built,
        }
    };
    let survey = Survey::default();
    let answers = survey.take(plan, builder, cx.branch.as_ref(), events);
    // A failed build does not need the answers.
    let (built, _) = beside(build, answers, |built| if built.is_ok() { SURVEY } else { Duration::ZERO }).await;
    Ok((built?, survey))
}

/// Returns the goal of the build.
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
