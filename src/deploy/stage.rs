//! The deploy stage of a run: from its images to the reports of all targets.

use std::cell::RefCell;

use futures_util::future::{LocalBoxFuture, join};
use tokio::sync::mpsc;

use super::{
    Saved, TargetSpec, all,
    compose::ComposeTarget,
    outcome::{Verdict, verdict},
    release::Release,
};
use crate::{
    cancel::{Cancel, Stop},
    domain::{
        deploy::{DeployReport, DeployStep},
        diagnostic::{Diagnostic, Severity},
        event::Event,
        failure::Failure,
    },
    events::Events,
    github::{branch_head, client::Client},
};

/// Why a deploy stage ended early.
#[derive(Clone, Debug, PartialEq)]
pub enum Undeployed {
    /// A deployment failed.
    Failed(Box<Failure>),
    /// The run was stopped.
    Stopped(Stop),
}

/// The targets of a run, and everything about the release except its images.
#[derive(Debug)]
pub struct Deployment {
    /// The targets.
    pub targets: Vec<TargetSpec<ComposeTarget>>,
    /// The release; its images are known after publishing.
    pub release: Release,
    /// How to find out which of two commits is newer.
    pub descent: Option<Descent>,
}

/// A target and the release that is deployed to it.
pub type Job<'a> = (&'a TargetSpec<ComposeTarget>, &'a Release);

/// How to ask GitHub whether another commit is a descendant of the run's.
#[derive(Clone, Debug)]
pub struct Descent {
    /// The client for GitHub's API.
    pub client: Client,
    /// The run's commit.
    pub commit: String,
}

/// Returns what a deployment of a release would change at each target, or why it would not change anything. Changes nothing
/// and takes no lock.
pub async fn differences(targets: &[TargetSpec<ComposeTarget>], release: &Release) -> Vec<(String, DeployStep)> {
    let steps = RefCell::new(Vec::new());
    let notice = |target: &str, step: DeployStep| {
        let is_dry_run =
            matches!(&step, DeployStep::Finished(report) if report.reason.as_deref() == Some(super::policy::DRY_RUN));
        if !is_dry_run {
            steps.borrow_mut().push((target.to_owned(), step));
        }
    };
    let is_newer = |_: String| -> LocalBoxFuture<'static, bool> { Box::pin(async { false }) };
    let (_canceller, cancel) = crate::cancel::channel();
    let journal = |_: &str, _: Option<&Saved>| {};
    let cx = super::Context { cancel: &cancel, dry_run: true, journal: &journal, notice: &notice, is_newer: &is_newer };
    all(&same(targets, release), cx).await;
    steps.into_inner()
}

/// The same release for all targets.
pub fn same<'a>(targets: &'a [TargetSpec<ComposeTarget>], release: &'a Release) -> Vec<Job<'a>> {
    targets.iter().map(|spec| (spec, release)).collect()
}

/// Deploys to all targets.
///
/// # Errors
/// The failure of the first target that failed, or the stop that was requested. The events report every target.
pub async fn run(
    targets: &[Job<'_>],
    descent: Option<&Descent>,
    dry_run: bool,
    cancel: &Cancel,
    journal: &dyn Fn(&str, Option<&Saved>),
    events: &Events,
) -> Result<Vec<DeployReport>, Undeployed> {
    // The policy reports its steps without waiting.
    let (sender, mut steps) = mpsc::unbounded_channel::<(String, DeployStep)>();
    let work = async {
        let notice = |target: &str, step: DeployStep| drop(sender.send((target.to_owned(), step)));
        let descent = descent.cloned();
        let is_newer = move |other: String| -> LocalBoxFuture<'static, bool> {
            let descent = descent.clone();
            Box::pin(async move {
                let Some(descent) = descent else { return false };
                branch_head::is_newer(&descent.client, &other, &descent.commit).await.unwrap_or(false)
            })
        };
        let cx = super::Context { cancel, dry_run, journal, notice: &notice, is_newer: &is_newer };
        let reports = all(targets, cx).await;
        drop(sender);
        reports
    };
    let forward = async {
        while let Some((target, step)) = steps.recv().await {
            events.emit(Event::Deploy { target, step }).await;
        }
    };
    let (reports, ()) = join(work, forward).await;
    let (verdict, others) = verdict(&reports);
    for failure in others {
        events.emit(Event::Diagnostic(further(&failure))).await;
    }
    match verdict {
        Verdict::Good => Ok(reports),
        Verdict::Failed(failure) => Err(Undeployed::Failed(failure)),
        Verdict::Stopped => Err(Undeployed::Stopped(cancel.reason().unwrap_or(Stop::Signal))),
    }
}

/// The report of a failure besides the one that the run ends with.
fn further(failure: &Failure) -> Diagnostic {
    let target = failure.target().unwrap_or_default();
    let lines = std::iter::once(format!("{target}: {}", failure.headline)).chain(failure.log.iter().cloned());
    let message: Vec<String> = lines.chain(failure.hint.clone()).collect();
    Diagnostic { severity: Severity::Error, title: "deploy".to_owned(), message: message.join("\n"), place: None }
}
