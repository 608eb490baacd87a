//! Builds that succeed: what BuildKit is asked for, and what people see of it.

use serde_json::json;
use stand_ins::engine::{BuildEnd, Setup};

use crate::run::{BASE, World, images, log, name};

#[tokio::test]
async fn an_image_is_built_pushed_by_digest_and_tagged() {
    let world = World::new(Setup::containerd()).await;
    let run = world.run(&[("Dockerfile", &format!("{BASE}COPY src /src\nRUN echo hello there\n")), ("src/a", "a")]);
    let report = run.expect(0).await;
    let digest = report.outputs["digest"].clone();
    for tag in ["main", "latest"] {
        assert_eq!(world.tagged("", tag).as_ref(), Some(&digest), "{tag}: {}", log(&report));
    }
    let log = log(&report);
    for words in ["[3/3] RUN echo hello there", "hello there", "[2/3] COPY src /src"] {
        assert!(log.contains(words), "{words}: {log}");
    }
    let image = &images(&report)[0];
    assert_eq!((&image["pushed"], &image["steps"], &image["cached"]), (&json!(true), &json!(2), &json!(0)), "{log}");
    let builds = world.engine.builds();
    assert_eq!(builds.len(), 1, "{builds:?}");
    assert_eq!(builds[0].end, Some(BuildEnd::Done));
    assert_eq!(builds[0].exported("push-by-digest"), "true");
    assert_eq!(builds[0].exported("name"), format!("{}/{}", world.registry.host, name("")));
    assert_eq!(world.engine.sessions(), 0, "no session is left open");
}

#[tokio::test]
async fn a_second_run_finds_everything_in_the_cache_and_says_so() {
    let world = World::new(Setup::containerd()).await;
    let run = world.run(&[("Dockerfile", &format!("{BASE}RUN echo once\n"))]);
    run.expect(0).await;
    let report = run.expect(0).await;
    let image = &images(&report)[0];
    assert_eq!((&image["cached"], &report.outputs["changed"][..]), (&json!(1), "false"), "{}", log(&report));
    run.write("Dockerfile", &format!("{BASE}RUN echo twice\n"));
    assert_eq!(run.expect(0).await.outputs["changed"], "true");
}

#[tokio::test]
async fn only_what_is_not_ignored_is_sent() {
    let world = World::new(Setup::containerd()).await;
    let files = [
        ("Dockerfile", "FROM busybox:1.36\nCOPY . /app\nRUN cat /kept && cat /secret.env\n"),
        (".dockerignore", "*.env\n"),
        ("kept", "this is sent\n"),
        ("secret.env", "this is not\n"),
    ];
    let report = world.run(&files).expect(1).await;
    let log = log(&report);
    assert!(log.contains("this is sent") && log.contains("can't open '/secret.env'"), "{log}");
    assert!(!log.contains("this is not"), "{log}");
}

#[tokio::test]
async fn secrets_arrive_and_are_hidden() {
    let world = World::new(Setup::containerd()).await;
    let steps = "RUN --mount=type=secret,id=token cat /run/secrets/token && echo and on\n";
    let run = world.run(&[("Dockerfile", &format!("{BASE}{steps}"))]);
    let report = run.with("secrets", "token=canary-12345").secret("canary-12345").expect(0).await;
    assert!(log(&report).contains("and on"), "{}", log(&report));
}

#[tokio::test]
async fn labels_and_arguments_are_asked_for() {
    let world = World::new(Setup::containerd()).await;
    let run = world.run(&[("Dockerfile", BASE)]).with("build-args", "FLAVOR=mint").with("labels", "one=two");
    let report = run.expect(0).await;
    let build = &world.engine.builds()[0];
    assert_eq!(build.attributes["build-arg:FLAVOR"], "mint");
    assert_eq!(build.attributes["label:one"], "two");
    let manifest = world.registry.manifest(&name(""), &report.outputs["digest"]).unwrap();
    assert_eq!(manifest["schemaVersion"], 2);
}

#[tokio::test]
async fn without_a_push_nothing_is_exported() {
    let world = World::new(Setup::containerd()).await;
    let report = world.run(&[("Dockerfile", BASE)]).with("push", "false").expect(0).await;
    assert_eq!(world.engine.builds()[0].exporters, [], "{}", log(&report));
    assert_eq!(world.registry.tags(&name("")), Vec::<String>::new());
}

#[tokio::test]
async fn an_image_can_be_left_in_the_engine() {
    for setup in [Setup::containerd(), Setup::classic()] {
        let world = World::new(setup.clone()).await;
        let report = world.run(&[("Dockerfile", BASE)]).with("push", "false").with("load", "true").expect(0).await;
        let want = format!("{}/{}:main", world.registry.host, name(""));
        assert!(world.engine.images().contains(&want), "{setup:?}: {:?}\n{}", world.engine.images(), log(&report));
        assert_eq!(world.registry.tags(&name("")), Vec::<String>::new(), "{setup:?}");
    }
}
