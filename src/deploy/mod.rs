//! Deploys releases to targets, proves that they run, and puts back what ran before when they do not.
//!
//! [`policy`] is the deployment on one page, for every kind of target; [`target::Target`] is what it needs of one. [`judge`]
//! decides whether a release runs. [`compose`] is the first kind: Docker Compose on a server.
//!
//! Nothing here reads inputs, formats messages or redacts text. Log lines in reports and steps are untrusted.

pub mod compose;
mod end;
mod hold;
mod http_check;
mod journal;
pub mod judge;
pub mod outcome;
pub mod plan;
mod policy;
pub mod release;
mod repair;
pub mod stage;
pub mod target;

use std::{collections::BTreeMap, fmt, time::Duration};

use futures_util::future::{LocalBoxFuture, join_all};
use tokio::time::{Instant, timeout};

use self::{
    end::End,
    plan::Plan,
    policy::Run,
    release::Release,
    target::{Migration, Target, TargetError},
};
pub use self::{
    http_check::HttpCheck,
    journal::{Reached, Saved},
};
use crate::{
    cancel::Cancel,
    domain::{
        deploy::{DeployReport, DeployResult, DeployStep},
        failure::Failure,
        stage::Stage,
    },
};

/// How long freeing a lock may take. It is freed in any case when the connection is closed.
const UNLOCK: Duration = Duration::from_secs(2);

/// A target and how to deploy to it.
#[derive(Debug)]
pub struct TargetSpec<T> {
    /// The target.
    pub target: T,
    /// The settings that all kinds of targets have.
    pub settings: Settings,
    /// Whether it is deployed at the same time as the target before it.
    pub joins_previous: bool,
}

/// The settings that all kinds of targets have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The image of each service, by name. Services are matched by repository, service or name if it is empty.
    pub services: BTreeMap<String, String>,
    /// The commands to run before the switch, in this order.
    pub migrations: Vec<Migration>,
    /// How long to wait for another deployment.
    pub lock_wait: Duration,
    /// How long a migration, the switch, and the wait for health may take.
    pub timeout: Duration,
    /// How long everything must stay up to count as running.
    pub settle: Duration,
    /// Whether a failed release is rolled back.
    pub rolls_back: bool,
    /// The URL that must answer after the switch.
    pub http_check: Option<HttpCheck>,
    /// URL of the deployed site, for the report.
    pub url: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            services: BTreeMap::new(),
            migrations: Vec::new(),
            lock_wait: Duration::from_mins(15),
            timeout: Duration::from_mins(10),
            settle: Duration::from_secs(15),
            rolls_back: true,
            http_check: None,
            url: None,
        }
    }
}

/// What a deployment needs besides the targets and the release.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Asks to stop.
    pub cancel: &'a Cancel,
    /// Whether to stop once the difference is known.
    pub dry_run: bool,
    /// Receives the way back of a target, by its name, right before anything is changed, and `None` once it is not needed any
    /// more.
    pub journal: &'a dyn Fn(&str, Option<&Saved>),
    /// Hears each step of a target, by the target's name.
    pub notice: &'a dyn Fn(&str, DeployStep),
    /// Whether a commit that was deployed is a descendant of the one that is being deployed. Unknown means no.
    pub is_newer: &'a dyn Fn(String) -> LocalBoxFuture<'static, bool>,
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("dry_run", &self.dry_run).finish_non_exhaustive()
    }
}

/// Checks that all targets can be reached, allow a deployment, and have the services that the inputs name. To be called
/// before anything is built.
///
/// # Errors
/// The first target, in their order, that a deployment would fail on.
pub async fn check<T: Target>(specs: &[TargetSpec<T>]) -> Result<(), Failure> {
    let checks = join_all(specs.iter().map(async |spec| (spec, spec.target.check().await))).await;
    for (spec, result) in checks {
        let Settings { services, migrations, .. } = &spec.settings;
        let fits =
            |has| plan::check_names(&has, services, migrations).map_err(|error| TargetError::new(error.to_string()));
        if let Err(error) = result.and_then(fits) {
            let headline = format!("{}: {}", spec.target.name(), error.chain());
            let failure = Failure::new(Stage::Preflight, headline, error.hint);
            return Err(Failure { log: error.log, ..failure });
        }
    }
    Ok(())
}

/// Deploys releases to targets, in their order. The first one that fails stops those after it, which are reported as skipped.
/// Targets that join the previous one are deployed at the same time, and do not stop each other.
pub async fn all<T: Target>(targets: &[(&TargetSpec<T>, &Release)], cx: Context<'_>) -> Vec<DeployReport> {
    let mut reports: Vec<DeployReport> = Vec::new();
    let mut rest = targets;
    while !rest.is_empty() {
        let joined = rest[1..].iter().take_while(|(spec, _)| spec.joins_previous).count();
        let (batch, later) = rest.split_at(1 + joined);
        let stopper = reports.iter().find(|report| !report.result.lets_others_follow());
        let batch = batch.iter().map(async |(spec, release)| {
            let report = match stopper {
                Some(stopper) => {
                    let reason = format!("the deployment to {} failed", stopper.name);
                    report(spec, None, End::new(DeployResult::Skipped).because(reason), Duration::ZERO)
                }
                None => one(spec, release, cx, None).await,
            };
            (cx.notice)(spec.target.name(), DeployStep::Finished(Box::new(report.clone())));
            report
        });
        let batch = join_all(batch).await;
        reports.extend(batch);
        rest = later;
    }
    reports
}

/// Finishes or undoes a deployment whose process was killed, from what it saved.
pub async fn repair<T: Target>(spec: &TargetSpec<T>, saved: &Saved, cx: Context<'_>) -> DeployReport {
    one(spec, &saved.release, cx, Some(saved)).await
}

async fn one<T: Target>(
    spec: &TargetSpec<T>,
    release: &Release,
    cx: Context<'_>,
    interrupted: Option<&Saved>,
) -> DeployReport {
    let began = Instant::now();
    let mut run = Run::new(&spec.target, &spec.settings, release, cx);
    let end = match interrupted {
        Some(saved) => Box::pin(run.repair(saved)).await,
        None => Box::pin(run.deploy()).await,
    };
    if let Some(lock) = run.lock.take() {
        drop(timeout(UNLOCK, spec.target.unlock(lock)).await);
    }
    report(spec, run.plan.as_ref(), end, began.elapsed())
}

fn report<T: Target>(spec: &TargetSpec<T>, plan: Option<&Plan>, end: End, duration: Duration) -> DeployReport {
    let End { result, reason, hint, by_hand, was_switched, failed_service, log } = end;
    DeployReport {
        name: spec.target.name().to_owned(),
        kind: spec.target.kind(),
        result,
        services: plan.map(Plan::services).unwrap_or_default(),
        url: spec.settings.url.clone(),
        duration,
        reason,
        by_hand,
        hint,
        was_switched,
        failed_service,
        log,
    }
}
