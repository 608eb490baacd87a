//! The stages of a run, their order, and the data that each passes to the next.
//!
//! ```text
//! preflight -> build -> publish -> deploy
//! ```
//!
//! | stage | takes | returns | on failure |
//! |---|---|---|---|
//! | [`preflight`] | the plan, the run's context | a connected builder, what to build | nothing was started |
//! | [`builder`] | the builder, the specs | [`Built`]: each image, uploaded by digest | no tag has moved |
//! | [`publish`] | the images | [`Release`]: each image under its tags | tags are restored |
//! | [`deploy`] | the releases | [`DeployReport`]: each target and what it runs | the previous release is put back |
//!
//! A test stage belongs between build and publish. Nothing here formats text, builds a request or reads the environment.

use std::time::Duration;

use crate::{
    beside::beside,
    builder::{self, Builder, Built, Goal, spec::BuildSpec},
    cancel::{Cancel, Stop},
    context::RunContext,
    deploy::{
        self,
        release::{Content, Image},
        stage::{Deployment, Undeployed},
    },
    domain::{deploy::DeployReport, event::Event, failure::Failure, stage::Stage},
    events::Events,
    plan::Plan,
    preflight,
    publish::{self, Move, Published, Release, Survey, Unpublished},
};

/// How long a finished build waits for the registries to report the current targets of the tags.
const SURVEY: Duration = Duration::from_secs(2);

/// The result of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The images that are in a registry under their tags. Empty if the run does not push.
    pub releases: Vec<Release>,
    /// The targets, in the plan's order. Empty if the run does not deploy.
    pub deployed: Vec<DeployReport>,
}

/// Where a run saves what the post stage must know if this process is killed.
#[derive(Clone, Copy)]
pub struct Journal<'a> {
    /// Receives the tags that are about to move, right before they do.
    pub moves: &'a dyn Fn(&[Move]),
    /// Receives the way back of a target, by its name, right before anything is changed, and `None` once it is not needed.
    pub deployment: &'a dyn Fn(&str, Option<&deploy::Saved>),
}

/// Why a run ended early.
#[derive(Clone, Debug, PartialEq)]
pub enum Unfinished {
    /// A stage failed.
    Failed(Box<Failure>),
    /// A signal or the time limit stopped it.
    Stopped(Stop),
}

/// Runs the plan.
///
/// # Errors
/// The failure of a stage, or the stop that was requested through `cancel`. The events list every tag that moved and every
/// target that changed.
pub async fn run(
    plan: &Plan,
    cx: &RunContext,
    cancel: &Cancel,
    journal: Journal<'_>,
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
    let to = publish::Context { plan, builder, specs, branch, survey, events, cancel, journal: journal.moves };
    let Published { releases, superseded } = publish::all(to, &built).await?;
    let deployed = match &cx.deployment {
        // The newer commit's run deploys.
        Some(deployment) if !superseded => {
            events.emit(Event::StageStarted(Stage::Deploy)).await;
            let content = Content::Images(releases.iter().map(|release| image(plan, release)).collect());
            let release = deploy::release::Release { content, ..deployment.release.clone() };
            let Deployment { targets, descent, .. } = &**deployment;
            let targets = deploy::stage::same(targets, &release);
            deploy::stage::run(&targets, descent.as_ref(), false, cancel, journal.deployment, events).await?
        }
        _ => Vec::new(),
    };
    Ok(Outcome { releases, deployed })
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
    let deployment = async {
        match &cx.deployment {
            Some(deployment) => deploy::check(&deployment.targets).await,
            None => Ok(()),
        }
    };
    let builder = preflight::builder(plan, cx, &mut specs, goal(plan), events);
    let (builder, ()) = tokio::try_join!(builder, deployment)?;
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

/// Returns the image of a release, as targets run it.
fn image(plan: &Plan, release: &Release) -> Image {
    let Release { image, repository, digest, .. } = release;
    let planned = plan.images.iter().find(|planned| planned.name == *image);
    let services = planned.map(|planned| planned.services.clone()).unwrap_or_default();
    Image { name: image.clone(), repository: repository.clone(), digest: digest.clone(), services }
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

impl From<Undeployed> for Unfinished {
    fn from(reason: Undeployed) -> Self {
        match reason {
            Undeployed::Failed(failure) => Self::Failed(failure),
            Undeployed::Stopped(stop) => Self::Stopped(stop),
        }
    }
}
