//! Tags move last and together, and the report is exact.

use serde_json::{Value, json};
use stand_ins::{
    engine::{Setup, Store},
    registry::{Fault, Seen},
};

use crate::run::{BASE, Run, World, images, log, the_error};

const COMPOSE: &str = "\
services:
  web:
    build: {context: ., dockerfile: web/Dockerfile}
  docs:
    build: {context: ., dockerfile: docs/Dockerfile}
";

fn setups() -> [Setup; 3] {
    [Setup::containerd(), Setup::classic(), Setup::old()]
}

/// Two images with different content in each version.
fn two(world: &World, version: &str) -> Run {
    let run = world.run(&[("compose.yaml", COMPOSE)]);
    next(&run, version);
    run
}

fn next(run: &Run, version: &str) {
    run.write("web/Dockerfile", &format!("{BASE}RUN echo web {version}\n"));
    run.write("docs/Dockerfile", &format!("{BASE}RUN echo docs {version}\n"));
}

#[tokio::test]
async fn later_steps_of_the_job_learn_the_images_and_the_post_stage_is_skipped() {
    for setup in setups() {
        let world = World::new(setup.clone()).await;
        let run = two(&world, "1");
        let report = run.expect(0).await;
        let images = images(&report);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let expected = images.iter().map(|image| (text(&image["repository"]), text(&image["digest"])));
        assert_eq!(report.artifacts, expected.collect(), "{setup:?}");
        assert!(!run.step.action.needs_post(&report.variables), "{setup:?}: {:?}", report.variables);
        next(&run, "2");
        run.write("docs/Dockerfile", &format!("{BASE}RUN exit 7\n"));
        let report = run.expect(1).await;
        assert!(report.artifacts.is_empty(), "{setup:?}: {:?}", report.artifacts);
        assert!(run.step.action.needs_post(&report.variables), "{setup:?}: {:?}", report.variables);
    }
}

#[tokio::test]
async fn an_image_that_fails_late_leaves_the_tags_of_the_others_alone() {
    for setup in setups() {
        let world = World::new(setup.clone()).await;
        let run = two(&world, "1");
        run.expect(0).await;
        let before = world.tagged("web", "latest");
        assert!(before.is_some(), "{setup:?}");
        next(&run, "2");
        run.write("docs/Dockerfile", &format!("{BASE}RUN sleep 1 && exit 7\n"));
        let report = run.expect(1).await;
        for tag in ["main", "latest"] {
            assert_eq!(world.tagged("web", tag), before, "{setup:?}: {tag} moved\n{}", log(&report));
        }
        assert_eq!(report.outputs["tags"], "", "{setup:?}");
        let web = &images(&report)[0];
        assert_eq!((&web["pushed"], &web["tags"]), (&json!(false), &json!([])), "{setup:?}");
        assert!(report.summary.contains("built, not published"), "{setup:?}: {}", report.summary);
    }
}

#[tokio::test]
async fn a_registry_that_refuses_the_third_of_six_tags_gets_the_others_back() {
    for setup in setups() {
        let third =
            |seen: &Seen| seen.method == "PUT" && seen.repository.ends_with("/web") && seen.reference == "sha-0123456";
        let world = World::registry(setup.clone(), move |seen, _| third(seen).then_some(Fault::Status(403))).await;
        let tags = "type=ref,event=branch\ntype=raw,value=latest";
        let run = two(&world, "1").with("tags", tags);
        run.expect(0).await;
        let old = ["web", "docs"].map(|image| world.tagged(image, "main"));
        next(&run, "2");
        let report = run.with("tags", &format!("{tags}\ntype=sha")).expect(1).await;
        assert!(the_error(&report).message.contains("refuses the push"), "{setup:?}: {}", log(&report));
        for (image, old) in ["web", "docs"].iter().zip(old) {
            for tag in ["main", "latest"] {
                assert_eq!(world.tagged(image, tag), old, "{setup:?}: {image}:{tag}\n{}", log(&report));
            }
        }
        assert_eq!(world.tagged("web", "sha-0123456"), None, "{setup:?}");
        // The engine uploads with the tag that did not exist yet, so that no other has moved by then.
        let others = if setup.store == Store::Containerd { "restored" } else { "not moved" };
        for (tag, state) in [("web:main", others), ("docs:latest", others), ("web:sha-0123456", "not moved")] {
            let tag = tag.replace(':', "&#58;");
            let row = report.summary.lines().find(|line| line.contains(&tag) && line.contains(state));
            assert!(row.is_some(), "{setup:?}: {tag} {state}: {}", report.summary);
        }
        assert_eq!(report.outputs["tags"].lines().filter(|tag| !tag.contains("docs:sha-")).count(), 0, "{setup:?}");
    }
}

#[tokio::test]
async fn unchanged_images_move_nothing() {
    let world = World::new(Setup::containerd()).await;
    let run = two(&world, "1");
    run.expect(0).await;
    let tag_puts = || world.registry.count_of(|seen| seen.method == "PUT" && !seen.reference.starts_with("sha256:"));
    let before = tag_puts();
    let report = run.expect(0).await;
    assert_eq!(tag_puts(), before, "{}", log(&report));
    assert_eq!(report.outputs["changed"], "false");
}

#[tokio::test]
async fn a_registry_that_is_busy_is_asked_again_when_it_says() {
    let world = World::registry(Setup::containerd(), |seen, before| {
        let first = seen.method == "PUT" && seen.reference == "latest" && before == 0;
        first.then_some(Fault::Busy(429, 1))
    })
    .await;
    let report = world.run(&[("Dockerfile", BASE)]).expect(0).await;
    assert!(log(&report).contains("attempt 2"), "{}", log(&report));
    assert_eq!(world.tagged("", "latest").as_ref(), Some(&report.outputs["digest"]));
}
