//! Every way in which a deployment can end, with a target that is a script. The clock is paused: nothing waits.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use build_deploy::{
    cancel::{self, Stop},
    deploy::{
        self, Context, Reached, Saved, TargetSpec,
        plan::{Change, Plan},
        release::{Content, Release, ServiceImage},
        target::Recorded,
    },
    domain::deploy::{
        DeployReport,
        DeployResult::{
            self, Cancelled, Deployed, FailedNotRolledBack, FailedRolledBack, Locked, MigrationFailed, Skipped,
            Superseded, Unchanged,
        },
        DeployStep,
    },
};
use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep};

use super::script::{Does, Script, image, release, running, spec};

/// What a deployment came to.
pub(super) struct Done {
    reports: Vec<DeployReport>,
    specs: Vec<TargetSpec<Script>>,
    /// The journal's entries: whether there was a way back to note.
    pub(super) journal: Vec<Option<Saved>>,
    steps: Vec<DeployStep>,
    seconds: u64,
}

impl Done {
    pub(super) fn result(&self) -> DeployResult {
        self.reports[0].result
    }

    pub(super) fn reason(&self) -> &str {
        self.reports[0].reason.as_deref().unwrap_or_default()
    }

    pub(super) fn script(&self) -> &Script {
        &self.specs[0].target
    }

    /// What runs in the end, if it is the same everywhere.
    pub(super) fn runs(&self) -> String {
        let runs = self.script().runs.borrow();
        let all: Vec<&str> = runs.values().map(String::as_str).collect();
        if all.windows(2).all(|pair| pair[0] == pair[1]) { all.first().map(|one| (*one).to_owned()) } else { None }
            .unwrap()
    }
}

#[derive(Clone, Copy, Default)]
struct Options {
    stop_after: Option<Duration>,
    dry_run: bool,
    is_newer: bool,
}

async fn deploy_all(specs: Vec<TargetSpec<Script>>, release: &Release, options: Options) -> Done {
    let (canceller, cancel) = cancel::channel();
    let (journal, steps) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
    let began = Instant::now();
    let cx = Context {
        cancel: &cancel,
        dry_run: options.dry_run,
        journal: &|_, saved| journal.borrow_mut().push(saved.cloned()),
        notice: &|_, step| steps.borrow_mut().push(step),
        is_newer: &|_| async move { options.is_newer }.boxed(),
    };
    let stop = async {
        match options.stop_after {
            Some(after) => {
                sleep(after).await;
                canceller.stop(Stop::Signal);
            }
            None => std::future::pending().await,
        }
        std::future::pending::<()>().await;
    };
    let jobs: Vec<_> = specs.iter().map(|spec| (spec, release)).collect();
    let reports = tokio::select! {
        reports = deploy::all(&jobs, cx) => reports,
        () = stop => unreachable!(),
    };
    let seconds = began.elapsed().as_secs();
    let (journal, steps) = (journal.into_inner(), steps.into_inner());
    let done = Done { reports, specs, journal, steps, seconds };
    for spec in &done.specs {
        assert_eq!(spec.target.locks.get(), 0, "a lock is held after {}", spec.target.calls());
    }
    done
}

pub(super) async fn deploy(script: Script, content: &str) -> Done {
    deploy_all(vec![spec(script)], &release(content), Options::default()).await
}

async fn deploy_until(script: Script, content: &str, stop_after: f64) -> Done {
    let options = Options { stop_after: Some(Duration::from_secs_f64(stop_after)), ..Options::default() };
    deploy_all(vec![spec(script)], &release(content), options).await
}

pub(super) fn with(steps: &[(&'static str, Does)]) -> Script {
    Script { steps: RefCell::new(steps.to_vec()), ..running() }
}

#[tokio::test(start_paused = true)]
async fn a_good_release() {
    let done = deploy(running(), "new").await;
    assert_eq!((done.result(), done.runs().as_str(), done.reason()), (Deployed, "new", ""));
    let calls = done.script().calls().replace(" observe", "");
    assert_eq!(calls, "read lock read prepare save migrate switch record unlock");
    assert_eq!(done.seconds, 15, "the settle time");
    let [Some(saved), Some(switch), None] = &done.journal[..] else { panic!("{:?}", done.journal) };
    assert_eq!((&saved.reached, &switch.reached), (&Reached::Saved, &Reached::Switch));
    assert_eq!((saved.target.as_str(), saved.release.id.as_str()), ("production", "r-new"));
    assert_eq!(saved.plan.changes["web"].previous, Some(image("old").pin()));
    let service = &done.reports[0].services["worker"];
    assert_eq!((&service.digest, &service.previous), (&image("new").digest, &Some(image("old").digest)));
    let words: Vec<String> =
        done.steps.iter().map(|step| format!("{step:?}").split(['(', ' ']).next().unwrap().into()).collect();
    assert_eq!(words, ["Planned", "Preparing", "Migrating", "Switching", "Watching", "Finished"]);
}

#[tokio::test(start_paused = true)]
async fn what_runs_already_is_left_alone() {
    let last = Some(Recorded { id: "9".into(), commit: "c-old".into() });
    let done = deploy(Script { last, ..running() }, "old").await;
    assert_eq!((done.result(), done.script().calls().as_str()), (Unchanged, "read"));
    assert!(done.journal.is_empty());
    let first = deploy(running(), "old").await;
    let calls = "read lock read save record unlock";
    assert_eq!(
        (first.result(), first.script().calls().as_str()),
        (Unchanged, calls),
        "a rollback may lead to it later"
    );
}

#[tokio::test(start_paused = true)]
async fn a_service_that_runs_the_same_content_is_left_alone() {
    let done = deploy(Script { alike: vec!["worker"], ..running() }, "new").await;
    let runs = done.script().runs.borrow().clone();
    assert_eq!((done.result(), runs["web"].as_str(), runs["worker"].as_str()), (Deployed, "new", "old"));
    let worker = &done.reports[0].services["worker"];
    assert_eq!((&worker.digest, &worker.previous), (&image("old").digest, &Some(image("old").digest)));
    let last = Some(Recorded { id: "9".into(), commit: "c-old".into() });
    let done = deploy(Script { alike: vec!["web", "worker"], last, ..running() }, "new").await;
    assert_eq!((done.result(), done.script().calls().as_str()), (Unchanged, "read lock read prepare unlock"));
    // What runs is not known to be whole.
    let half = Script { alike: vec!["web", "worker"], ..running() };
    let plan = Plan { release: "r".into(), changes: BTreeMap::new(), same: BTreeMap::new() };
    *half.unfinished.borrow_mut() = Some(plan);
    let done = deploy(half, "new").await;
    assert_eq!((done.result(), done.runs().as_str()), (Deployed, "new"));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_stops_at_the_difference() {
    let options = Options { dry_run: true, ..Options::default() };
    let done = deploy_all(vec![spec(running())], &release("new"), options).await;
    assert_eq!((done.result(), done.script().calls().as_str(), done.runs().as_str()), (Skipped, "read", "old"));
    assert!(matches!(&done.steps[0], DeployStep::Planned(changes) if changes.len() == 2));
}

#[tokio::test(start_paused = true)]
async fn a_bad_release_is_rolled_back() {
    let done = deploy(running(), "bad").await;
    assert_eq!((done.result(), done.runs().as_str()), (FailedRolledBack, "old"));
    assert_eq!(done.reason(), "web: exited with code 3");
    let report = &done.reports[0];
    assert!(report.was_switched && report.by_hand.is_empty());
    assert_eq!((report.failed_service.as_deref(), &report.log[..]), (Some("web"), &["web says boom".to_owned()][..]));
    assert!(matches!(&done.journal[..], [Some(_), Some(_), Some(_), None]));
    assert_eq!(done.seconds, 15, "the previous release has to prove itself too");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_fails_is_told_apart() {
    let failing = with(&[("restore", Does::Fail("no space left"))]);
    let done = deploy(failing, "bad").await;
    assert_eq!((done.result(), done.runs().as_str()), (FailedNotRolledBack, "bad"));
    let want = "web: exited with code 3; the previous release could not be restored: no space left";
    assert_eq!((done.reason(), &done.reports[0].by_hand[..]), (want, &["put it back".to_owned()][..]));
    let [.., Some(undo), Some(settled)] = &done.journal[..] else { panic!("{:?}", done.journal) };
    assert!(!undo.is_settled && settled.is_settled, "the post stage has nothing to add once the run has reported it");
    assert!(done.script().unfinished.borrow().is_some());

    let runs = BTreeMap::from([("web", "worse".to_owned()), ("worker", "worse".to_owned())]);
    let done = deploy(Script { runs: RefCell::new(runs), ..running() }, "bad").await;
    assert_eq!(done.result(), FailedNotRolledBack, "what ran before was broken, too");
    assert!(
        done.reason().ends_with("the previous release was restored, but web: exited with code 3"),
        "{}",
        done.reason()
    );

    let done = deploy(Script { runs: RefCell::default(), ..running() }, "bad").await;
    assert_eq!((done.result(), done.runs().as_str()), (FailedNotRolledBack, "bad"));
    assert!(done.reason().ends_with("there is no previous release to roll back to"), "{}", done.reason());

    let mut off = spec(running());
    off.settings.rolls_back = false;
    let done = deploy_all(vec![off], &release("bad"), Options::default()).await;
    assert_eq!((done.result(), done.runs().as_str()), (FailedNotRolledBack, "bad"));
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_fails_is_rolled_back() {
    let done = deploy(with(&[("switch", Does::Fail("port is already allocated"))]), "new").await;
    assert_eq!((done.result(), done.runs().as_str()), (FailedRolledBack, "old"));
    assert_eq!((done.reason(), &done.reports[0].log[..]), ("port is already allocated", &["boom".to_owned()][..]));
}

#[tokio::test(start_paused = true)]
async fn failures_before_the_switch_change_nothing() {
    for step in ["read", "lock", "prepare", "save"] {
        let done = deploy(with(&[(step, Does::Fail("no"))]), "new").await;
        assert_eq!((done.result(), done.runs().as_str()), (FailedRolledBack, "old"), "{step}");
        assert_eq!((done.reason(), done.reports[0].was_switched), ("no; nothing was switched", false), "{step}");
    }
    let done = deploy(with(&[("migrate", Does::Fail("exit code 1"))]), "new").await;
    assert_eq!((done.result(), done.runs().as_str(), done.reason()), (MigrationFailed, "old", "exit code 1"));
    assert!(done.script().unfinished.borrow().is_none() && matches!(&done.journal[..], [Some(_), None]));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_written_fails_nothing() {
    let done = deploy(with(&[("record", Does::Fail("disk full"))]), "new").await;
    assert_eq!((done.result(), done.runs().as_str()), (Deployed, "new"));
    assert!(done.steps.iter().any(|step| matches!(step, DeployStep::Warning(text) if text.contains("disk full"))));
}

#[tokio::test(start_paused = true)]
async fn the_lock() {
    let done = deploy(Script { holder: Some(("run 7", 20)), ..running() }, "new").await;
    assert_eq!((done.result(), done.seconds), (Deployed, 35));
    let waiting = done.steps.iter().filter(|step| matches!(step, DeployStep::Waiting(holder) if holder == "run 7"));
    assert_eq!(waiting.count(), 1);
    let done = deploy(Script { holder: Some(("run 7", 999)), ..running() }, "new").await;
    assert_eq!((done.result(), done.runs().as_str(), done.seconds), (Locked, "old", 60));
    assert!(done.reason().contains("(run 7); gave up after 60 s"), "{}", done.reason());
}

#[tokio::test(start_paused = true)]
async fn never_over_somebody_else() {
    let last = Some(Recorded { id: "9".into(), commit: "newer".into() });
    let options = Options { is_newer: true, ..Options::default() };
    let done = deploy_all(vec![spec(Script { last: last.clone(), ..running() })], &release("new"), options).await;
    assert_eq!((done.result(), done.runs().as_str()), (Superseded, "old"));
    let services = BTreeMap::from([("web".to_owned(), ServiceImage { image: "site".into(), pin: image("new").pin() })]);
    let rollback = Release { content: Content::Services(services), ..release("new") };
    let done = deploy_all(vec![spec(Script { last, ..running() })], &rollback, options).await;
    assert_eq!(done.result(), Deployed, "an old release is put back on purpose");
    assert!(!done.script().calls().contains("migrate"));

    let done = deploy(with(&[("observe", Does::Intrude("other"))]), "bad").await;
    assert_eq!((done.result(), done.runs().as_str()), (Superseded, "other"), "their release is not rolled back");
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_the_switch_changes_nothing() {
    for step in ["read", "lock", "prepare", "save", "migrate"] {
        let done = deploy_until(with(&[(step, Does::Take(30))]), "new", 5.0).await;
        assert_eq!((done.result(), done.runs().as_str(), done.seconds), (Cancelled, "old", 5), "{step}");
        assert!(done.reason().ends_with("nothing was switched"), "{}", done.reason());
        assert!(!done.script().calls().contains("switch"), "{step}");
    }
    let done = deploy_until(with(&[("migrate", Does::Take(30))]), "new", 5.0).await;
    assert!(done.reason().contains("a migration was running, which continues"), "{}", done.reason());
}

#[tokio::test(start_paused = true)]
async fn a_stop_never_starts_a_rollback() {
    // Within the switch, which ends in time, and which does not.
    for (takes, reason) in [(7, "not verified"), (30, "which continues on the target")] {
        let done = deploy_until(with(&[("switch", Does::Take(takes))]), "bad", 5.0).await;
        assert_eq!((done.result(), done.runs().as_str()), (Cancelled, "bad"));
        assert!(done.seconds <= 8 && done.reason().contains(reason), "{} s: {}", done.seconds, done.reason());
        assert!(!done.script().calls().contains("restore"));
        assert!(matches!(&done.journal[..], [Some(_), Some(_)]) && done.script().unfinished.borrow().is_some());
    }
    let done = deploy_until(with(&[("switch", Does::FailAfter(6, "port is taken"))]), "new", 5.0).await;
    assert_eq!((done.result(), done.seconds), (Cancelled, 6));
    assert_eq!(done.reason(), "port is taken; the run was cancelled, and no rollback was started");
    assert!(!done.script().calls().contains("restore"));
    // While the release is watched.
    let done = deploy_until(running(), "new", 5.0).await;
    assert_eq!((done.result(), done.runs().as_str(), done.seconds), (Cancelled, "new", 5));
    // Within the rollback, and while that is watched.
    let done = deploy_until(with(&[("restore", Does::Take(30))]), "bad", 5.0).await;
    assert_eq!((done.result(), done.seconds), (Cancelled, 8));
    assert!(done.reason().contains("during the rollback"), "{}", done.reason());
    let done = deploy_until(running(), "bad", 5.0).await;
    assert_eq!((done.result(), done.runs().as_str()), (Cancelled, "old"));
    assert!(done.reason().ends_with("restored, but the run was cancelled before it was verified"), "{}", done.reason());
}

#[tokio::test(start_paused = true)]
async fn the_next_deployment_proves_what_was_not_finished() {
    let unfinished = || {
        let change =
            Change { image: "site".into(), next: image("bad").pin(), previous: Some(image("old").pin()), was_up: true };
        let changes = ["web", "worker"].map(|name| (name.to_owned(), change.clone())).into();
        Plan { release: "r-bad".into(), changes, same: BTreeMap::new() }
    };
    let half_done = |content: &str| {
        let runs = BTreeMap::from([("web", content.to_owned()), ("worker", content.to_owned())]);
        Script { runs: RefCell::new(runs), unfinished: RefCell::new(Some(unfinished())), ..running() }
    };
    let done = deploy(half_done("bad"), "worse").await;
    assert_eq!(
        (done.result(), done.runs().as_str()),
        (FailedRolledBack, "old"),
        "not to the release that was never proved"
    );
    assert!(done.steps.iter().any(|step| matches!(step, DeployStep::FoundUnfinished(id) if id == "r-bad")));
    let done = deploy(half_done("bad"), "bad").await;
    assert_eq!((done.result(), done.runs().as_str()), (FailedRolledBack, "old"), "not unchanged");
    let done = deploy(half_done("old"), "old").await;
    assert_eq!((done.result(), done.runs().as_str()), (Unchanged, "old"));
    assert!(done.script().unfinished.borrow().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_post_stage_finishes_or_undoes() {
    for (content, runs, result, want) in [
        ("new", ["new", "new"], Deployed, "new"),
        ("bad", ["bad", "bad"], FailedRolledBack, "old"),
        ("new", ["new", "old"], FailedRolledBack, "old"),
        ("new", ["old", "old"], Cancelled, "old"),
    ] {
        let killed = deploy_until(with(&[("switch", Does::Take(30))]), content, 5.0).await;
        let Some(Some(saved)) = killed.journal.last() else { panic!() };
        let spec = &killed.specs[0];
        let now = [("web", runs[0].to_owned()), ("worker", runs[1].to_owned())].into();
        *spec.target.runs.borrow_mut() = now;
        let (_canceller, cancel) = cancel::channel();
        let journal = RefCell::new(Vec::new());
        let cx = Context {
            cancel: &cancel,
            dry_run: false,
            journal: &|_, saved| journal.borrow_mut().push(saved.is_some()),
            notice: &|_, _| {},
            is_newer: &|_| async { false }.boxed(),
        };
        let report = deploy::repair(spec, saved, cx).await;
        assert_eq!((report.result, killed.runs().as_str()), (result, want), "{content} {runs:?}: {:?}", report.reason);
        assert_eq!(journal.into_inner().last(), Some(&false));
        assert!(spec.target.unfinished.borrow().is_none());
        let again = deploy::repair(spec, saved, deaf(&cancel)).await;
        let want = if runs == ["new", "new"] { Deployed } else { Superseded };
        assert_eq!((again.result, killed.runs().as_str()), (want, if want == Deployed { "new" } else { "old" }));
    }
}

#[tokio::test(start_paused = true)]
async fn the_post_stage_finishes_a_rollback() {
    for runs in [["old", "old"], ["old", "bad"], ["bad", "bad"]] {
        let killed = deploy_until(with(&[("restore", Does::Take(300))]), "bad", 100.0).await;
        let Some(Some(saved)) = killed.journal.last() else { panic!() };
        let Reached::Undo(reason) = &saved.reached else { panic!("{:?}", saved.reached) };
        let spec = &killed.specs[0];
        *spec.target.runs.borrow_mut() = [("web", runs[0].to_owned()), ("worker", runs[1].to_owned())].into();
        spec.target.steps.take();
        let (_canceller, cancel) = cancel::channel();
        // The second time, it was killed right after the record.
        for _ in 0..2 {
            let report = deploy::repair(spec, saved, deaf(&cancel)).await;
            assert_eq!((report.result, killed.runs().as_str()), (FailedRolledBack, "old"), "{runs:?}");
            assert_eq!((report.reason.as_deref(), report.was_switched), (Some(reason.as_str()), true));
            assert!(spec.target.unfinished.borrow().is_none());
        }
    }
}

/// A context in which nobody hears anything.
fn deaf(cancel: &cancel::Cancel) -> Context<'_> {
    Context { cancel, dry_run: false, journal: &|_, _| {}, notice: &|_, _| {}, is_newer: &|_| async { false }.boxed() }
}

#[tokio::test(start_paused = true)]
async fn the_first_target_that_fails_stops_those_after_it() {
    let named = |name, steps: &[(&'static str, Does)]| spec(Script { name, ..with(steps) });
    let specs = vec![named("one", &[]), named("two", &[("migrate", Does::Fail("no"))]), named("three", &[])];
    let done = deploy_all(specs, &release("new"), Options::default()).await;
    let results: Vec<_> = done.reports.iter().map(|report| (report.name.as_str(), report.result)).collect();
    assert_eq!(results, [("one", Deployed), ("two", MigrationFailed), ("three", Skipped)]);
    assert_eq!(done.reports[2].reason.as_deref(), Some("the deployment to two failed"));
    assert_eq!(done.specs[2].target.calls(), "");
    let together = |name, steps: &_| TargetSpec { joins_previous: true, ..named(name, steps) };
    let specs = vec![
        named("one", &[("migrate", Does::Fail("no"))]),
        together("two", &[]),
        named("three", &[]),
        together("four", &[]),
    ];
    let done = deploy_all(specs, &release("new"), Options::default()).await;
    let results: Vec<_> = done.reports.iter().map(|report| report.result).collect();
    assert_eq!(results, [MigrationFailed, Deployed, Skipped, Skipped], "those at the same time do not stop each other");
    let done = deploy_all(vec![named("one", &[]), together("two", &[])], &release("new"), Options::default()).await;
    assert_eq!(done.seconds, 15, "both settle at the same time");
    let check = deploy::check(&[named("one", &[]), named("two", &[("check", Does::Fail("no docker"))])]).await;
    assert_eq!(check.unwrap_err().headline, "two: no docker");
}

#[tokio::test]
async fn services_that_do_not_exist_are_found_before_the_build() {
    assert_eq!(deploy::check(&[spec(running())]).await, Ok(()));
    let mut mapped = spec(running());
    mapped.settings.services = BTreeMap::from([("web".into(), "site".into()), ("celery".into(), "site".into())]);
    let problem = deploy::check(&[mapped]).await.unwrap_err();
    assert_eq!(
        problem.headline,
        "production: `services`: the target has no service `celery`; its services are: web, worker"
    );
    let mut migrated = spec(running());
    migrated.settings.migrations[0].service = "django".into();
    let problem = deploy::check(&[migrated]).await.unwrap_err();
    assert_eq!(
        problem.headline,
        "production: `migrate`: the target has no service `django`; its services are: web, worker"
    );
}
