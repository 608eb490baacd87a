//! Registries that are down, overloaded or lie.

use http::{Method, StatusCode};

use crate::{
    lab::{self, Engine},
    proxy::{Fate, Proxy, Seen},
    run::{BASE, Run, log, the_error},
};

fn run(engine: Engine, registry: &str) -> Run {
    let run = Run::new(engine, &[("Dockerfile", &format!("{BASE}COPY stamp /\n"))]);
    run.write("stamp", &run.repository);
    run.with("registry", registry)
}

fn is_upload(seen: &Seen) -> bool {
    seen.path.contains("/blobs/uploads/")
}

/// Breaks the first requests of a kind.
fn first(count: usize, kind: fn(&Seen) -> bool, fate: fn() -> Fate) -> impl Fn(&Seen, &[Seen]) -> Fate {
    move |asked, before| {
        let nth = before.iter().filter(|seen| kind(seen)).count();
        if kind(asked) && nth < count { fate() } else { Fate::Pass }
    }
}

async fn survives(engine: Engine, count: usize, kind: fn(&Seen) -> bool, fate: fn() -> Fate, said: &str) {
    let proxy = Proxy::start(first(count, kind, fate)).await;
    let run = run(engine, &proxy.host);
    let report = run.expect(0).await;
    let reference = format!("{}/{}:main", lab::plain(), run.repository);
    assert_eq!(lab::crane(&["digest", &reference]), report.outputs["digest"], "{engine:?}");
    assert!(proxy.count(kind) > count, "{engine:?}: the fault happened");
    assert!(said.is_empty() || log(&report).contains(said), "{engine:?}: {said} is not told:\n{}", log(&report));
}

#[tokio::test]
async fn an_unavailable_registry_is_asked_again() {
    for engine in Engine::ALL {
        // The engine itself asks again a few times; it is we who do when it gives up.
        survives(engine, 2, is_upload, || Fate::Answer(StatusCode::SERVICE_UNAVAILABLE), "").await;
    }
}

#[tokio::test]
async fn an_overloaded_registry_is_asked_again() {
    for engine in Engine::ALL {
        survives(engine, 1, is_upload, || Fate::Answer(StatusCode::TOO_MANY_REQUESTS), "").await;
    }
}

#[tokio::test]
async fn a_broken_connection_is_tried_again() {
    // Uploads are tried again by some engines themselves; the tags are ours.
    let puts_tag =
        |seen: &Seen| seen.is_manifest() && seen.method == Method::PUT && !seen.path.contains("/manifests/sha256:");
    for engine in Engine::ALL {
        survives(engine, 1, puts_tag, || Fate::Break, "attempt").await;
    }
}

#[tokio::test]
async fn a_registry_that_stays_down_fails_the_push() {
    // The classic store's engine asks so often that it takes minutes.
    for engine in [Engine::C8d] {
        let proxy = Proxy::start(|_, _| Fate::Answer(StatusCode::SERVICE_UNAVAILABLE)).await;
        let report = run(engine, &proxy.host).expect(1).await;
        let error = the_error(&report);
        assert!(error.message.contains(&format!("the push to {} failed", proxy.host)), "{engine:?}: {error:?}");
        assert!(error.message.contains("503"), "{engine:?}: {error:?}");
        assert!(log(&report).contains("(attempt 4)"), "{engine:?}: {}", log(&report));
    }
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_named() {
    let closed = {
        let listener = std::net::TcpListener::bind((lab::var("LAB_ADDR"), 0)).unwrap();
        listener.local_addr().unwrap().to_string()
    };
    for engine in [Engine::C8d, Engine::Classic] {
        let report = run(engine, &closed).expect(1).await;
        let error = the_error(&report);
        assert!(error.message.contains(&format!("the builder cannot reach {closed}")), "{engine:?}: {error:?}");
        assert!(log(&report).contains("retrying in 1"), "{engine:?}: {}", log(&report));
    }
}

#[tokio::test]
async fn a_digest_that_is_not_what_was_built_fails_the_run() {
    let name = format!("ci/{:016x}", rand::random::<u64>());
    let other = format!("{}/{name}:main", lab::plain());
    lab::crane(&["copy", "--platform", "linux/amd64", "10.213.0.1:5900/library/busybox:1.36", &other]);
    let served = lab::crane(&["digest", &other]);
    for engine in Engine::ALL {
        let (name, other_digest) = (name.clone(), served.clone());
        let proxy = Proxy::start(move |asked, before| {
            let pushed = before
                .iter()
                .any(|seen| seen.is_manifest() && seen.method == Method::PUT && seen.path.ends_with("/main"));
            let of_tag = asked.path.ends_with("/manifests/main") || asked.path.ends_with(&other_digest);
            // So that it is read back. What the engine itself pushes is read back in any case, and it wants the digest.
            let of_ours = matches!(engine, Engine::C8d) && !asked.path.contains("/manifests/sha256:");
            if of_ours && asked.method == Method::PUT && asked.is_manifest() {
                return Fate::Unnamed;
            }
            if pushed && of_tag && asked.method != Method::PUT {
                let tail = asked.path.rsplit('/').next().unwrap();
                return Fate::Instead(format!("/v2/{name}/manifests/{tail}"));
            }
            Fate::Pass
        })
        .await;
        let run = run(engine, &proxy.host);
        let report = run.expect(1).await;
        let error = the_error(&report);
        let built = lab::crane(&["digest", &format!("{}/{}:main", lab::plain(), run.repository)]);
        for words in [&*built, &*served, ":main was pushed as"] {
            assert!(error.message.contains(words), "{engine:?}: {words} is not in {error:?}");
        }
    }
}
