//! Deployments that are killed, cut off, cancelled, or not alone.

use std::time::{Duration, Instant};

use build_deploy::{
    cancel::{self, Stop},
    deploy::release::Release,
    domain::deploy::{
        DeployResult::{Cancelled, Deployed, FailedRolledBack, Unchanged},
        DeployStep,
    },
};
use tokio::time::sleep;

use super::{
    files::with_files,
    site::{Site, USUAL, engine},
};

#[tokio::test]
async fn two_deployments_at_once() {
    let site = Site::new("twice", USUAL).await;
    let other = async {
        // The first one has the lock.
        while !site.steps.borrow().contains(&DeployStep::Preparing) {
            sleep(Duration::from_millis(10)).await;
        }
        site.deploy("v2").await
    };
    let (first, second) = tokio::join!(site.deploy("v1"), other);
    assert_eq!((first.result, second.result), (Deployed, Deployed), "{:?} {:?}", first.reason, second.reason);
    let steps = site.steps.borrow();
    let waited =
        steps.iter().find_map(|step| if let DeployStep::Waiting(holder) = step { Some(holder.clone()) } else { None });
    assert!(waited.unwrap().starts_with("release v1-1 of octocat, since "));
    site.assert_runs("v2");
    site.assert_clean();
}

#[tokio::test]
async fn a_killed_client_leaves_no_lock_and_a_whole_release() {
    let site = Site::new("killed", USUAL).await;
    assert_eq!(site.deploy("v1").await.result, Deployed);
    // At different moments of the deployment. A dropped future is what is left of a killed process: nothing.
    for (round, milliseconds) in [100, 300, 600, 900, 1200, 1800, 2600].into_iter().enumerate() {
        let version = ["v2", "v1"][round % 2];
        let killed = tokio::time::timeout(Duration::from_millis(milliseconds), site.deploy(version)).await;
        site.ssh.cut();
        assert!(killed.is_err(), "{milliseconds} ms are too long");
        // What the server was doing goes on without us, to its end.
        sleep(Duration::from_secs(2)).await;
        let [web, worker] = ["web", "worker"].map(|service| site.runs(service));
        assert!(web == worker && (web == ["v1 running"] || web == ["v2 running"]), "{web:?} {worker:?}");
        let began = Instant::now();
        let next = site.deploy(version).await;
        println!("killed after {milliseconds} ms, then {:?} within {:?}", next.result, began.elapsed());
        assert!(matches!(next.result, Deployed | Unchanged), "{:?}: {:?}", next.result, next.reason);
        site.assert_runs(version);
        site.assert_clean();
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_is_made_again() {
    let site = Site::new("cut", USUAL).await;
    assert_eq!(site.deploy("v1").await.result, Deployed);
    for (round, milliseconds) in [700, 1000, 1500, 2500].into_iter().enumerate() {
        let version = ["v2", "v1"][round % 2];
        let cut = async {
            sleep(Duration::from_millis(milliseconds)).await;
            site.ssh.cut();
        };
        let (report, ()) = tokio::join!(site.deploy(version), cut);
        println!("cut after {milliseconds} ms: {:?} {:?}", report.result, report.reason);
        let (want, other) = if report.result == Deployed { (version, true) } else { (["v1", "v2"][round % 2], false) };
        assert!(other || (report.result == FailedRolledBack && !report.was_switched), "{:?}", report.reason);
        site.assert_runs(want);
        if !other {
            assert_eq!(site.deploy(version).await.result, Deployed);
        }
        site.assert_clean();
    }
}

#[tokio::test]
async fn the_way_back_leads_past_a_killed_deployment() {
    let site = Site::new("past", "").await;
    let (v1, v2, crash) = (site.release("v1"), site.release("v2"), site.release("crash"));
    let first = site.deploy_with(with_files(&site, "red", &[]), &v1).await;
    assert_eq!(first.result, Deployed, "{:?}", first.reason);
    // Killed once the services were switched, or while they are, or right before that.
    for step in ["Watching", "Switching", "Preparing"] {
        site.steps.borrow_mut().clear();
        let reached = async {
            while !site.steps.borrow().iter().any(|seen| format!("{seen:?}").starts_with(step)) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            report = site.deploy_with(with_files(&site, "blue", &[("new.conf", "x")]), &v2) => panic!("{:?}", report.result),
            () = reached => site.ssh.cut(),
        }
        let bad = site.deploy_with(with_files(&site, "yellow", &[("newer.conf", "x")]), &crash).await;
        assert_eq!(bad.result, FailedRolledBack, "{step}: {:?}", bad.reason);
        site.assert_runs("v1");
        site.assert_clean();
        let color = engine(&["exec", &site.containers("web")[0], "sh", "-c", "echo $COLOR"]);
        let file = std::fs::read_to_string(site.directory.join(".env")).unwrap();
        assert_eq!((color.as_str(), file.as_str()), ("red", "COLOR=red\n"), "{step}");
        for name in ["new.conf", "newer.conf", ".build-deploy/before"] {
            assert!(!site.directory.join(name).exists(), "{step}: {name}");
        }
    }
}

#[tokio::test]
async fn a_cancelled_deployment_is_finished_or_undone_by_the_post_stage() {
    let site = Site::new("cancelled", USUAL).await;
    assert_eq!(site.deploy("v1").await.result, Deployed);
    let cancelled = async |spec, version: &str, step: &str| {
        let (canceller, cancel) = cancel::channel();
        site.steps.borrow_mut().clear();
        let stop = async {
            while !site.steps.borrow().iter().any(|seen| format!("{seen:?}").starts_with(step)) {
                sleep(Duration::from_millis(20)).await;
            }
            canceller.stop(Stop::Signal);
            Instant::now()
        };
        let release = site.release(version);
        let (report, stopped) = tokio::join!(site.deploy_until(spec, &release, &cancel), stop);
        assert_eq!(report.result, Cancelled, "{:?}", report.reason);
        assert!(stopped.elapsed() < Duration::from_secs(4), "{:?}", stopped.elapsed());
        report.was_switched
    };
    let files = with_files(&site, "red", &[]);
    for (spec, version, step) in [(files, "v2", "Watching"), (site.spec(), "v3", "Switching")] {
        assert!(cancelled(spec, version, step).await);
        let repaired = site.repair().await;
        assert_eq!((repaired.result, site.saved.borrow().is_some()), (Deployed, false), "{:?}", repaired.reason);
        site.assert_runs(version);
        site.assert_clean();
    }
    assert!(!cancelled(site.spec(), "v1", "Preparing").await);
    site.assert_runs("v3");
    site.assert_clean();
    // One of two services is gone, as after a crash of the server in the middle.
    assert!(cancelled(site.spec(), "v1", "Watching").await);
    engine(&["rm", "-f", &site.containers("worker")[0]]);
    let repaired = site.repair().await;
    assert_eq!(repaired.result, FailedRolledBack, "{:?}", repaired.reason);
    site.assert_runs("v3");
    site.assert_clean();

    // A rollback also brings the files of a release that the post stage has finished.
    std::fs::write(site.directory.join(".env"), "COLOR=changed\n").unwrap();
    let back = site.spec();
    let earlier = back.target.releases().await.unwrap().into_iter().find(|one| one.id == "v2-1").unwrap();
    back.target.take_files_of(&earlier.id).await.unwrap();
    let report = site.deploy_with(back, &Release { id: "back-1".into(), ..earlier }).await;
    assert_eq!(report.result, Deployed, "{:?} {:?}", report.reason, report.log);
    assert_eq!(std::fs::read_to_string(site.directory.join(".env")).unwrap(), "COLOR=red\n");
    site.assert_runs("v2");
    site.assert_clean();
}
