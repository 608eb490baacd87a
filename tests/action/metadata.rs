//! Rules for tags, labels and annotations reach the registry.

use serde_json::{Value, json};

use crate::{
    lab::{self, Engine},
    run::{BASE, Run, log},
};

const RULES: &str = "type=ref,event=branch,suffix=-{{sha}}\ntype=raw,value=x y,enable={{is_default_branch}}";

fn run(engine: Engine) -> Run {
    Run::new(engine, &[("Dockerfile", &format!("{BASE}RUN echo {engine:?}\n"))])
        .with("image-name", "{registry}/{owner}/{repo}")
        .with("tags", RULES)
        .with("flavor", "latest=true")
        .with("labels", "team=web\nbranch={{branch}}")
        .with("annotations", "org.opencontainers.image.title=Our {{branch}}\nmanifest:team=web")
}

async fn tags_and_labels(engine: Engine, registry: &str) -> Run {
    let run = run(engine).with("registry", registry);
    let report = run.expect(0).await;
    let repository = run.image("").trim_end_matches('/').to_owned();
    let tags = ["main-0123456", "x-y", "latest"].map(|tag| format!("{repository}:{tag}"));
    assert_eq!(report.outputs["tags"].lines().collect::<Vec<_>>(), tags);
    assert_eq!(report.outputs["version"], "main-0123456");
    run
}

#[tokio::test]
async fn tags_labels_and_annotations_reach_the_registry() {
    let run = tags_and_labels(Engine::C8d, &lab::plain()).await;
    let reference = format!("{}/{}:latest", lab::plain(), run.repository);
    let labels = &lab::image_config(&reference)["config"]["Labels"];
    assert_eq!((&labels["team"], &labels["branch"]), (&json!("web"), &json!("main")));
    assert_eq!(labels["org.opencontainers.image.version"], "main-0123456");
    let manifest: Value = serde_json::from_str(&lab::crane(&["manifest", &reference])).unwrap();
    let annotations = &manifest["annotations"];
    assert_eq!(
        (&annotations["team"], &annotations["org.opencontainers.image.title"]),
        (&json!("web"), &json!("Our main"))
    );
    assert_eq!(annotations["org.opencontainers.image.version"], "main-0123456");
    assert!(manifest["layers"].is_array(), "one image, not an index: {manifest}");
}

#[tokio::test]
async fn engines_that_push_themselves_keep_tags_and_labels() {
    for engine in [Engine::Classic, Engine::Old] {
        tags_and_labels(engine, "localhost:5000").await;
    }
}

#[tokio::test]
async fn rules_of_which_none_fits_are_told_before_the_build() {
    let report = run(Engine::Classic).with("tags", "type=ref,event=pr").expect(2).await;
    assert!(log(&report).contains("no rule of `tags` fits this event"), "{}", log(&report));
    let semver = "type=semver,pattern={{version}}";
    let report = run(Engine::Classic).event("push_tag_other").with("tags", semver).expect(2).await;
    assert!(log(&report).contains("no rule of `tags` fits this event"), "{}", log(&report));
    let report = run(Engine::Classic).with("tags", "type=ref,event=pr").with("push", "false").expect(0).await;
    assert!(log(&report).contains("has no tag, because"), "{}", log(&report));
}
