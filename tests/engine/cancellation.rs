//! A run that is stopped: at once, and with nothing left behind.

use std::time::{Duration, Instant};

use stand_ins::{
    engine::{BuildEnd, Setup},
    registry::Fault,
};

use crate::run::{BASE, World, images, line_with, log, name, until};

const COMPOSE: &str =
    "services:\n  one: {build: {context: ., dockerfile: one}}\n  two: {build: {context: ., dockerfile: two}}\n";
/// Longest time until the program has ended.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_cancelled_run_stops_the_builds_and_moves_nothing() {
    for setup in [Setup::containerd(), Setup::classic()] {
        let world = World::new(setup.clone()).await;
        let one = format!("{BASE}RUN echo asleep-now && sleep infinity\n");
        let run = world.run(&[("compose.yaml", COMPOSE), ("one", &one), ("two", BASE)]);
        let (running, mut lines) = run.start();
        line_with(&mut lines, "    asleep-now").await;
        let began = Instant::now();
        let report = running.cancel().await.unwrap();
        assert!(began.elapsed() < SOON, "{setup:?}: {:?}", began.elapsed());
        assert_eq!(report.exit_code, 130, "{setup:?}: {}", log(&report));
        run.check(&report);
        let cancelled = || world.engine.builds().iter().any(|build| build.end == Some(BuildEnd::Cancelled));
        until("the build goes on in the engine", cancelled).await;
        until("the session is still open", || world.engine.sessions() == 0).await;
        assert!(images(&report).iter().all(|image| image["pushed"] == false), "{setup:?}");
        assert!(log(&report).contains("cancelled: the runner stopped this step"), "{setup:?}: {}", log(&report));
        for image in ["one", "two"] {
            assert_eq!(world.registry.tags(&name(image)), Vec::<String>::new(), "{setup:?}");
        }
    }
}

#[tokio::test]
async fn a_run_that_is_cancelled_while_tags_move_restores_them() {
    // `latest` of the second run is never answered.
    let world = World::registry(Setup::containerd(), |seen, before| {
        (seen.method == "PUT" && seen.reference == "latest" && before > 0).then_some(Fault::Stall)
    })
    .await;
    let run = world.run(&[("Dockerfile", &format!("{BASE}RUN echo one\n"))]);
    run.expect(0).await;
    let old = world.tagged("", "main").unwrap();
    run.write("Dockerfile", &format!("{BASE}RUN echo two\n"));
    let (running, _lines) = run.start();
    until("no tag moves", || world.tagged("", "main").is_some_and(|now| now != old)).await;
    let report = running.cancel().await.unwrap();
    run.check(&report);
    for tag in ["main", "latest"] {
        assert_eq!(world.tagged("", tag).as_ref(), Some(&old), "{tag}: {}", log(&report));
    }
    assert_eq!(report.outputs["tags"], "", "{}", log(&report));
}
