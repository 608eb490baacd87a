//! Deployments with Docker Compose to the lab's server: a real sshd, a real engine and a real Compose.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use build_deploy::{
    deploy::{
        self, HttpCheck, Settings, TargetSpec,
        compose::{ComposeSettings, ComposeTarget},
        release::Content,
    },
    domain::{
        credentials::{Credentials, Login},
        deploy::{
            DeployResult::{Deployed, FailedNotRolledBack, FailedRolledBack, Superseded, Unchanged},
            DeployStep,
        },
        secret::Secret,
    },
    ssh::{self, Connection, ExitStatus},
};
use tokio::time::sleep;

use super::{
    lab::{stdout, var},
    site::{Site, USUAL, engine, has_image, pushed, relabeled},
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
async fn an_image_with_other_labels_only_replaces_nothing() {
    let site = Site::new("labels", USUAL).await;
    assert_eq!(site.deploy("v1").await.result, Deployed);
    let containers = || [site.containers("web"), site.containers("worker")];
    let before = containers();
    let mut again = site.release("v1");
    let Content::Images(images) = &mut again.content else { unreachable!() };
    images[0].digest = relabeled("v1");
    let reference = format!("{}@{}", site.repository(), images[0].digest);
    let report = site.deploy_with(site.spec(), &again).await;
    assert_eq!((report.result, containers()), (Unchanged, before), "{:?}", report.reason);
    assert!(!has_image(&reference), "it is not needed");
    site.assert_runs("v1");
    site.assert_clean();

    // What is down is started with the new image. The release before it keeps its own image, also if it is alike.
    for id in containers().concat() {
        engine(&["stop", &id]);
    }
    again.id = "again-1".into();
    assert_eq!(site.deploy_with(site.spec(), &again).await.result, Deployed);
    assert!(has_image(&reference));
    assert_eq!(site.deploy("v1").await.result, Unchanged);
    assert!(has_image(&format!("{}@{}", site.repository(), pushed("v1"))), "a rollback may need it");
    assert_eq!(site.deploy("v2").await.result, Deployed);
    site.assert_runs("v2");
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
        let spec = TargetSpec { target, settings: Settings::default(), joins_previous: false };
        let failure = deploy::check(&[spec]).await.unwrap_err();
        (failure.headline, failure.hint.unwrap_or_default(), failure.log)
    };
    let (headline, hint, _) = check(&|settings| settings.path = "/srv/none".into()).await;
    assert!(
        headline.ends_with("the directory /srv/none does not exist") && hint.starts_with("create it"),
        "{headline}"
    );
    let mut mapped = site.spec();
    mapped.settings.services = [("celery".to_owned(), "site".to_owned())].into();
    let headline = deploy::check(&[mapped]).await.unwrap_err().headline;
    assert!(headline.ends_with("the target has no service `celery`; its services are: db, web, worker"), "{headline}");
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
    let pid = fs::read_to_string(Path::new(&var("LAB_SERVER_DIR")).join("sshd.pid")).unwrap();
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
async fn a_rollback_leads_to_a_release_that_ran_before_the_first_record() {
    let site = Site::new("adopted", USUAL).await;
    assert_eq!(site.deploy("v1").await.result, Deployed);
    fs::remove_dir_all(site.directory.join(".build-deploy")).unwrap();
    let before = site.containers("web");
    assert_eq!(site.deploy("v1").await.result, Unchanged);
    assert_eq!(site.containers("web"), before);
    assert!(site.file("current.yml").contains(pushed("v1").as_str()));
    site.assert_clean();
    assert_eq!(site.deploy("v2").await.result, Deployed);
    let releases = site.spec().target.releases().await.unwrap();
    assert_eq!(releases.iter().map(|release| release.id.as_str()).collect::<Vec<_>>(), ["v2-1", "v1-1"]);
    let back = site.deploy_with(site.spec(), &releases[1]).await;
    assert_eq!(back.result, Deployed, "{:?}", back.reason);
    site.assert_runs("v1");
    site.assert_clean();
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
