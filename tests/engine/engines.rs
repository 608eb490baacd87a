//! Engines that differ from the present one: with the classic image store, which push themselves, old ones, and future
//! ones.

use http::Method;
use stand_ins::engine::{Fault, Seen, Setup};

use crate::run::{BASE, World, log, name, the_error};

#[tokio::test]
async fn an_engine_with_the_classic_store_pushes_itself() {
    for setup in [Setup::classic(), Setup::old()] {
        let world = World::new(setup.clone()).await;
        let run = world.run(&[("Dockerfile", &format!("{BASE}RUN echo hello\n"))]);
        let report = run.expect(0).await;
        let build = &world.engine.builds()[0];
        assert_eq!(build.exporters[0].0, "moby", "{setup:?}");
        for tag in ["main", "latest"] {
            assert_eq!(world.tagged("", tag).as_ref(), Some(&report.outputs["digest"]), "{setup:?}: {}", log(&report));
        }
        let pushes = world.engine.count(|seen| matches!(seen, Seen::Push(_)));
        assert_eq!(pushes, 1, "{setup:?}: one tag; the others are put with the manifest's bytes");
    }
}

#[tokio::test]
async fn an_engine_without_the_old_paths_to_buildkit_builds_on_its_socket() {
    let world = World::new(Setup::future()).await;
    let run = world.run(&[("Dockerfile", &format!("{BASE}COPY a /a\nRUN cat /a\n")), ("a", "hello")]);
    let report = run.expect(0).await;
    assert_eq!(world.tagged("", "main").as_ref(), Some(&report.outputs["digest"]), "{}", log(&report));
    assert_eq!(world.engine.sessions(), 0);
}

#[tokio::test]
async fn an_engine_without_buildkit_is_named() {
    let setup = Setup { api: "1.41".into(), ..Setup::future() };
    let report = World::new(setup).await.run(&[("Dockerfile", BASE)]).expect(1).await;
    let error = the_error(&report);
    assert!(error.message.contains("does not offer BuildKit: it answered 404"), "{error:?}");
}

#[tokio::test]
async fn a_push_of_the_engine_is_tried_again() {
    let world = World::engine(Setup::classic(), |seen, before| match seen {
        Seen::Push(_) if before == 0 => {
            Some(Fault::Fail("received unexpected HTTP status: 503 Service Unavailable".into()))
        }
        _ => None,
    })
    .await;
    let report = world.run(&[("Dockerfile", BASE)]).expect(0).await;
    assert!(log(&report).contains("attempt 2"), "{}", log(&report));
    assert_eq!(world.tagged("", "main").as_ref(), Some(&report.outputs["digest"]));
}

#[tokio::test]
async fn a_push_that_the_registry_refuses_is_the_registrys_word() {
    let world = World::new(Setup::classic()).await;
    world.registry.require("ci", "s3cret-canary");
    let report = world.run(&[("Dockerfile", BASE)]).expect(1).await;
    let error = the_error(&report);
    assert!(error.message.contains(&world.registry.host) && error.message.contains("`username`"), "{error:?}");
    assert_eq!(world.registry.tags(&name("")), Vec::<String>::new());
}

#[tokio::test]
async fn what_an_old_engine_cannot_do_is_told_before_the_build() {
    let world = World::new(Setup::old()).await;
    let run = world.run(&[("Dockerfile", "FROM busybox:1.36\nCOPY --from=lib /a /a\n"), ("lib/a", "a")]);
    let report = run.with("build-contexts", "lib=./lib").expect(1).await;
    assert_eq!(world.engine.builds(), [], "{}", log(&report));
    assert_eq!(world.engine.count(|seen| *seen == Seen::call(Method::POST, "/session")), 0);
}
