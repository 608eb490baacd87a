//! A run that is stopped: at once, and with nothing left behind.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::{
    lab::Engine,
    run::{Run, images, line_with, log, the_error},
};

/// Longest time until the step has ended and the engine has stopped.
const SOON: Duration = Duration::from_secs(3);
/// Longest time between a step's line and the process behind it, on a machine with much else to do.
const STARTED: Duration = Duration::from_mins(1);

/// A project of two images, the second of which takes for ever; and how the sleeping process looks.
fn endless(engine: Engine) -> (Run, String) {
    let sleep = format!("sleep {}", 100_000_000 + u64::from(rand::random::<u32>()));
    let dockerfile = format!("FROM busybox:1.36\nRUN echo asleep-now && {sleep}\n");
    let compose =
        "services:\n  one: {build: {context: ., dockerfile: one}}\n  two: {build: {context: ., dockerfile: two}}\n";
    let run =
        Run::new(engine, &[("compose.yaml", compose), ("one", &dockerfile), ("two", &format!("{dockerfile}CMD x\n"))]);
    (run, sleep)
}

/// Whether a process with this command line runs.
fn runs(command: &str) -> bool {
    let wanted = command.replace(' ', "\0") + "\0";
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok()).any(|line| line == wanted.as_bytes())
}

/// Waits until the engine has started the process, which it tells nobody.
async fn started(command: &str) {
    let began = Instant::now();
    while !runs(command) {
        assert!(began.elapsed() < STARTED, "`{command}` never ran in the engine");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn gone_soon(command: &str) {
    let began = Instant::now();
    while runs(command) {
        assert!(began.elapsed() < SOON, "`{command}` still runs in the engine");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_cancelled_run_stops_at_once_everywhere() {
    for engine in Engine::ALL {
        let (run, sleep) = endless(engine);
        let (running, mut lines) = run.start();
        let container = running.container().to_owned();
        line_with(&mut lines, "    asleep-now").await;
        started(&sleep).await;
        let began = Instant::now();
        let report = running.cancel().await.unwrap();
        assert!(began.elapsed() < SOON, "{engine:?}: took {:?}", began.elapsed());
        assert_eq!(report.exit_code, 130, "{engine:?}: {}", log(&report));
        gone_soon(&sleep).await;
        run.check(&report, &container);
        assert_eq!(report.outputs["result"], "cancelled");
        for image in images(&report) {
            assert_eq!(image["pushed"], false);
        }
        assert!(log(&report).contains("cancelled: the runner stopped this step"), "{}", log(&report));
        assert!(report.summary.contains("Cancelled"), "{}", report.summary);
        assert_eq!(report.console.of_kind("error").count(), 0);
    }
}

#[tokio::test]
async fn sigterm_alone_ends_it_too() {
    let (run, sleep) = endless(Engine::C8d);
    let (running, mut lines) = run.start();
    let container = running.container().to_owned();
    line_with(&mut lines, "    asleep-now").await;
    run.engine.docker(&["kill", "--signal", "TERM", &container]);
    let report = running.finish().await.unwrap();
    assert_eq!(report.exit_code, 143, "{}", log(&report));
    gone_soon(&sleep).await;
    run.check(&report, &container);
}

#[tokio::test]
async fn an_image_that_fails_stops_the_others() {
    for engine in Engine::ALL {
        let (run, sleep) = endless(engine);
        // It fails once the other sleeps.
        run.write("two", "FROM busybox:1.36\nCOPY stamp /\nRUN echo broken && exit 3\n");
        run.write("stamp", &run.repository);
        let report = run.expect(1).await;
        gone_soon(&sleep).await;
        let log = log(&report);
        assert!(log.contains("- one: cancelled"), "{engine:?}: {log}");
        assert!(log.contains("✗ two:"), "{engine:?}: {log}");
    }
}

#[tokio::test]
async fn the_time_limit_is_a_failure() {
    let (run, sleep) = endless(Engine::C8d);
    let run = run.with("timeout", "4s");
    let report = run.expect(1).await;
    gone_soon(&sleep).await;
    let error = the_error(&report);
    assert!(error.message.contains("`timeout`") && error.message.contains("RUN "), "{error:?}");
}
