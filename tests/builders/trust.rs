//! What a checkout asks for beyond its project, against real daemons: nothing is built before it is granted, and the
//! container grants no more than what was asked for.

use crate::{
    lab::{self, Engine},
    run::{Run, fresh},
};

#[tokio::test]
async fn a_compose_file_gets_no_entitlement_by_itself() {
    let run = Run::new(Engine::C8d, &fresh("RUN --network=host true\n"));
    for keys in ["network: host", "privileged: true", "entitlements: [network.host]"] {
        run.write("compose.yaml", &format!("services:\n  web:\n    build: {{context: ., {keys}}}\n"));
        let report = run.go().await;
        assert_eq!(report.status, 2, "{keys}: {}", report.log);
        assert!(report.log.contains("to the input `allow`") && !report.log.contains("load build"), "{}", report.log);
    }
    // Nor does a Dockerfile that asks for it on its own.
    run.write("compose.yaml", "services: {web: {build: .}}");
    let report = run.go().await;
    assert_eq!(report.status, 1, "{}", report.log);
    assert!(report.log.contains("network.host is not allowed"), "{}", report.log);
    run.write("compose.yaml", "services: {web: {build: {context: ., network: host}}}");
    run.with("allow", "network.host").succeeds().await;
}

/// Whether the registry has anything of the run.
fn in_registry(run: &Run) -> bool {
    lab::crane(&["catalog", &lab::plain()]).contains(&run.repository)
}

#[tokio::test]
async fn a_pull_request_writes_no_cache_into_the_registry() {
    let run = Run::new(Engine::C8d, &fresh(""));
    let cache = format!("{}/web:cache", run.image());
    run.write(
        "compose.yaml",
        &format!("services: {{web: {{build: {{context: ., cache_to: ['type=registry,ref={cache}']}}}}}}"),
    );
    let run = run.with("builder", "engine");
    let request = |event: &str| {
        run.clone()
            .env("GITHUB_EVENT_NAME", event)
            .env("GITHUB_REF", "refs/pull/7/merge")
            .env("GITHUB_HEAD_REF", "feature")
            .env("GITHUB_BASE_REF", "main")
    };
    for event in ["pull_request", "pull_request_target"] {
        let report = request(event).succeeds().await;
        assert!(report.log.contains("are not written"), "{event}: {}", report.log);
        assert!(!in_registry(&run), "{event}: {}", report.log);
    }
    run.succeeds().await;
    assert_eq!(lab::crane(&["digest", &cache]).split(':').next(), Some("sha256"), "a push writes it");
}
