//! Images that are built upon other images of the run, through BuildKit's gateway.

use stand_ins::engine::{BuildEnd, Setup};

use crate::run::{Run, World, images, log, the_error};

const COMPOSE: &str = "\
services:
  app:
    build: {context: app, additional_contexts: {base: 'service:base'}}
  base:
    build: {context: base}
";

fn chain(world: &World) -> Run {
    world.run(&[
        ("compose.yaml", COMPOSE),
        ("app/Dockerfile", "FROM base\nRUN echo on top\n"),
        ("base/Dockerfile", "FROM busybox:1.36\nRUN echo below\n"),
    ])
}

#[tokio::test]
async fn a_base_is_built_once_and_told_once() {
    let world = World::new(Setup::containerd()).await;
    let report = chain(&world).expect(0).await;
    let steps: Vec<_> = images(&report).iter().map(|image| image["steps"].clone()).collect();
    assert_eq!(steps, [1, 1], "{}", log(&report));
    assert!(world.tagged("app", "main").is_some() && world.tagged("base", "main").is_some());
}

#[tokio::test]
async fn the_image_that_fails_is_the_one_that_is_told() {
    for (broken, text) in [("base", "FROM busybox:1.36\n\nRUN exit 9\n"), ("app", "FROM base\n\nRUN exit 9\n")] {
        let world = World::new(Setup::containerd()).await;
        let run = chain(&world);
        let file = format!("{broken}/Dockerfile");
        run.write(&file, text);
        let report = run.expect(1).await;
        let error = the_error(&report);
        assert_eq!((error.property("file"), error.property("line")), (Some(file.as_str()), Some("3")), "{error:?}");
        assert!(error.property("title").unwrap().contains(broken), "{error:?}");
        let done = world.engine.builds().into_iter().filter(|build| build.end == Some(BuildEnd::Done)).count();
        assert_eq!(done, 0, "{broken}");
    }
}
