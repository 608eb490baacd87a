//! Migrations on the lab's server.

use std::time::Duration;

use build_deploy::{
    deploy::target::Migration,
    domain::deploy::DeployResult::{Deployed, FailedNotRolledBack, FailedRolledBack, MigrationFailed},
};

use super::site::{Site, USUAL, engine};

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
    let own = site.migrate("v2", &["-c", "exit 124"]).await;
    assert!(own.reason.as_ref().unwrap().ends_with("failed with exit code 124"), "{:?}", own.reason);

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
async fn a_migration_finds_the_database_of_the_same_release() {
    let compose =
        USUAL.replace("  worker:\n", "  worker:\n    healthcheck: {test: [CMD, test, -e, /ready], interval: 1s}\n");
    let compose = compose.replace("depends_on: [db]", "depends_on: {worker: {condition: service_healthy}}");
    let compose = compose.replace(
        "    environment: {PASSWORD: s3cret-canary-env}\n",
        "    environment: {PASSWORD: s3cret-canary-env}\n    command: [\"-c\", \"touch /ready; exec sleep 99\"]\n    init: true\n",
    );
    let site = Site::new("stateful", &compose).await;
    let first = site.migrate("v1", &["-c", "getent hosts worker || nslookup worker"]).await;
    assert_eq!(first.result, Deployed, "{:?} {:?}", first.reason, first.log);
    site.assert_runs("v1");
    site.assert_clean();
}

#[tokio::test]
async fn a_release_that_was_left_as_it_failed_is_never_the_way_back() {
    let site = Site::new("stayed", USUAL).await;
    assert_eq!(site.deploy("v1").await.result, Deployed);
    let mut stays = site.spec();
    stays.settings.rolls_back = false;
    assert_eq!(site.deploy_with(stays, &site.release("crash")).await.result, FailedNotRolledBack);
    // It replaces the note of the failed one, then removes its own.
    assert_eq!(site.migrate("v2", &["-c", "exit 4"]).await.result, MigrationFailed);
    let report = site.deploy("done").await;
    assert_eq!(report.result, FailedRolledBack, "{:?}", report.reason);
    site.assert_runs("v1");
    site.assert_clean();
}

/// A database that waits for a service that completes; a service that waits for the database and completes at its second
/// attempt; and a migration that needs the latter, and one that only has to be started.
const COMPLETING: &str = r#"
services:
  web:
    image: IMAGE:latest
    depends_on: {init: {condition: service_completed_successfully}, setup: {condition: service_started}}
    volumes: ["data:/data"]
  setup:
    image: BUSYBOX
    command: ["true"]
  init:
    image: BUSYBOX
    restart: on-failure
    command: ["sh", "-c", "[ -e /data/tried ] || { touch /data/tried; echo no space; exit 7; }; sleep 1; cat /data/db >>/data/init"]
    depends_on: {db: {condition: service_healthy}}
    volumes: ["data:/data"]
  db:
    image: BUSYBOX
    command: ["sh", "-c", "cat /data/owner >/data/db; trap 'exit 0' TERM; while :; do sleep 1 & wait $$!; done"]
    healthcheck: {test: [CMD, test, -s, /data/db], interval: 1s}
    depends_on: {owner: {condition: service_completed_successfully}}
    volumes: ["data:/data"]
  owner:
    image: BUSYBOX
    command: ["sh", "-c", "echo once >/data/owner"]
    volumes: ["data:/data"]
volumes: {data: {}}
"#;

#[tokio::test]
async fn a_migration_waits_for_services_that_complete() {
    let site = Site::new("completes", COMPLETING).await;
    let has_run = |times: usize| Migration {
        service: "web".into(),
        command: vec!["-c".into(), format!("[ \"$(wc -l </data/init)\" = {times} ]")],
    };
    let mut twice = site.spec();
    twice.settings.migrations = vec![has_run(1), has_run(1)];
    let first = site.deploy_with(twice, &site.release("v1")).await;
    assert_eq!(first.result, Deployed, "{:?} {:?}", first.reason, first.log);
    // Compose starts it again with the release, but not for the migration of the next.
    let mut next = site.spec();
    next.settings.migrations = vec![has_run(2)];
    let next = site.deploy_with(next, &site.release("v2")).await;
    assert_eq!(next.result, Deployed, "{:?} {:?}", next.reason, next.log);
    site.assert_clean();

    let site = Site::new("refuses", &COMPLETING.replace("restart: on-failure", "restart: \"no\"")).await;
    let failed = site.migrate("v1", &["-c", "true"]).await;
    assert_eq!((failed.result, failed.was_switched), (MigrationFailed, false));
    let reason = failed.reason.unwrap();
    assert!(reason.contains("`init`, which has to complete first, failed with exit code 7"), "{reason}");
    assert!(failed.log.iter().any(|line| line.contains("no space")), "{:?}", failed.log);
    site.assert_clean();
}
