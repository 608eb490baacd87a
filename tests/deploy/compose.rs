//! Deployments with Docker Compose to the lab's server: a real sshd, a real engine and a real Compose.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use build_deploy::{
    cancel::{self, Stop},
    deploy::{
        self, HttpCheck, Settings, TargetSpec,
        compose::{ComposeSettings, ComposeTarget, SyncedFile},
        target::Migration,
    },
    domain::{
        credentials::{Credentials, Login},
        deploy::{
            DeployResult::{
                Cancelled, Deployed, FailedNotRolledBack, FailedRolledBack, MigrationFailed, Superseded, Unchanged,
            },
            DeployStep,
        },
        secret::Secret,
    },
    ssh::{self, Connection, ExitStatus},
};
use tokio::time::sleep;

use super::{
    lab::{stdout, var},
    site::{Site, USUAL, engine, has_image, pushed},
};

#[tokio::test]
async fn a_release_then_the_same_then_the_next() {
    let site = Site::new("good", USUAL).await;
    deploy::check(&[site.spec()]).await.unwrap();
    let first = site.deploy("v1").await;
    assert_eq!((first.result, first.reason), (Deployed, None));
    site.assert_runs("v1");
    site.assert_clean();
    let before = [site.containers("web"), site.containers("worker"), site.containers("db")];

    let began = Instant::now();
    let same = site.deploy("v1").await;
    println!("unchanged: {:?}", began.elapsed());
    assert_eq!(
        (same.result, same.services["web"].previous.clone()),
        (Unchanged, Some(same.services["web"].digest.clone()))
    );
    assert_eq!([site.containers("web"), site.containers("worker"), site.containers("db")], before, "0 recreated");

    let began = Instant::now();
    let next = site.deploy("v2").await;
    println!("deployed: {:?}", began.elapsed());
    assert_eq!(next.result, Deployed);
    assert_eq!(next.services["worker"].previous, Some(first.services["worker"].digest.clone()));
    site.assert_runs("v2");
    site.assert_clean();
    assert_eq!(site.containers("db"), before[2], "what the release has no image for is left alone");
    let records = site.file("releases.jsonl");
    assert_eq!(records.lines().count(), 2, "{records}");
    assert_eq!(site.file("current.yml"), site.file("release-v2-1.yml"));
    assert!(!records.contains("canary") && !site.file("release-v2-1.log").contains("canary"));
}

/// What must hold after a release that does not work.
async fn rolled_back(compose: &str, name: &str, version: &str, reason: &str, log: &str) {
    let site = Site::new(name, compose).await;
    assert_eq!(site.deploy("v1").await.result, Deployed);
    let report = site.deploy(version).await;
    assert_eq!(report.result, FailedRolledBack, "{:?}", report.reason);
    let text = report.reason.unwrap();
    assert!(text.contains(reason), "{text}");
    assert!(report.log.iter().any(|line| line.contains(log)), "{:?}", report.log);
    site.assert_runs("v1");
    site.assert_clean();
    assert!(site.file("releases.jsonl").contains(r#""result":"failed-rolled-back""#));
    assert_eq!(site.deploy("v1").await.result, Unchanged);
}

#[tokio::test]
async fn a_crash_loop_without_a_health_check() {
    rolled_back(USUAL, "crash", "crash", "worker: exited with code 3", "boom").await;
}

#[tokio::test]
async fn a_crash_loop_with_restarts() {
    let compose = USUAL.replace("    environment:", "    restart: always\n    environment:");
    rolled_back(&compose, "loop", "crash", "keeps crashing", "boom").await;
}

const HEALTH: &str = "    healthcheck: {test: [\"CMD-SHELL\", \"echo $$VERSION; [ $$VERSION != sick ] && [ $$VERSION != crash ]\"], interval: 1s, retries: 2}\n";

#[tokio::test]
async fn a_crash_loop_with_a_health_check() {
    let compose = USUAL.replace("    depends_on:", &format!("{HEALTH}    depends_on:"));
    rolled_back(&compose, "loop-health", "crash", "", "boom").await;
}

#[tokio::test]
async fn an_unhealthy_release() {
    let compose = USUAL.replace("    depends_on:", &format!("{HEALTH}    depends_on:"));
    rolled_back(&compose, "sick", "sick", "web: is unhealthy", "health check: sick").await;
}

#[tokio::test]
async fn a_service_that_does_its_work_and_exits() {
    let compose =
        USUAL.replace("  db:\n", "  job:\n    image: IMAGE:latest\n    command: [\"-c\", \"echo done\"]\n  db:\n");
    let site = Site::new("job", &compose).await;
    for version in ["v1", "v2"] {
        let report = site.deploy(version).await;
        assert_eq!(report.result, Deployed, "{:?}", report.reason);
        assert_eq!(site.runs("job"), [format!("{version} exited")]);
    }
    assert_eq!(site.deploy("v2").await.result, Unchanged);
}

#[tokio::test]
async fn migrations() {
    let site = Site::new("migrate", USUAL).await;
    let first = site.migrate("v1", &["-c", "echo $VERSION > /data/schema"]).await;
    assert_eq!(first.result, Deployed, "{:?} {:?}", first.reason, first.log);
    let schema = || engine(&["exec", &site.containers("web")[0], "cat", "/data/schema"]);
    assert_eq!(schema().trim(), "v1");
    let before = site.containers("web");

    let failed = site.migrate("v2", &["-c", "echo no such table; exit 4"]).await;
    assert_eq!((failed.result, failed.was_switched), (MigrationFailed, false));
    assert!(failed.reason.unwrap().contains("failed with exit code 4"));
    assert!(failed.log.iter().any(|line| line.contains("no such table")), "{:?}", failed.log);
    site.assert_runs("v1");
    site.assert_clean();
    assert_eq!(site.containers("web"), before, "nothing was switched");

    let mut endless = site.spec();
    endless.settings.timeout = Duration::from_secs(2);
    let command = ["-c", "trap 'exit 5' TERM; while :; do sleep 1 & wait $!; done"].map(String::from).to_vec();
    endless.settings.migrations = vec![Migration { service: "web".into(), command }];
    let late = site.deploy_with(endless, &site.release("v2")).await;
    assert_eq!(late.result, MigrationFailed);
    assert!(late.reason.as_ref().unwrap().ends_with("timed out"), "{:?}", late.reason);
    site.assert_clean();

    assert_eq!(site.migrate("v2", &["-c", "echo $VERSION > /data/schema"]).await.result, Deployed);
    assert_eq!(schema().trim(), "v2", "with the new image");
}

#[tokio::test]
async fn wrong_credentials_change_nothing() {
    let site = Site::new("denied", USUAL).await;
    let mut settings = site.settings();
    settings.credentials = Credentials::default();
    let login = Login { username: var("LAB_USER"), password: Secret::new("wrong") };
    settings.credentials.insert(&format!("{}:{}", var("LAB_ADDR"), site.registry.port), login);
    let mut spec = site.spec();
    spec.target = ComposeTarget::new(settings);
    let report = site.deploy_with(spec, &site.release("v1")).await;
    assert_eq!((report.result, report.was_switched), (FailedRolledBack, false));
    let reason = report.reason.unwrap();
    assert!(reason.contains("cannot pull") && reason.contains("nothing was switched"), "{reason}");
    assert!(report.hint.unwrap_or_default().contains("credentials"), "{reason}");
    assert!(site.containers("web").is_empty() && site.containers("db").is_empty());
    site.assert_clean();
}

#[tokio::test]
async fn two_deployments_at_once() {
    let site = Site::new("twice", USUAL).await;
    let other = async {
        sleep(Duration::from_millis(300)).await;
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
async fn a_rollback_needs_no_registry() {
    let site = Site::new("offline", USUAL).await;
    for version in ["v1", "v2"] {
        assert_eq!(site.deploy(version).await.result, Deployed);
    }
    site.registry.close();
    // What servers run every night.
    engine(&["image", "prune", "-f"]);
    let spec = site.spec();
    let releases = spec.target.releases().await.unwrap();
    assert_eq!(releases.iter().map(|release| release.id.as_str()).collect::<Vec<_>>(), ["v2-1", "v1-1"]);
    let back = site.deploy_with(spec, &releases[1]).await;
    assert_eq!(back.result, Deployed, "{:?}", back.reason);
    site.assert_runs("v1");
    let forth = site.deploy_with(site.spec(), &releases[0]).await;
    assert_eq!(forth.result, Deployed, "{:?}", forth.reason);
    site.assert_runs("v2");
    site.assert_clean();
    let gone = site.deploy("v3").await;
    assert_eq!((gone.result, gone.was_switched), (FailedRolledBack, false));
    assert!(gone.reason.as_ref().unwrap().contains("cannot pull"), "{:?}", gone.reason);
    site.assert_runs("v2");
}

#[tokio::test]
async fn only_the_kept_releases_stay() {
    let site = Site::new("keep", USUAL).await;
    for version in ["v1", "v2", "v3"] {
        assert_eq!(site.deploy(version).await.result, Deployed);
    }
    for (version, is_kept) in [("v1", false), ("v2", true), ("v3", true)] {
        let digest = pushed(version).to_string();
        let kept = format!("build-deploy/kept:{}-{}", site.name, &digest["sha256:".len()..][..16]);
        for name in [format!("{}@{digest}", site.repository()), kept] {
            assert_eq!(has_image(&name), is_kept, "{version}: {name}");
        }
    }
    assert_eq!((site.file("release-v1-1.yml").as_str(), site.file("release-v2-1.yml").is_empty()), ("", false));
}

#[tokio::test]
async fn a_first_release_that_fails_cannot_be_rolled_back() {
    let site = Site::new("first", USUAL).await;
    let report = site.deploy("crash").await;
    assert_eq!(report.result, FailedNotRolledBack, "{:?}", report.reason);
    assert!(report.reason.unwrap().ends_with("there is no previous release to roll back to"));
    assert!(report.by_hand[2].starts_with("docker compose -f compose.yml logs web"), "{:?}", report.by_hand);
    let good = site.deploy("v1").await;
    assert_eq!(good.result, Deployed, "{:?}", good.reason);
    site.assert_runs("v1");
    site.assert_clean();
}

#[tokio::test]
async fn what_was_started_by_hand_is_what_a_rollback_leads_to() {
    let site = Site::new("by-hand", &USUAL.replace("IMAGE:latest", "local-site")).await;
    let base = format!("{}:5900/library/busybox:1.36", var("LAB_ADDR"));
    // An image that came from no registry.
    engine(&["pull", "-q", &base]);
    let id = engine(&["create", &base]);
    let local = format!("local-site-{}", site.name);
    let script = r#"CMD ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"]"#;
    engine(&["commit", "-c", script, "-c", "ENV VERSION=mine", id.trim(), &local]);
    engine(&["rm", id.trim()]);
    site.write("compose.yml", &USUAL.replace("IMAGE:latest", &local));
    let file = site.directory.join("compose.yml");
    let project = site.directory.file_name().unwrap().to_str().unwrap();
    engine(&["compose", "-p", project, "-f", file.to_str().unwrap(), "up", "-d", "--no-build"]);
    site.assert_runs("mine");

    let mut spec = site.spec();
    spec.settings.services = ["web", "worker"].map(|name| (name.to_owned(), "site".to_owned())).into();
    // The name now leads to another image, as after a build on the server.
    engine(&["tag", &base, &local]);
    let report = site.deploy_with(spec, &site.release("crash")).await;
    assert_eq!(report.result, FailedRolledBack, "{:?}", report.reason);
    site.assert_runs("mine");
    site.assert_clean();
    engine(&["rmi", "-f", &local]);
}

#[tokio::test]
async fn a_server_that_forwards_nothing() {
    let site = Site::behind(2222, "forwards", USUAL).await;
    deploy::check(&[site.spec()]).await.unwrap();
    for version in ["v1", "v2"] {
        let report = site.deploy(version).await;
        assert_eq!(report.result, Deployed, "{:?}", report.reason);
        site.assert_runs(version);
        site.assert_clean();
    }
}

#[tokio::test]
async fn what_is_missing_is_said_before_anything_is_built() {
    let site = Site::new("missing", USUAL).await;
    let check = async |change: &dyn Fn(&mut ComposeSettings)| {
        let mut settings = site.settings();
        change(&mut settings);
        let target = ComposeTarget::new(settings);
        let failure = deploy::check(&[TargetSpec { target, settings: Settings::default() }]).await.unwrap_err();
        (failure.headline, failure.hint.unwrap_or_default(), failure.log)
    };
    let (headline, hint, _) = check(&|settings| settings.path = "/srv/none".into()).await;
    assert!(
        headline.ends_with("the directory /srv/none does not exist") && hint.starts_with("create it"),
        "{headline}"
    );
    let (headline, ..) = check(&|settings| settings.files = vec!["prod.yml".into()]).await;
    assert!(headline.ends_with("/prod.yml does not exist"), "{headline}");
    site.write("broken.yml", "services:\n  web:\n    env_file: [.env.production]\n    image: x\n");
    let (headline, hint, log) = check(&|settings| settings.files = vec!["broken.yml".into()]).await;
    assert!(headline.contains("`docker compose config` failed with exit code"), "{headline}");
    assert!(
        hint.contains("create the file on the server") && log.iter().any(|line| line.contains(".env.production")),
        "{hint} {log:?}"
    );
    let (headline, hint, _) = check(&|settings| settings.server.user = "guest".into()).await;
    assert!(headline.contains("cannot write to"), "{headline} {hint}");
    stdout(Command::new("chmod").arg("777").arg(&site.directory));
    let (headline, hint, _) = check(&|settings| settings.server.user = "guest".into()).await;
    assert!(hint.contains("group `docker`"), "{headline} {hint}");
}

#[tokio::test]
async fn a_full_disk_changes_nothing() {
    let site = Site::new("full", USUAL).await;
    assert_eq!(site.deploy("v1").await.result, Deployed);
    let own = site.directory.join(".build-deploy");
    // As the server sees it: sshd has mounts of its own.
    let pid = std::fs::read_to_string(Path::new(&var("LAB_SERVER_DIR")).join("sshd.pid")).unwrap();
    let on_server = |script: &str| {
        stdout(Command::new("nsenter").args(["-m", "-t", pid.trim(), "sh", "-c", script, "sh"]).arg(&own))
    };
    on_server("mount -t tmpfs -o size=4k,uid=42421,gid=42421 none \"$1\" && head -c 4096 /dev/zero >\"$1/filler\"");
    let report = site.deploy("v2").await;
    on_server("umount \"$1\"");
    assert_eq!((report.result, report.was_switched), (FailedRolledBack, false), "{:?}", report.reason);
    assert!(report.reason.unwrap().ends_with("nothing was switched"));
    assert_eq!(report.hint.as_deref(), Some("free disk space on the server, for example with `docker image prune`"));
    site.assert_runs("v1");
    assert_eq!(site.deploy("v2").await.result, Deployed);
    site.assert_clean();
}

/// A target with the files of a release, which the project's directory does not have.
fn with_files(site: &Site, color: &str, more: &[(&str, &str)]) -> TargetSpec<ComposeTarget> {
    let compose = USUAL
        .replace("    depends_on", "    environment: {COLOR: $COLOR}\n    env_file: [conf/web.env]\n    depends_on");
    let compose = site.filled(&compose);
    let color = format!("COLOR={color}\n");
    let all = [("compose.yml", compose.as_str()), (".env", &color), ("conf/web.env", "A=1\n")];
    let mut settings = site.settings();
    let file = |(path, text): &(&str, &str)| SyncedFile::new(path, text.as_bytes().to_vec(), false).unwrap();
    settings.sync = all.iter().chain(more).map(file).collect();
    TargetSpec { target: ComposeTarget::new(settings), ..site.spec() }
}

#[tokio::test]
async fn the_files_of_a_release_come_and_go_with_it() {
    let site = Site::new("files", "").await;
    std::fs::remove_file(site.directory.join("compose.yml")).unwrap();
    deploy::check(&[with_files(&site, "red", &[])]).await.unwrap();
    assert!(!site.directory.join("compose.yml").exists(), "a check changes nothing");

    let (v1, v2, crash) = (site.release("v1"), site.release("v2"), site.release("crash"));
    let first = site.deploy_with(with_files(&site, "red", &[]), &v1).await;
    assert_eq!(first.result, Deployed, "{:?} {:?}", first.reason, first.log);
    let color = || engine(&["exec", &site.containers("web")[0], "sh", "-c", "echo $COLOR"]);
    let files = || {
        let mut names: Vec<String> = std::fs::read_dir(site.directory.join(".build-deploy"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    site.assert_runs("v1");
    assert_eq!(color(), "red");
    let kept = ["current.yml", "lock", "operation.lock", "release-v1-1.log", "release-v1-1.yml", "releases.jsonl"];
    assert_eq!(files(), kept);
    let before = site.containers("worker");
    assert_eq!(site.deploy_with(with_files(&site, "red", &[]), &v1).await.result, Unchanged);

    // The images are the same, the files are not.
    let files_only = site.deploy_with(with_files(&site, "green", &[]), &v1).await;
    assert_eq!((files_only.result, color().as_str()), (Deployed, "green"), "{:?}", files_only.reason);
    assert_eq!(site.containers("worker"), before, "what does not use them is not replaced");

    let more = [("conf/new.conf", "x"), ("-v", "a name that looks like an option")];
    let bad = site.deploy_with(with_files(&site, "blue", &more), &crash).await;
    assert_eq!((bad.result, color().as_str()), (FailedRolledBack, "green"), "{:?}", bad.reason);
    site.assert_runs("v1");
    site.assert_clean();
    let in_place = || std::fs::read_to_string(site.directory.join(".env")).unwrap();
    assert_eq!(in_place(), "COLOR=green\n");
    assert!(!site.directory.join("conf/new.conf").exists());

    let mut failing = with_files(&site, "blue", &more);
    let command = ["-c", "echo $COLOR; exit 4"].map(String::from).to_vec();
    failing.settings.migrations = vec![Migration { service: "web".into(), command }];
    let failed = site.deploy_with(failing, &v2).await;
    assert_eq!((failed.result, in_place().as_str()), (MigrationFailed, "COLOR=green\n"), "{:?}", failed.reason);
    assert!(failed.log.contains(&"blue".to_owned()), "a migration gets the new files: {:?}", failed.log);
    site.assert_clean();

    let next = site.deploy_with(with_files(&site, "blue", &more), &v2).await;
    assert_eq!((next.result, color().as_str()), (Deployed, "blue"), "{:?}", next.reason);
    assert_eq!(std::fs::read_to_string(site.directory.join("conf/new.conf")).unwrap(), "x");
    site.assert_runs("v2");
    site.assert_clean();
    assert!(files().iter().all(|name| !name.starts_with("stage") && name != "before"), "{:?}", files());
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
    let cancelled = async |version: &str, step: &str| {
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
        let (report, stopped) = tokio::join!(site.deploy_until(site.spec(), &release, &cancel), stop);
        assert_eq!(report.result, Cancelled, "{:?}", report.reason);
        assert!(stopped.elapsed() < Duration::from_secs(4), "{:?}", stopped.elapsed());
        report.was_switched
    };
    for (version, step) in [("v2", "Watching"), ("v3", "Switching")] {
        assert!(cancelled(version, step).await);
        let repaired = site.repair().await;
        assert_eq!((repaired.result, site.saved.borrow().is_some()), (Deployed, false), "{:?}", repaired.reason);
        site.assert_runs(version);
        site.assert_clean();
    }
    assert!(!cancelled("v1", "Preparing").await);
    site.assert_runs("v3");
    // One of two services is gone, as after a crash of the server in the middle.
    assert!(cancelled("v1", "Watching").await);
    engine(&["rm", "-f", &site.containers("worker")[0]]);
    let repaired = site.repair().await;
    assert_eq!(repaired.result, FailedRolledBack, "{:?}", repaired.reason);
    site.assert_runs("v3");
    site.assert_clean();
}

#[tokio::test]
async fn a_service_that_is_down_is_started_by_the_same_release() {
    let site = Site::new("down", USUAL).await;
    assert_eq!(site.deploy("v1").await.result, Deployed);
    // As after a crash of the server: nothing starts the worker again.
    engine(&["kill", &site.containers("worker")[0]]);
    let web = site.containers("web");
    assert_eq!(site.runs("worker"), ["v1 exited"]);
    let report = site.deploy("v1").await;
    assert_eq!(report.result, Deployed, "{:?}", report.reason);
    site.assert_runs("v1");
    site.assert_clean();
    assert_eq!(site.containers("web"), web);
    assert_eq!(site.deploy("v1").await.result, Unchanged);
}

#[tokio::test]
async fn a_site_that_does_not_answer_is_rolled_back() {
    let site = Site::new("answer", USUAL).await;
    assert_eq!(site.deploy("v1").await.result, Deployed);
    let mut spec = site.spec();
    let url = format!("http://{}:1/health", var("LAB_SERVER"));
    spec.settings.http_check = Some(HttpCheck { url, status: None, timeout: Duration::from_secs(2), body: None });
    let report = site.deploy_with(spec, &site.release("v2")).await;
    assert_eq!(report.result, FailedRolledBack, "{:?}", report.reason);
    assert!(report.reason.as_ref().unwrap().contains("the site does not answer"), "{:?}", report.reason);
    site.assert_runs("v1");
    site.assert_clean();
}

#[tokio::test]
async fn what_somebody_else_has_started_meanwhile_is_left_alone() {
    let site = Site::new("meanwhile", USUAL).await;
    assert_eq!(site.deploy("v1").await.result, Deployed);
    let by_hand = async {
        while !site.steps.borrow().contains(&DeployStep::Watching) {
            sleep(Duration::from_millis(20)).await;
        }
        // They have an image of their own, and do not know of the lock.
        let image = format!("{}:5900/library/busybox:1.36", var("LAB_ADDR"));
        site.write(
            "theirs.yml",
            &USUAL.replace("IMAGE:latest", "BUSYBOX").replace("build: .", "command: [sleep, \"99\"]"),
        );
        let file = format!("{}/theirs.yml", site.directory.display());
        engine(&["compose", "-p", &site.name, "-f", &file, "up", "-d", "--no-build", "--no-deps", "-t", "1", "web"]);
        image
    };
    site.steps.borrow_mut().clear();
    let (report, image) = tokio::join!(site.deploy("v2"), by_hand);
    assert_eq!(report.result, Superseded, "{:?}", report.reason);
    assert!(report.reason.as_ref().unwrap().contains("which another deployment has started"), "{:?}", report.reason);
    assert_eq!(engine(&["inspect", "-f", "{{.Config.Image}}", &site.containers("web")[0]]), image);
}

#[tokio::test]
async fn disabled_services_and_greetings() {
    let compose = USUAL.replace("  db:\n", "  idle:\n    image: IMAGE:latest\n    deploy: {replicas: 0}\n  extra:\n    image: IMAGE:latest\n    profiles: [extra]\n  db:\n");
    let site = Site::new("idle", &compose).await;
    let mut settings = site.settings();
    settings.server.user = "greeted".into();
    for version in ["v1", "v2"] {
        let spec = TargetSpec { target: ComposeTarget::new(settings.clone()), ..site.spec() };
        let report = site.deploy_with(spec, &site.release(version)).await;
        assert_eq!(report.result, Deployed, "{:?}", report.reason);
        assert_eq!(report.services.keys().collect::<Vec<_>>(), ["web", "worker"]);
        site.assert_runs(version);
        site.assert_clean();
    }
}

#[tokio::test]
async fn a_plain_up_on_the_server_keeps_the_release() {
    let site = Site::new("plain", USUAL).await;
    site.write(".env", "COMPOSE_FILE=compose.yml:.build-deploy/current.yml\n");
    // Before the first deployment, the link does not exist, and Compose would not start.
    for version in ["v1", "v2"] {
        let report = site.deploy(version).await;
        assert_eq!(report.result, Deployed, "{:?}", report.reason);
        let before = [site.containers("web"), site.containers("worker"), site.containers("db")];
        let connection = Connection::open(&site.server()).await.unwrap();
        let script = format!("cd {} && docker compose up -d --remove-orphans", site.directory.display());
        let output = connection.run(&ssh::Command::new(["sh", "-c", &script])).await.unwrap();
        assert_eq!(output.status, ExitStatus::Exited(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!([site.containers("web"), site.containers("worker"), site.containers("db")], before);
        site.assert_runs(version);
    }
}
