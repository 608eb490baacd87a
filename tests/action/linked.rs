//! Images that are built upon other images of the run, and contexts of other kinds.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use crate::{
    lab::{self, Engine},
    proxy::{Fate, Proxy, Seen},
    run::{Run, images, log, the_error},
};

/// An app upon a middle image upon a base; a tool that only copies from the base.
const COMPOSE: &str = "\
services:
  app:
    build: {context: app, additional_contexts: {middle: 'service:middle'}}
  middle:
    build: {context: middle, additional_contexts: {base: 'service:base'}}
  tool:
    build: {context: tool, additional_contexts: ['from=service:base']}
  base:
    build: {context: base}
";

fn chain(engine: Engine) -> Run {
    let run = Run::new(
        engine,
        &[
            ("compose.yaml", COMPOSE),
            ("app/Dockerfile", "FROM middle\nRUN cat /random /middle >/app && echo built upon $FROM_BASE\n"),
            ("middle/Dockerfile", "FROM base\nCOPY middle /middle\nENV MIDDLE=yes\n"),
            ("middle/middle", "x"),
            ("tool/Dockerfile", "FROM busybox:1.36\nCOPY --from=from /random /tool\n"),
            (
                "base/Dockerfile",
                "FROM busybox:1.36\nCOPY stamp /stamp\nENV FROM_BASE=really\nRUN head -c 64 /dev/urandom >/random && echo random $(cat /stamp)\n",
            ),
        ],
    );
    run.write("base/stamp", &run.repository);
    run
}

#[tokio::test]
async fn images_are_built_upon_each_other() {
    for engine in [Engine::C8d, Engine::Classic] {
        for (input, value) in [("load", "false"), ("no-cache", "true")] {
            let run = chain(engine).with(input, value);
            let report = run.expect(0).await;
            let layers = |name: &str| lab::layers(&format!("{}:main", run.image(name)));
            let (app, middle, base) = (layers("app"), layers("middle"), layers("base"));
            assert_eq!(app[..middle.len()], middle, "{engine:?}, {input}: what is pushed is what was built upon");
            assert_eq!(middle[..base.len()], base, "{engine:?}, {input}");
            let config = lab::image_config(&format!("{}:main", run.image("app")));
            let env = config["config"]["Env"].as_array().unwrap();
            assert!(env.contains(&json!("FROM_BASE=really")) && env.contains(&json!("MIDDLE=yes")), "{env:?}");
            let log = log(&report);
            assert!(log.contains("built upon really"), "{log}");
            assert_eq!(log.matches(&format!("random {}", run.repository)).count(), 1, "done once: {log}");
            let steps: Vec<_> = images(&report).iter().map(|image| image["steps"].clone()).collect();
            assert_eq!(steps, [1, 1, 1, 2], "each image tells its own steps: {log}");
        }
    }
}

#[tokio::test]
async fn what_is_only_a_context_is_built_and_not_pushed() {
    let run = chain(Engine::C8d).with("services", "tool");
    let report = run.expect(0).await;
    let made = images(&report);
    let told: Vec<_> = made.iter().map(|image| (image["name"].as_str().unwrap(), image["pushed"].clone())).collect();
    assert_eq!(told, [("tool", json!(true)), ("base", json!(false))]);
    assert_eq!(report.outputs["digest"], made[0]["digest"].as_str().unwrap());
    assert_eq!(made[1]["tags"], json!([]));
    let catalog = lab::crane(&["catalog", &lab::plain()]);
    assert!(catalog.contains(&format!("{}/tool", run.repository)), "{catalog}");
    assert!(!catalog.contains(&format!("{}/base", run.repository)), "{catalog}");
}

#[tokio::test]
async fn a_base_that_fails_is_the_one_that_is_told() {
    for engine in [Engine::C8d, Engine::Classic] {
        let run = chain(engine);
        run.write("base/Dockerfile", "FROM busybox:1.36\nCOPY stamp /stamp\n\nRUN echo gone && exit 9\n");
        let report = run.expect(1).await;
        let error = the_error(&report);
        assert_eq!((error.property("file"), error.property("line")), (Some("base/Dockerfile"), Some("4")), "{error:?}");
        assert!(error.property("title").unwrap().contains("base"), "{error:?}");
    }
}

#[tokio::test]
async fn a_dependent_that_fails_is_the_one_that_is_told() {
    let run = chain(Engine::C8d);
    run.write("app/Dockerfile", "FROM middle\nRUN exit 9\n");
    let report = run.expect(1).await;
    let error = the_error(&report);
    assert_eq!((error.property("file"), error.property("line")), (Some("app/Dockerfile"), Some("2")), "{error:?}");
}

/// A fault that passes: the solve that met it is repeated, and the images that wait for it must go on.
#[tokio::test]
async fn a_fault_that_passes_does_not_hold_up_the_images_that_wait() {
    let name = format!("ci/{:016x}", rand::random::<u64>());
    let copy = format!("{}/{name}:1", lab::plain());
    lab::crane(&["copy", "--platform", "linux/amd64", "10.213.0.1:5900/library/busybox:1.36", &copy]);
    // The builder repeats uploads by itself before it gives up.
    for (engine, place, count) in [
        (Engine::C8d, format!("{name}/manifests/1"), 1),
        (Engine::Classic, format!("{name}/manifests/1"), 1),
        (Engine::C8d, "/base/blobs/uploads/".to_owned(), 8),
        (Engine::C8d, "/app/blobs/uploads/".to_owned(), 8),
    ] {
        let wanted = place.clone();
        let hit = move |seen: &Seen| seen.path.contains(&wanted);
        let proxy = Proxy::start(move |seen, before| {
            let broken = hit(seen) && before.iter().filter(|seen| hit(seen)).count() < count;
            match (broken, count) {
                (false, _) => Fate::Pass,
                (true, 1) => Fate::Answer(StatusCode::BAD_GATEWAY),
                (true, _) => Fate::Break,
            }
        })
        .await;
        let run = chain(engine).with("registry", &proxy.host);
        let base =
            format!("FROM {}/{name}:1\nCOPY stamp /stamp\nENV FROM_BASE=really\nRUN echo x >/random\n", proxy.host);
        run.write("base/Dockerfile", &base);
        let report = tokio::time::timeout(Duration::from_mins(2), run.expect(0)).await;
        let report = report.unwrap_or_else(|_| panic!("{engine:?}, {place}: it hangs"));
        assert!(proxy.count(|seen| seen.path.contains(&place)) > 1, "{engine:?}, {place}: the fault happened");
        // The builder repeats some uploads by itself.
        let repeated = log(&report).contains("(attempt 2)");
        assert!(repeated || count > 1, "{engine:?}, {place}: {}", log(&report));
        assert_eq!(images(&report).iter().filter(|image| image["pushed"] == true).count(), 4, "{engine:?}, {place}");
    }
}

#[tokio::test]
async fn several_platforms_are_built_upon_the_same_ones() {
    let run = Run::new(
        Engine::C8d,
        &[
            (
                "compose.yaml",
                "services:\n  app: {build: {context: app, platforms: [linux/amd64, linux/arm64], additional_contexts: {base: 'service:base'}}}\n  \
                 base: {build: {context: base, platforms: [linux/amd64, linux/arm64]}}\n",
            ),
            ("app/Dockerfile", "FROM base\nCOPY Dockerfile /app\n"),
            (
                "base/Dockerfile",
                "FROM --platform=$BUILDPLATFORM busybox:1.36 AS build\nARG TARGETARCH\nCOPY stamp /\nRUN echo $TARGETARCH >/arch\n\
                 FROM scratch\nCOPY --from=build /arch /\n",
            ),
        ],
    );
    run.write("base/stamp", &run.repository);
    run.expect(0).await;
    for architecture in ["amd64", "arm64"] {
        let layers = |name: &str| {
            let reference = format!("{}:main", run.image(name));
            let index = lab::manifest(&reference);
            let mut children = index["manifests"].as_array().unwrap().iter();
            let child = children.find(|child| child["platform"]["architecture"] == architecture).unwrap();
            lab::layers(&format!("{}@{}", run.image(name), child["digest"].as_str().unwrap()))
        };
        assert_eq!(layers("app")[0], layers("base")[0], "{architecture}");
        assert_eq!(layers("app").len(), 2);
    }
}

#[tokio::test]
async fn an_input_names_an_image_of_the_run_as_a_context() {
    let run = Run::new(
        Engine::C8d,
        &[
            ("base/Dockerfile", "FROM busybox:1.36\nCOPY stamp /stamp\n"),
            ("app/Dockerfile", "FROM busybox:1.36\nCOPY --from=shared /stamp /copied\n"),
        ],
    )
    .with("images", "- {name: app, context: app}\n- {name: base, context: base}")
    .with("build-contexts", "shared=target:base");
    run.write("base/stamp", &run.repository);
    run.expect(0).await;
    assert_eq!(lab::files_below(&format!("{}:main", run.image("app")), "copied"), Vec::<String>::new());
    assert_eq!(lab::layers(&format!("{}:main", run.image("app"))).len(), 2);
}

#[tokio::test]
async fn contexts_of_every_other_kind() {
    let other = Run::new(Engine::C8d, &[("Dockerfile", "FROM busybox:1.36\nCOPY stamp /image-context\n")]);
    other.write("stamp", &other.repository);
    other.expect(0).await;
    for engine in [Engine::C8d, Engine::Classic] {
        let run = Run::new(
            engine,
            &[
                ("Dockerfile", "FROM other AS start\nFROM busybox:1.36\nCOPY --from=start /image-context /one\nCOPY --from=here /two /two\nRUN cat /one /two\n"),
                ("somewhere/two", "two"),
                ("somewhere/.dockerignore", "ignored"),
            ],
        )
        .with("build-contexts", &format!("other=docker-image://{}/{}:main\nhere=./somewhere", lab::plain(), other.repository));
        let report = run.expect(0).await;
        assert!(log(&report).contains(&other.repository), "{engine:?}: {}", log(&report));
    }
}

#[tokio::test]
async fn an_old_engine_says_that_it_knows_no_named_contexts() {
    let run = chain(Engine::Old);
    let report = run.expect(1).await;
    let error = the_error(&report);
    assert!(error.message.contains("requires Docker 23"), "{error:?}");
}

#[tokio::test]
async fn a_circle_is_an_error() {
    let run = chain(Engine::C8d);
    run.write(
        "compose.yaml",
        &COMPOSE.replace("build: {context: base}", "build: {context: base, additional_contexts: {x: 'service:app'}}"),
    );
    let report = run.expect(2).await;
    assert!(the_error(&report).message.contains("is circular"), "{}", log(&report));
}
