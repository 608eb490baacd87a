//! How a release is deployed to a target, on one page, for every kind of target.
//!
//! ```text
//! read -> plan -> lock -> read and plan again -> prepare -> save -> migrate -> switch -> watch -> record
//!                                                                                 \-> restore -> watch -> record
//! ```
//!
//! | until | a stop of the run | a failure |
//! |---|---|---|
//! | `switch` begins | ends it at once; nothing was changed | nothing was changed |
//! | `switch` ends | the target finishes the switch by itself; this process waits [`AFTER_STOP`] for it | restore |
//! | the end | ends the watching; the release is left as it is, and the next deployment proves or undoes it | restore |
//!
//! A stop never starts a restore: the runner kills this process a few seconds later. What was saved before the switch lets
//! the post stage ([`super::repair`]) and the next deployment find the way back.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    Context, Reached, Saved, Settings,
    end::End,
    http_check,
    judge::{Fault, Judge, Verdict},
    plan::{Plan, Side},
    release::{Content, Release},
    target::{Present, Recorded, Target, TargetError},
};
use crate::domain::deploy::{
    DeployResult::{Cancelled, Deployed, FailedRolledBack, MigrationFailed, Skipped, Superseded, Unchanged},
    DeployStep,
};

/// How long a switch that is going on may take after the run was asked to stop.
const AFTER_STOP: Duration = Duration::from_secs(3);
/// The reason of a report after a dry run.
pub(super) const DRY_RUN: &str = "dry run";
/// How often the containers are looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// How long a target that was reached before may be out of reach.
pub(super) const OUTAGE: Duration = Duration::from_mins(2);

/// A deployment to one target.
pub(super) struct Run<'a, T: Target> {
    pub(super) target: &'a T,
    pub(super) settings: &'a Settings,
    pub(super) release: &'a Release,
    pub(super) cx: Context<'a>,
    /// The lock, once it was taken.
    pub(super) lock: Option<T::Lock>,
    /// The latest plan, for the report.
    pub(super) plan: Option<Plan>,
    /// The last release that was deployed, and whether a note of this deployment is at the target, when the lock was held
    /// last. Another deployment changes one of them.
    pub(super) known: (Option<Recorded>, bool),
    /// What was noted for the post stage last.
    pub(super) noted: Option<Saved>,
    /// What is going on, for the message about a stop.
    doing: &'static str,
}

/// What watching a release led to.
pub(super) enum Watched {
    Good,
    Bad(Fault),
    /// Somebody else has deployed.
    Foreign(Fault),
    /// The target did not answer for too long.
    Unknown(TargetError),
    Stopped,
}

impl<'a, T: Target> Run<'a, T> {
    pub(super) fn new(target: &'a T, settings: &'a Settings, release: &'a Release, cx: Context<'a>) -> Self {
        Self {
            target,
            settings,
            release,
            cx,
            lock: None,
            plan: None,
            known: (None, false),
            noted: None,
            doing: "reading",
        }
    }

    /// The deployment.
    pub(super) async fn deploy(&mut self) -> End {
        let cancel = self.cx.cancel;
        let plan = match cancel.unless(Box::pin(self.before_the_switch())).await {
            Ok(Ok(plan)) => plan,
            Ok(Err(end)) => return *end,
            Err(_) => {
                return End::new(Cancelled).because(format!("cancelled while {}; nothing was switched", self.doing));
            }
        };
        match Box::pin(self.switch(&plan)).await {
            Ok(Watched::Good) => self.record(&plan, End::new(Deployed).switched()).await,
            Ok(watched) => self.undo_unless_stopped(&plan, watched).await,
            Err(end) => *end,
        }
    }

    /// Everything that leaves what runs alone. Dropped if the run is stopped.
    async fn before_the_switch(&mut self) -> Result<Plan, Box<End>> {
        let present = self.target.read().await?;
        let plan = self.plan(&present)?;
        self.notice(DeployStep::Planned(plan.difference()));
        if self.cx.dry_run {
            return Err(End::new(Skipped).because(DRY_RUN).into());
        }
        if plan.is_done() && present.unfinished.is_none() && present.last.is_some() {
            return Err(End::new(Unchanged).into());
        }
        self.doing = "waiting for the lock";
        self.wait_for_lock().await?;

        // Another deployment may have ended meanwhile.
        self.doing = "reading";
        let present = self.target.read().await?;
        self.known.0.clone_from(&present.last);
        if let Some(unfinished) = &present.unfinished {
            self.notice(DeployStep::FoundUnfinished(unfinished.release.clone()));
        }
        let mut plan = self.plan(&present)?;
        self.stay_behind_newer(&present).await?;
        if plan.is_done() {
            return Err(self.unchanged(&plan, &present).await);
        }
        self.doing = "preparing";
        self.notice(DeployStep::Preparing);
        let alike = self.target.prepare(&plan, &may_stay(&present)).await?;
        if !alike.is_empty() {
            plan.leave(&alike);
            self.plan = Some(plan.clone());
            self.notice(DeployStep::Alike(alike));
        }
        self.keep_lock(&plan).await?;
        if plan.is_done() {
            return Err(self.unchanged(&plan, &present).await);
        }
        self.save(&plan).await?;
        self.migrate(&plan).await?;
        self.keep_lock(&plan).await?;
        Ok(plan)
    }

    /// The end of a deployment that switches nothing.
    async fn unchanged(&mut self, plan: &Plan, present: &Present) -> Box<End> {
        if present.unfinished.is_none() && present.last.is_some() {
            return End::new(Unchanged).into();
        }
        // Nothing of the unfinished deployment is left, or this is the first release that is recorded here, to which a
        // rollback may lead later.
        match self.save(plan).await {
            Ok(()) => self.record(plan, End::new(Unchanged)).await.into(),
            Err(end) => end,
        }
    }

    pub(super) fn plan(&mut self, present: &Present) -> Result<Plan, Box<End>> {
        let plan = Plan::new(present, self.release, &self.settings.services);
        let plan = plan.map_err(|error| TargetError::new(error.to_string()))?;
        self.plan = Some(plan.clone());
        Ok(plan)
    }

    /// Ends the deployment of a commit if the target has a newer one. An earlier release that is put back on purpose is older
    /// by its nature.
    async fn stay_behind_newer(&self, present: &Present) -> Result<(), Box<End>> {
        let Some(last) = present.last.as_ref().filter(|last| last.commit != self.release.commit) else { return Ok(()) };
        if matches!(self.release.content, Content::Services(_)) || !(self.cx.is_newer)(last.commit.clone()).await {
            return Ok(());
        }
        let reason = format!("the release {} of the newer commit {} is deployed", last.id, last.commit);
        Err(End::new(Superseded).because(reason).into())
    }

    /// Saves the way back: for the post stage of this run, and at the target for the next deployment.
    async fn save(&mut self, plan: &Plan) -> Result<(), Box<End>> {
        self.note(plan, Reached::Saved);
        match self.target.save(plan).await {
            Ok(()) => {
                self.known.1 = true;
                Ok(())
            }
            // A part of it may have been put in place.
            Err(error) => Err(self.record(plan, *Box::from(error)).await.into()),
        }
    }

    async fn migrate(&mut self, plan: &Plan) -> Result<(), Box<End>> {
        if matches!(self.release.content, Content::Services(_)) {
            return Ok(());
        }
        for migration in &self.settings.migrations {
            self.doing = "a migration was running, which continues on the target";
            let (service, command) = (migration.service.clone(), migration.command.join(" "));
            self.notice(DeployStep::Migrating { service, command });
            if let Err(error) = self.target.migrate(plan, migration, self.settings.timeout).await {
                let end = if error.is_outage {
                    // It went on without the connection. The next deployment runs it again.
                    let end = *Box::<End>::from(error);
                    let problem = end.reason.clone().unwrap_or_default();
                    end.because(format!("the migration of {} may have succeeded: {problem}", migration.service))
                } else {
                    End::new(MigrationFailed).with(&migration.service, error)
                };
                return Err(self.record(plan, end).await.into());
            }
        }
        Ok(())
    }

    /// Switches to the release and watches it.
    pub(super) async fn switch(&mut self, plan: &Plan) -> Result<Watched, Box<End>> {
        self.note(plan, Reached::Switch);
        self.notice(DeployStep::Switching);
        let mut switched = self.patiently(self.target.switch(plan, self.settings.timeout)).await;
        if matches!(&switched, Some(Err(error)) if error.is_outage) {
            // Once nothing of it is going on any more, another switch completes it.
            self.regain(plan).await.map_err(|end| end.switched())?;
            switched = self.patiently(self.target.switch(plan, self.settings.timeout)).await;
        }
        match switched {
            None => {
                let reason = "cancelled while services were being switched, which continues on the target";
                return Err(End::new(Cancelled).because(reason).switched().into());
            }
            Some(Err(error)) => {
                let end = End::new(FailedRolledBack).with_error(error);
                return Err(Box::pin(self.restore(plan, end)).await.into());
            }
            Some(Ok(())) => {}
        }
        self.notice(DeployStep::Watching);
        let mut watched = self.watch(plan, Side::Next).await;
        if let (Watched::Good, Some(check)) = (&watched, &self.settings.http_check) {
            watched = match self.cx.cancel.unless(http_check::passes(check)).await {
                Ok(Ok(())) => watched,
                Ok(Err(problem)) => Watched::Bad(Fault { service: check.url.clone(), problem }),
                Err(_) => Watched::Stopped,
            };
        }
        Ok(watched)
    }

    /// Watches what one side of the plan leads to.
    pub(super) async fn watch(&self, plan: &Plan, side: Side) -> Watched {
        let expected = plan.expected(side);
        let mut judge = Judge::new(expected.clone(), self.settings.settle, self.settings.timeout);
        let services: BTreeSet<&str> = expected.keys().map(String::as_str).collect();
        let watching = async {
            let (began, mut silent) = (Instant::now(), None);
            loop {
                match self.target.observe(&services).await {
                    Ok(containers) => {
                        silent = None;
                        match judge.see(began.elapsed(), &containers) {
                            Verdict::Pending => {}
                            Verdict::Good => return Watched::Good,
                            Verdict::Bad(fault) => return Watched::Bad(fault),
                            Verdict::Foreign(fault) => return Watched::Foreign(fault),
                        }
                    }
                    Err(error) if error.is_outage && silent.get_or_insert_with(Instant::now).elapsed() < OUTAGE => {}
                    Err(error) => return Watched::Unknown(error),
                }
                sleep(WATCH_INTERVAL).await;
            }
        };
        self.cx.cancel.unless(watching).await.unwrap_or(Watched::Stopped)
    }

    /// What follows a release that was not found good.
    pub(super) async fn undo_unless_stopped(&mut self, plan: &Plan, watched: Watched) -> End {
        match watched {
            Watched::Good => End::new(Deployed).switched(),
            Watched::Stopped => {
                let reason = "cancelled after services were switched; the release was not verified";
                End::new(Cancelled).because(reason).switched()
            }
            Watched::Foreign(fault) => {
                (self.cx.journal)(self.target.name(), None);
                End::new(Superseded).with_fault(&fault, Vec::new()).switched()
            }
            Watched::Unknown(error) => {
                let by_hand = self.target.by_hand(plan);
                End::not_rolled_back("the target stopped answering after the switch", by_hand).caused_by(&error)
            }
            Watched::Bad(fault) => {
                let log = self.target.logs(&fault.service).await;
                let end = End::new(FailedRolledBack).with_fault(&fault, log);
                Box::pin(self.restore(plan, end)).await
            }
        }
    }

    /// Puts back what ran before and watches it. `end` says why; the result depends on how this goes.
    pub(super) async fn restore(&mut self, plan: &Plan, end: End) -> End {
        let end = end.switched();
        let by_hand = self.target.by_hand(plan);
        if self.cx.cancel.reason().is_some() {
            return end.cancelled("the run was cancelled, and no rollback was started");
        }
        if !self.settings.rolls_back {
            return self.record(plan, end.left("it was not rolled back because `rollback` is off", by_hand)).await;
        }
        if !plan.has_way_back() {
            return self.record(plan, end.left("there is no previous release to roll back to", by_hand)).await;
        }
        let reason = end.reason.clone().unwrap_or_default();
        self.note(plan, Reached::Undo(reason.clone()));
        self.notice(DeployStep::RollingBack { reason });
        if let Err(lost) = self.regain(plan).await {
            return end.lost(*lost);
        }
        let mut restored = self.patiently(self.target.restore(plan, self.settings.timeout)).await;
        if matches!(&restored, Some(Err(error)) if error.is_outage) {
            if let Err(lost) = self.regain(plan).await {
                return end.lost(*lost);
            }
            restored = self.patiently(self.target.restore(plan, self.settings.timeout)).await;
        }
        match restored {
            None => {
                return end.cancelled("cancelled during the rollback, which continues on the target");
            }
            Some(Err(error)) => {
                let problem = format!("the previous release could not be restored: {}", error.chain());
                return self.record(plan, end.left(&problem, by_hand)).await;
            }
            Some(Ok(())) => {}
        }
        self.notice(DeployStep::WatchingPrevious);
        match self.watch(plan, Side::Previous).await {
            Watched::Good => self.record(plan, end).await,
            Watched::Stopped => {
                end.cancelled("the previous release was restored, but the run was cancelled before it was verified")
            }
            Watched::Bad(fault) | Watched::Foreign(fault) => {
                let problem = format!("the previous release was restored, but {}: {}", fault.service, fault.problem);
                self.record(plan, end.left(&problem, by_hand)).await
            }
            Watched::Unknown(error) => end.left(&error.chain(), by_hand),
        }
    }

    /// Records the end at the target. A deployment never fails because of its record.
    pub(super) async fn record(&mut self, plan: &Plan, end: End) -> End {
        let mut is_recorded = false;
        let problem = match self.regain(plan).await {
            Ok(()) => match self.patiently(self.target.record(plan, self.release, end.result)).await {
                Some(Err(error)) => Some(error.chain()),
                recorded => {
                    is_recorded = recorded.is_some();
                    None
                }
            },
            // What runs is theirs.
            Err(lost) if lost.result == Superseded && end.result == Deployed => return lost.switched(),
            Err(lost) => lost.reason,
        };
        if let Some(problem) = problem {
            self.notice(DeployStep::Warning(format!("the release could not be recorded: {problem}")));
        }
        self.close(&end, is_recorded);
        end
    }

    /// Runs work that must not be dropped half way. After a stop, it gets a short time to end; `None` if it does not.
    async fn patiently<O>(&self, work: impl Future<Output = O>) -> Option<O> {
        let stopped = async {
            self.cx.cancel.requested().await;
            sleep(AFTER_STOP).await;
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = stopped => None,
        }
    }

    pub(super) fn notice(&self, step: DeployStep) {
        (self.cx.notice)(self.target.name(), step);
    }
}

/// The services that run well, and need no switch if their new image contains the same.
fn may_stay(present: &Present) -> BTreeSet<String> {
    if present.is_outdated || present.unfinished.is_some() || present.left.is_some() {
        return BTreeSet::new();
    }
    let well = present.services.iter().filter(|(_, now)| now.is_up && !now.has_failed && now.runs.len() == 1);
    well.map(|(service, _)| service.clone()).collect()
}
