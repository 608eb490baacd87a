//! Tags move last and together, on real engines.

use http::{Method, StatusCode};
use serde_json::Value;

use crate::{
    lab::{self, Engine},
    proxy::{Fate, Proxy, Seen},
    run::{BASE, Run, images, log, the_error},
};

const COMPOSE: &str = "\
services:
  web:
    build: {context: ., dockerfile: web/Dockerfile}
  docs:
    build: {context: ., dockerfile: docs/Dockerfile}
";

/// Two images; `docs` runs `command` at its end.
fn two(engine: Engine, registry: &str, command: &str) -> Run {
    let docs = format!("{BASE}COPY stamp /\nRUN {command}\n");
    let run = Run::new(
        engine,
        &[("compose.yaml", COMPOSE), ("web/Dockerfile", &format!("{BASE}COPY stamp /\n")), ("docs/Dockerfile", &docs)],
    );
    run.write("stamp", &run.repository);
    run.with("registry", registry)
}

/// Where a tag of an image points, if it exists.
fn pointed(run: &Run, image: &str, tag: &str) -> Option<String> {
    let reference = format!("{}/{}/{image}", lab::plain(), run.repository);
    let tags = lab::crane(&["ls", &reference]);
    tags.lines().any(|one| one == tag).then(|| lab::crane(&["digest", &format!("{reference}:{tag}")]))
}

fn is_tag(seen: &Seen, image: &str, tag: &str) -> bool {
    seen.method == Method::PUT && seen.path.ends_with(&format!("{image}/manifests/{tag}"))
}

#[tokio::test]
async fn an_image_that_fails_late_leaves_the_tags_of_the_others_alone() {
    for engine in Engine::ALL {
        let run = two(engine, &lab::plain(), "true");
        run.expect(0).await;
        let before = pointed(&run, "web", "latest");
        assert!(before.is_some(), "{engine:?}");
        // Another `web`, and a `docs` that fails when `web` has long been ready.
        run.write("stamp", "new");
        run.write("docs/Dockerfile", &format!("{BASE}COPY stamp /\nRUN sleep 3 && exit 7\n"));
        let report = run.expect(1).await;
        for tag in ["main", "latest"] {
            assert_eq!(pointed(&run, "web", tag), before, "{engine:?}: {tag} moved\n{}", log(&report));
        }
        assert_eq!(report.outputs["tags"], "", "{engine:?}");
        let web = &images(&report)[0];
        assert_eq!((&web["pushed"], &web["tags"]), (&Value::Bool(false), &Value::Array(Vec::new())), "{engine:?}");
        assert!(report.summary.contains("built, not published"), "{engine:?}: {}", report.summary);
    }
}

#[tokio::test]
async fn a_registry_that_refuses_a_tag_gets_the_others_back() {
    for engine in Engine::ALL {
        // The first run may move it, the second may not.
        let is_latest = |seen: &Seen| is_tag(seen, "docs", "latest");
        let proxy = Proxy::start(move |seen, before| {
            let again = is_latest(seen) && before.iter().any(is_latest);
            if again { Fate::Answer(StatusCode::FORBIDDEN) } else { Fate::Pass }
        })
        .await;
        let run = two(engine, &proxy.host, "true");
        run.expect(0).await;
        let old = ["web", "docs"].map(|image| pointed(&run, image, "main").unwrap());
        run.write("stamp", "new");
        let report = run.expect(1).await;
        let error = the_error(&report);
        assert!(error.message.contains("refuses the push"), "{engine:?}: {error:?}");
        for (image, old) in ["web", "docs"].iter().zip(old) {
            for tag in ["main", "latest"] {
                assert_eq!(
                    pointed(&run, image, tag).as_ref(),
                    Some(&old),
                    "{engine:?}: {image}:{tag}\n{}",
                    log(&report)
                );
            }
        }
        for (tag, state) in [("web:main", "restored"), ("docs:main", "restored"), ("docs:latest", "not moved")] {
            let tag = tag.replace(':', "&#58;");
            let row = report.summary.lines().find(|line| line.contains(&tag) && line.contains(state));
            assert!(row.is_some(), "{engine:?}: {tag} {state}: {}", report.summary);
        }
        assert_eq!(report.outputs["tags"], "", "{engine:?}");
    }
}

#[tokio::test]
async fn unchanged_images_move_nothing() {
    let proxy = Proxy::start(|_, _| Fate::Pass).await;
    let run = two(Engine::C8d, &proxy.host, "true");
    run.expect(0).await;
    let puts = |proxy: &Proxy| proxy.count(|seen| seen.method == Method::PUT && seen.is_manifest());
    let before = puts(&proxy);
    let report = run.expect(0).await;
    assert_eq!(puts(&proxy), before, "{}", log(&report));
    assert_eq!(report.outputs["changed"], "false");
    assert_eq!(report.outputs["tags"].lines().count(), 6, "{}", report.outputs["tags"]);
}
