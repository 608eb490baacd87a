//! What a run does after its plan: the whole pipeline, or only its last stage with images that exist.

use futures_util::future::try_join_all;

use super::exit;
use crate::{
    cancel::{Cancel, Stop},
    context::RunContext,
    deploy::{
        self,
        release::{Content, Release},
        stage::Deployment,
        target::Target as _,
    },
    domain::{
        diagnostic::{Diagnostic, Severity},
        event::Event,
        failure::{Blame, Failure},
        outcome::RunOutcome,
        run::{RunState, TargetState, Work},
        stage::Stage,
    },
    events::Events,
    inputs::typed::Inputs,
    pipeline::{self, Journal, Unfinished},
    plan::Plan,
    run::{contents, observers::chat::warning, targets},
};

/// The outcome of a run that timed out.
pub(super) const TIMED_OUT: (RunOutcome, u8) = (RunOutcome::TimedOut, exit::FAILED);

impl Work {
    /// Adds the images and targets that the work is about.
    pub(super) fn begin(self, mut state: RunState, planned: Option<&(Plan, RunContext)>) -> RunState {
        state.work = self;
        let Some((plan, cx)) = planned else { return state };
        if self == Self::Pipeline {
            state.images = plan.image_states();
        }
        if cx.deployment.is_some() {
            state.targets = targets::names(plan).into_iter().map(TargetState::new).collect();
        }
        state
    }

    /// Reports the plan's warnings and notices, then runs the pipeline.
    pub(super) async fn run(
        self,
        plan: &Plan,
        cx: &RunContext,
        inputs: &Inputs,
        cancel: &Cancel,
        journal: Journal<'_>,
        events: &Events,
    ) -> (RunOutcome, u8) {
        for message in &plan.warnings {
            events.emit(Event::Diagnostic(warning("plan", message.clone()))).await;
        }
        for message in &plan.notices {
            events.emit(Event::Diagnostic(notice("plan", message.clone()))).await;
        }
        let done = match self {
            Self::Pipeline => Box::pin(pipeline::run(plan, cx, cancel, journal, events)).await.map(drop),
            Self::Deploy | Self::Rollback => Box::pin(deploying(self, plan, cx, inputs, cancel, journal, events)).await,
        };
        match done {
            Ok(()) => (RunOutcome::Success, exit::SUCCESS),
            Err(Unfinished::Stopped(Stop::Signal)) => (RunOutcome::Cancelled, exit::FAILED),
            Err(Unfinished::Stopped(Stop::Timeout)) => TIMED_OUT,
            Err(Unfinished::Failed(failure)) => {
                let status = status_of(&failure);
                (RunOutcome::Failure(failure), status)
            }
        }
    }
}

/// Deploys what exists already: images, or an earlier release of each target.
async fn deploying(
    work: Work,
    plan: &Plan,
    cx: &RunContext,
    inputs: &Inputs,
    cancel: &Cancel,
    journal: Journal<'_>,
    events: &Events,
) -> Result<(), Unfinished> {
    let dry_run = inputs.github.dry_run;
    let Some(deployment) = deployment(plan, cx, events).await? else { return Ok(()) };
    events.emit(Event::StageStarted(Stage::Preflight)).await;
    let releases = cancel.unless(releases(work, plan, cx, inputs, deployment, events)).await??;
    events.emit(Event::StageStarted(Stage::Deploy)).await;
    let targets: Vec<_> = deployment.targets.iter().zip(&releases).collect();
    let descent = deployment.descent.as_ref();
    deploy::stage::run(&targets, descent, dry_run, cancel, journal.deployment, events).await?;
    Ok(())
}

/// Returns the release for each target.
async fn releases(
    work: Work,
    plan: &Plan,
    cx: &RunContext,
    inputs: &Inputs,
    Deployment { targets, release, .. }: &Deployment,
    events: &Events,
) -> Result<Vec<Release>, Failure> {
    if work == Work::Rollback {
        let find = targets.iter().map(|spec| contents::earlier(&spec.target, inputs.deploy.to.as_deref()));
        let found = try_join_all(find).await?;
        for (spec, Release { id, commit, .. }) in targets.iter().zip(&found) {
            let of_commit = if commit.is_empty() { String::new() } else { format!(" of commit {commit}") };
            let message = format!("{}: back to release {id}{of_commit}", spec.target.name());
            events.emit(Event::Diagnostic(notice("rollback", message))).await;
        }
        let again = |Release { commit, content, .. }| Release { commit, content, ..release.clone() };
        return Ok(found.into_iter().map(again).collect());
    }
    let ((), images) = tokio::try_join!(deploy::check(targets), contents::images(plan, inputs, &cx.credentials))?;
    Ok(vec![Release { content: Content::Images(images), ..release.clone() }; targets.len()])
}

/// Returns the deployment, or a notice why there is none.
async fn deployment<'a>(plan: &Plan, cx: &'a RunContext, events: &Events) -> Result<Option<&'a Deployment>, Failure> {
    if plan.deploy.is_empty() {
        let hint = "set the input `deploy`, such as `deploy: {compose: ssh://deploy@shop.example/srv/shop}`".to_owned();
        return Err(Failure::invalid(Stage::Plan, "there is no target to deploy to", Some(hint)));
    }
    for (name, reason) in plan.deploy.iter().filter_map(|target| Some((&target.name, target.skipped.as_ref()?))) {
        let message = format!("{name} is skipped: {reason}");
        events.emit(Event::Diagnostic(notice("deploy", message))).await;
    }
    Ok(cx.deployment.as_deref())
}

fn notice(title: &str, message: String) -> Diagnostic {
    Diagnostic { severity: Severity::Notice, ..warning(title, message) }
}

/// Returns the exit status of a failed run.
fn status_of(failure: &Failure) -> u8 {
    match failure.blame {
        Blame::BadRelease => exit::BAD_RELEASE,
        Blame::Input => exit::WRONG_INPUT,
        Blame::World => exit::FAILED,
    }
}
