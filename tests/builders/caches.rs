//! `cache`: GitHub's cache service, as a stand-in that the engine's real BuildKit writes to and reads from, and caches
//! that are out of order.

use std::net::SocketAddr;

use stand_ins::cache::CacheServer;

use crate::{
    lab::{self, Engine, crane},
    run::{Report, Run, fresh},
};

const MAIN: [(&str, u32); 1] = [("refs/heads/main", 3)];

/// The service, within reach of the engines.
async fn service() -> CacheServer {
    let address: SocketAddr = format!("{}:0", lab::var("LAB_ADDR")).parse().unwrap();
    CacheServer::start(address).await.unwrap()
}

/// A run with the service and a step of its own.
fn project(engine: Engine, service: &CacheServer, grants: &[(&str, u32)]) -> Run {
    let run = Run::new(engine, "");
    run.write("Dockerfile", &format!("FROM busybox:1.36\nRUN echo {} > /stamp\n", run.repository));
    as_job(run, service, grants)
}

fn as_job(run: Run, service: &CacheServer, grants: &[(&str, u32)]) -> Run {
    run.env("ACTIONS_RESULTS_URL", &service.url()).env("ACTIONS_RUNTIME_TOKEN", &service.token(grants))
}

/// The same run on another runner, whose engine has nothing of it.
fn elsewhere(run: &Run) -> Run {
    run.clone().env("DOCKER_HOST", &format!("unix://{}", Engine::Named.socket().display()))
}

fn warnings(report: &Report) -> Vec<&str> {
    report.log.lines().filter(|line| line.starts_with("::warning")).collect()
}

#[tokio::test]
async fn githubs_cache_brings_a_build_to_another_runner() {
    let service = service().await;
    let run = project(Engine::C8d, &service, &MAIN);
    let first = run.succeeds().await;
    assert_eq!((first.image()["cached"].as_u64(), warnings(&first)), (Some(0), vec![]), "{}", first.log);
    let entries = service.entries();
    assert!(entries.iter().any(|(scope, key)| scope == MAIN[0].0 && key.starts_with("index-")), "{entries:?}");
    assert!(entries.iter().any(|(_, key)| key.starts_with("buildkit-blob-1-sha256:")), "{entries:?}");
    let second = elsewhere(&run).succeeds().await;
    assert_eq!(second.image()["cached"], 1, "{}", second.log);
    assert_eq!(second.image()["digest"], first.image()["digest"]);
    // With `off` nobody asks.
    let calls = service.calls().len();
    run.with("cache", "off").succeeds().await;
    assert_eq!(service.calls().len(), calls);
    for report in [&first, &second] {
        let masked = format!("::add-mask::{}\n", service.token(&MAIN));
        let shown = report.log.replace(&masked, "");
        assert!(shown != report.log && !shown.contains(&service.token(&MAIN)), "{}", report.log);
    }
}

#[tokio::test]
async fn a_branch_reads_the_default_branchs_cache_and_writes_its_own() {
    let service = service().await;
    let run = project(Engine::C8d, &service, &MAIN);
    run.succeeds().await;
    let grants = [("refs/pull/7/merge", 3), ("refs/heads/main", 1)];
    let branch = as_job(elsewhere(&run), &service, &grants).env("GITHUB_REF", "refs/heads/feature");
    let report = branch.succeeds().await;
    assert_eq!(report.image()["cached"], 1, "{}", report.log);
    let own = |(scope, key): &(String, String)| scope == "refs/pull/7/merge" && key.starts_with("index-");
    assert!(service.entries().iter().any(own), "{:?}", service.entries());
}

#[tokio::test]
async fn large_layers_travel_in_blocks() {
    let service = service().await;
    let run = project(Engine::C8d, &service, &MAIN);
    let noise = format!("RUN echo {} && head -c 5000000 /dev/urandom > /noise\n", run.repository);
    run.write("Dockerfile", &format!("FROM busybox:1.36\n{noise}"));
    let first = run.succeeds().await;
    let second = elsewhere(&run).succeeds().await;
    // The noise would be another if it were made anew.
    assert_eq!((&second.image()["digest"], &second.image()["cached"]), (&first.image()["digest"], &1.into()));
}

#[tokio::test]
async fn a_cache_that_may_not_be_written_is_a_notice() {
    let service = service().await;
    let modes: [&[(&str, &str)]; 3] = [
        &[("ACTIONS_CACHE_MODE", "read")],
        &[("ACTIONS_CACHE_MODE", "none")],
        &[("GITHUB_EVENT_NAME", "pull_request_target")],
    ];
    for variables in modes {
        let mut run = project(Engine::C8d, &service, &MAIN);
        for (name, value) in variables {
            run = run.env(name, value);
        }
        let report = run.succeeds().await;
        assert!(report.log.contains("::notice title=plan::the build cache is not written"), "{}", report.log);
        assert_eq!((service.entries(), warnings(&report)), (vec![], vec![]));
    }
    assert!(service.calls().iter().all(|call| call.method == "GetCacheEntryDownloadURL"));
    // A token that only reads says the same without a word of the runner's.
    let run = project(Engine::C8d, &service, &[("refs/heads/main", 1)]);
    assert!(run.succeeds().await.log.contains("is not written"));
}

#[tokio::test]
async fn a_service_that_is_down_is_a_warning() {
    let service = service().await;
    service.fail(Some(500));
    for cache in ["auto", "gha"] {
        let run = project(Engine::C8d, &service, &MAIN);
        let report = run.with("cache", cache).succeeds().await;
        let told = warnings(&report);
        assert!(told.iter().any(|line| line.contains("the build cache could not be read")), "{}", report.log);
        assert!(told.iter().any(|line| line.contains("the build cache could not be written")), "{}", report.log);
    }
    // Nobody there at all.
    let run = project(Engine::C8d, &service, &MAIN);
    drop(service);
    let report = run.succeeds().await;
    assert_eq!(warnings(&report).len(), 2, "{}", report.log);
}

#[tokio::test]
async fn a_service_that_takes_connections_and_says_nothing_is_left_out() {
    let silent = std::net::TcpListener::bind(format!("{}:0", lab::var("LAB_ADDR"))).unwrap();
    let host = silent.local_addr().unwrap();
    let run = Run::new(Engine::C8d, &fresh("")).with("cache-from", &format!("{host}/o/r:cache"));
    let service = service().await;
    let github = as_job(Run::new(Engine::C8d, &fresh("")), &service, &MAIN);
    let github = github.env("ACTIONS_RESULTS_URL", &format!("http://{host}/"));
    for report in <[Report; 2]>::from(tokio::join!(run.succeeds(), github.succeeds())) {
        assert!(warnings(&report)[0].contains(&format!("{host}/")), "{}", report.log);
        assert!(warnings(&report)[0].contains("does not answer"), "{}", report.log);
        assert!(!report.log.contains("importing cache"), "{}", report.log);
    }
}

#[tokio::test]
async fn a_token_that_has_run_out_is_a_warning() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let claims = r#"{"ac":"[{\"Scope\":\"refs/heads/main\",\"Permission\":3}]","nbf":1,"exp":2}"#;
    let [header, claims] = [r#"{"alg":"HS256"}"#, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let token = format!("{header}.{claims}.c2ln");
    let service = service().await;
    let run = project(Engine::C8d, &service, &MAIN);
    let report = run.env("ACTIONS_RUNTIME_TOKEN", &token).succeeds().await;
    assert!(warnings(&report).iter().any(|line| line.contains("cache token expired")), "{}", report.log);
    assert_eq!(service.calls(), []);
}

#[tokio::test]
async fn a_registry_that_refuses_the_cache_is_a_warning() {
    let run = project(Engine::C8d, &service().await, &MAIN);
    let refused = format!("type=registry,ref={}/nobody/cache:x", lab::var("LAB_BASIC"));
    let run = run.with("cache-from", &refused).with("cache-to", &format!("{refused},mode=max"));
    let report = run.succeeds().await;
    let told = warnings(&report);
    assert!(told.iter().any(|line| line.contains("could not be written")), "{}", report.log);
    assert_eq!(report.image()["pushed"], true);
}

#[tokio::test]
async fn a_registry_keeps_the_cache_beside_the_image() {
    let service = service().await;
    let run = project(Engine::C8d, &service, &MAIN);
    let run = run.with("cache", "registry");
    let first = run.succeeds().await;
    assert_eq!(warnings(&first), Vec::<&str>::new(), "a cache that is not there yet is none: {}", first.log);
    crane(&["manifest", &format!("{}:buildcache", run.image())]);
    assert_eq!(elsewhere(&run).succeeds().await.image()["cached"], 1);
    assert_eq!(service.calls(), [], "the user's choice is the only one");
}

#[tokio::test]
async fn an_engine_that_cannot_does_without() {
    let service = service().await;
    for engine in [Engine::Classic, Engine::Old] {
        let run = project(engine, &service, &MAIN);
        let report = run.succeeds().await;
        assert_eq!(warnings(&report), Vec::<&str>::new(), "it was only offered: {}", report.log);
        let run = project(engine, &service, &MAIN);
        let report = run.with("builder", "engine").with("cache", "gha").succeeds().await;
        assert!(warnings(&report)[0].contains("does not support caches of type gha"), "{}", report.log);
        // A container would have them, if there were one.
        let run = project(engine, &service, &MAIN);
        let absent = format!("{}/nobody/buildkit:none", lab::plain());
        let report = run.with("buildkit-image", &absent).with("cache", "registry").succeeds().await;
        let told = warnings(&report).join(" ");
        assert!(
            told.contains(&format!("the builder container failed to start: cannot pull {absent}")),
            "{}",
            report.log
        );
        assert!(told.contains("does not support caches of type registry"), "{}", report.log);
    }
    assert_eq!(service.calls(), []);
}
