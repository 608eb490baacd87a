//! A Dockerfile that does not build: what people see of it.

use crate::{
    lab::Engine,
    run::{Run, log, the_error},
};

const COMPOSE: &str = "\
services:
  django:
    build: {context: app, dockerfile: ../docker/django/Dockerfile}
  docs:
    build: {context: ., dockerfile: docker/docs/Dockerfile}
";
const BROKEN: &str = "\
FROM busybox:1.36
COPY . /app
# A comment, and an instruction of several lines.
RUN echo installing && \\
    echo no matching distribution && \\
    exit 7
CMD x
";

fn broken(engine: Engine, below: &str) -> Run {
    let at = |path: &str| if below == "." { path.to_owned() } else { format!("{below}/{path}") };
    let run = Run::new(
        engine,
        &[
            (&at("compose.yaml"), COMPOSE),
            (&at("docker/django/Dockerfile"), BROKEN),
            (&at("docker/docs/Dockerfile"), "FROM busybox:1.36\nRUN echo docs\n"),
        ],
    );
    run.write(&at("app/stamp"), &run.repository);
    run.with("working-directory", below)
}

#[tokio::test]
async fn a_failing_instruction_is_named_with_file_line_and_output() {
    for engine in Engine::ALL {
        for below in [".", "sites/one"] {
            let run = broken(engine, below);
            let report = run.expect(1).await;
            let error = the_error(&report);
            let file = if below == "." {
                "docker/django/Dockerfile".to_owned()
            } else {
                format!("{below}/docker/django/Dockerfile")
            };
            let properties = ["file", "line", "endLine"].map(|name| error.property(name).unwrap_or_default());
            assert_eq!(properties, [&file, "4", "6"], "{engine:?}: {}", log(&report));
            assert!(error.message.contains("exit code 7"), "{error:?}");
            assert!(error.message.contains("echo no matching distribution"), "{error:?}");
            let log = log(&report);
            let (_, after) = log.rsplit_once("##[endgroup]").unwrap();
            for text in [format!("{file}:4"), "│ no matching distribution".into(), "exit code 7".into()] {
                assert!(after.contains(&text), "{engine:?}: {text} is not after the groups:\n{log}");
            }
            assert!(report.summary.contains("❌") && report.summary.contains("no matching distribution"));
            assert_eq!(report.outputs["result"], "failure");
        }
    }
}

#[tokio::test]
async fn a_dockerfile_that_does_not_parse_is_named_with_its_line() {
    for engine in Engine::ALL {
        let run = Run::new(engine, &[("web/Dockerfile", "FROM busybox:1.36\n\nRUM echo\n")])
            .with("images", "- {name: web, context: web}");
        let report = run.expect(1).await;
        let error = the_error(&report);
        assert_eq!(
            (error.property("file"), error.property("line")),
            (Some("web/Dockerfile"), Some("3")),
            "{engine:?}: {error:?}"
        );
        assert!(error.message.contains("unknown instruction: RUM"), "{engine:?}: {error:?}");
    }
}

#[tokio::test]
async fn what_is_missing_is_named() {
    for engine in Engine::ALL {
        for (dockerfile, line, words) in [
            (
                "FROM 10.213.0.1:5000/nobody/nothing:1\n",
                "1",
                "base image 10.213.0.1:5000/nobody/nothing:1 does not exist",
            ),
            ("FROM busybox:1.36\nCOPY missing.txt /\n", "2", "missing.txt"),
            ("FROM busybox:1.36\nRUN --mount=type=secret,id=token,required=true true\n", "2", "`secrets`"),
        ] {
            let run = Run::new(engine, &[("Dockerfile", dockerfile)]);
            let report = run.expect(1).await;
            let error = the_error(&report);
            assert!(error.message.contains(words), "{engine:?}: {error:?}");
            assert_eq!(
                (error.property("file"), error.property("line")),
                (Some("Dockerfile"), Some(line)),
                "{engine:?}: {error:?}"
            );
        }
    }
}
