//! Builds that fail: at a step, over the connection, over the session.

use std::time::{Duration, Instant};

use stand_ins::engine::{BuildEnd, Fault, Seen, Setup};

use crate::run::{BASE, World, images, log, name, the_error};

const BROKEN: &str = "\
FROM busybox:1.36
COPY a /a
# A comment, and an instruction of several lines.
RUN echo installing && \\
    echo no matching distribution && \\
    exit 7
CMD x
";

#[tokio::test]
async fn a_failing_instruction_is_named_with_file_line_and_output() {
    for setup in [Setup::containerd(), Setup::classic(), Setup::old()] {
        let world = World::new(setup.clone()).await;
        let run = world.run(&[("site/Dockerfile", BROKEN), ("site/a", "")]).with("working-directory", "site");
        let report = run.expect(1).await;
        let error = the_error(&report);
        let properties = ["file", "line", "endLine"].map(|name| error.property(name).unwrap_or_default());
        assert_eq!(properties, ["site/Dockerfile", "4", "6"], "{setup:?}: {}", log(&report));
        for words in ["exit code 7", "echo no matching distribution"] {
            assert!(error.message.contains(words), "{setup:?}: {error:?}");
        }
        let log = log(&report);
        let (_, after) = log.rsplit_once("##[endgroup]").unwrap();
        for words in ["site/Dockerfile:4", "│ no matching distribution", "exit code 7"] {
            assert!(after.contains(words), "{setup:?}: {words} is not after the groups:\n{log}");
        }
        assert!(report.summary.contains("❌") && report.summary.contains("no matching distribution"));
        assert_eq!(world.registry.tags(&name("")), Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_is_wrong_in_a_dockerfile_is_named_with_its_line() {
    let world = World::new(Setup::containerd()).await;
    for (dockerfile, line, words) in [
        ("FROM busybox:1.36\n\nRUM echo\n", "3", "unknown instruction: RUM"),
        ("FROM nobody/nothing:1\n", "1", "base image nobody/nothing:1 does not exist"),
        ("FROM busybox:1.36\nCOPY missing.txt /\n", "2", "missing.txt"),
        ("FROM busybox:1.36\nRUN --mount=type=secret,id=token,required=true true\n", "2", "`secrets`"),
    ] {
        let report = world.run(&[("Dockerfile", dockerfile)]).expect(1).await;
        let error = the_error(&report);
        assert!(error.message.contains(words), "{error:?}");
        assert_eq!((error.property("file"), error.property("line")), (Some("Dockerfile"), Some(line)), "{error:?}");
    }
}

#[tokio::test]
async fn an_upload_that_breaks_is_tried_again_and_told_once() {
    let world = World::engine(Setup::containerd(), |seen, before| match seen {
        Seen::Push(_) if before < 2 => Some(Fault::Fail("failed to do request: Put \"https://x\": EOF".into())),
        _ => None,
    })
    .await;
    let report = world.run(&[("Dockerfile", &format!("{BASE}RUN echo once-only\n"))]).expect(0).await;
    let log = log(&report);
    assert!(log.contains("attempt 2") && log.contains("attempt 3"), "{log}");
    assert_eq!(log.matches("once-only").count(), 2, "the step's name and its output: {log}");
    let ends: Vec<_> = world.engine.builds().into_iter().map(|build| build.end == Some(BuildEnd::Done)).collect();
    assert_eq!(ends, [false, false, true]);
    assert_eq!(images(&report)[0]["cached"], 0, "what the first attempt did counts");
}

#[tokio::test]
async fn an_upload_that_is_refused_is_not_tried_again() {
    let world = World::engine(Setup::containerd(), |seen, _| match seen {
        Seen::Push(_) => {
            Some(Fault::Fail("unexpected status from POST request to https://x/v2/: 403 Forbidden".into()))
        }
        _ => None,
    })
    .await;
    let report = world.run(&[("Dockerfile", BASE)]).expect(1).await;
    assert!(the_error(&report).message.contains("refuses the push"), "{}", log(&report));
    assert_eq!(world.engine.builds().len(), 1);
}

#[tokio::test]
async fn a_session_that_dies_is_a_failure_that_says_so() {
    let world = World::engine(Setup::containerd(), |seen, _| match seen {
        Seen::Step(name) if name.contains("RUN echo two") => Some(Fault::EndSession),
        _ => None,
    })
    .await;
    let steps = "RUN echo one\nRUN echo two\nRUN --mount=type=secret,id=token cat /run/secrets/token\n";
    let run = world.run(&[("Dockerfile", &format!("{BASE}{steps}"))]);
    let began = Instant::now();
    let report = run.with("secrets", "token=canary-12345").secret("canary-12345").expect(1).await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let error = the_error(&report);
    assert!(error.message.contains("session"), "{error:?}\n{}", log(&report));
    assert_eq!(world.registry.tags(&name("")), Vec::<String>::new());
}

#[tokio::test]
async fn an_engine_that_ends_during_a_build_is_named() {
    let world = World::engine(Setup::containerd(), |seen, _| match seen {
        Seen::Step(name) if name.contains("RUN") => Some(Fault::End),
        _ => None,
    })
    .await;
    let began = Instant::now();
    let report = world.run(&[("Dockerfile", &format!("{BASE}RUN echo one\n"))]).expect(1).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let error = the_error(&report);
    assert!(error.message.contains("connection") && error.message.contains("was lost"), "{error:?}");
}

#[tokio::test]
async fn an_engine_that_says_nothing_any_more_is_left_at_the_time_limit() {
    let world = World::engine(Setup::containerd(), |seen, _| match seen {
        Seen::Step(name) if name.contains("RUN") => Some(Fault::Stall),
        _ => None,
    })
    .await;
    let began = Instant::now();
    let run = world.run(&[("Dockerfile", &format!("{BASE}RUN echo one\n"))]).with("timeout", "2s");
    let report = run.expect(1).await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let error = the_error(&report);
    assert!(error.message.contains("`timeout`") && error.message.contains("RUN echo one (for "), "{error:?}");
    assert!(report.summary.contains("**Error**") && report.summary.contains("RUN echo one"), "{}", report.summary);
    assert_eq!(world.engine.builds()[0].end, Some(BuildEnd::Cancelled));
}
