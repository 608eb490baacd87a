//! What a project becomes: images, digests, outputs, and what `plan` says of it.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    lab::{self, Engine},
    run::{BASE, Run, groups, images, log},
};

/// A compose project as cookiecutter-django lays it out.
const COMPOSE: &str = "\
services:
  django: &django
    build:
      context: .
      dockerfile: ./compose/django/Dockerfile
    image: site_django
    env_file: [./.envs/.production/.django]
    command: /start
  celeryworker:
    <<: *django
    image: site_celeryworker
    command: /start-celeryworker
  docs:
    image: site_docs
    build:
      context: .
      dockerfile: compose/docs/Dockerfile
  redis:
    image: redis:7
";

fn project(engine: Engine) -> Run {
    Run::new(
        engine,
        &[
            ("docker-compose.production.yml", COMPOSE),
            ("compose/django/Dockerfile", &format!("{BASE}COPY app /app\nRUN echo django {}\n", engine_word(engine))),
            ("compose/docs/Dockerfile", &format!("{BASE}COPY app /docs\n")),
            ("app/main.py", "print('hello')\n"),
        ],
    )
}

fn engine_word(engine: Engine) -> String {
    format!("{engine:?}")
}

async fn happy(engine: Engine, registry: &str) {
    let run = project(engine).with("registry", registry);
    let report = run.expect(0).await;
    let repository = |name: &str| run.image(name);
    let made = images(&report);
    assert_eq!(made.len(), 2);
    assert_eq!(made[0]["name"], "django");
    assert_eq!(made[0]["services"], json!(["django", "celeryworker"]));
    assert_eq!(
        made[0]["tags"],
        json!(["main", "sha-0123456", "latest"].map(|t| format!("{}:{t}", repository("django"))))
    );
    assert_eq!(made[1]["name"], "docs");
    let digests: Value = serde_json::from_str(&report.outputs["digests"]).unwrap();
    for image in &made {
        let name = image["name"].as_str().unwrap();
        assert_eq!(digests[name], image["digest"]);
        assert_eq!((&image["pushed"], &image["changed"]), (&json!(true), &json!(true)));
        if registry == lab::plain() {
            for tag in image["tags"].as_array().unwrap() {
                assert_eq!(lab::crane(&["digest", tag.as_str().unwrap()]), image["digest"].as_str().unwrap());
            }
        } else {
            // Only the engine reaches its own localhost.
            run.engine.docker(&["pull", "-q", image["ref"].as_str().unwrap()]);
            run.engine.docker(&["rmi", "-f", image["ref"].as_str().unwrap()]);
        }
    }
    assert_eq!(report.outputs["digest"], digests["django"].as_str().unwrap());
    assert_eq!(report.outputs["ref"], format!("{}@{}", repository("django"), report.outputs["digest"]));
    assert_eq!(report.outputs["version"], "main");
    assert_eq!((report.outputs["result"].as_str(), report.outputs["changed"].as_str()), ("success", "true"));
    assert_eq!(
        report.outputs["run-url"],
        "https://github.com/".to_owned() + &run.repository + "/actions/runs/1/attempts/1"
    );
    let mut titles = groups(&report);
    titles.sort_unstable();
    assert_eq!(titles, ["django", "docs"], "one group an image:\n{}", log(&report));
    assert_eq!(report.console.of_kind("error").count(), 0);
    assert!(report.summary.contains("| Image | Services | Tags |"), "{}", report.summary);
    assert!(report.summary.contains(report.outputs["digest"].trim_start_matches("sha256:").get(..12).unwrap()));
}

#[tokio::test]
async fn builds_and_pushes_with_the_containerd_store() {
    happy(Engine::C8d, &lab::plain()).await;
}

#[tokio::test]
async fn builds_and_pushes_with_the_classic_store() {
    happy(Engine::Classic, &lab::plain()).await;
}

#[tokio::test]
async fn builds_and_pushes_with_an_old_engine() {
    happy(Engine::Old, &lab::plain()).await;
}

#[tokio::test]
async fn pushes_to_a_registry_that_only_the_engine_reaches() {
    for engine in Engine::ALL {
        happy(engine, "localhost:5000").await;
    }
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_says_so() {
    for engine in Engine::ALL {
        let run = project(engine);
        let first = run.expect(0).await;
        let second = run.expect(0).await;
        let of = |report, key: &str| images(report).into_iter().map(|image| image[key].clone()).collect::<Vec<_>>();
        assert_eq!(of(&first, "digest"), of(&second, "digest"), "{engine:?}");
        assert_eq!(second.outputs["changed"], "false");
        for image in images(&second) {
            assert_eq!(image["cached"], image["steps"], "{engine:?}: {}", log(&second));
        }
    }
}

#[tokio::test]
async fn a_lone_dockerfile_is_an_image() {
    let run = Run::new(Engine::C8d, &[("Dockerfile", BASE)]);
    let report = run.expect(0).await;
    let reference = format!("{}/{}:main", lab::plain(), run.repository);
    assert_eq!(lab::crane(&["digest", &reference]), report.outputs["digest"]);
}

#[tokio::test]
async fn ignore_files_keep_what_they_name_out() {
    for engine in Engine::ALL {
        let run = Run::new(
            engine,
            &[
                (
                    "compose.yaml",
                    "services:\n  one: {build: {context: ., dockerfile: one.Dockerfile}}\n  \
                     two: {build: {context: ., dockerfile: two.Dockerfile}}\n",
                ),
                (".dockerignore", "*.log\nsecret\n!keep.log\n"),
                ("one.Dockerfile", "FROM busybox:1.36\nCOPY . /src\n"),
                ("two.Dockerfile", "FROM busybox:1.36\nCOPY . /src\n"),
                ("two.Dockerfile.dockerignore", "*\n!only.txt\n"),
                ("a.log", ""),
                ("keep.log", ""),
                ("only.txt", ""),
                ("secret/key", ""),
            ],
        );
        run.expect(0).await;
        let files = |name: &str| lab::files_below(&format!("{}:main", run.image(name)), "src");
        let one = [
            ".dockerignore",
            "compose.yaml",
            "keep.log",
            "one.Dockerfile",
            "only.txt",
            "two.Dockerfile",
            "two.Dockerfile.dockerignore",
        ];
        assert_eq!(files("one"), one, "{engine:?}");
        assert_eq!(files("two"), ["only.txt"], "{engine:?}");
    }
}

#[tokio::test]
async fn inline_dockerfiles_targets_and_arguments_reach_the_build() {
    for engine in Engine::ALL {
        let run = Run::new(
            engine,
            &[
                (
                    "compose.yaml",
                    "services:\n  inline:\n    build:\n      context: .\n      dockerfile_inline: |\n        \
                     FROM busybox:1.36\n        COPY file /file\n  staged:\n    build:\n      context: .\n      \
                     target: middle\n      args: {FROM_FILE: a, OVERRIDDEN: a}\n",
                ),
                (
                    "Dockerfile",
                    "FROM busybox:1.36 AS middle\nARG FROM_FILE\nARG OVERRIDDEN\nARG BARE\n\
                     ENV SEEN=$FROM_FILE-$OVERRIDDEN-$BARE\nFROM middle\nENV LAST=yes\n",
                ),
                ("file", "x"),
            ],
        )
        .with("build-args", "OVERRIDDEN=b\nBARE\n")
        .env("BARE", "c");
        run.expect(0).await;
        let config = lab::image_config(&format!("{}:main", run.image("staged")));
        let env = config["config"]["Env"].as_array().unwrap();
        assert!(env.contains(&json!("SEEN=a-b-c")), "{engine:?}: {env:?}");
        assert!(!env.contains(&json!("LAST=yes")), "{engine:?}");
        lab::crane(&["digest", &format!("{}:main", run.image("inline"))]);
    }
}

#[tokio::test]
async fn without_a_push_nothing_is_in_the_registry() {
    for (input, value) in [("push", "false"), ("dry-run", "true")] {
        let run = project(Engine::C8d).with(input, value);
        let report = run.expect(0).await;
        for image in images(&report) {
            assert_eq!(image["pushed"], false);
        }
        let catalog = lab::crane(&["catalog", &lab::plain()]);
        assert!(!catalog.contains(&run.repository), "{input}");
    }
}

#[tokio::test]
async fn load_leaves_the_image_in_the_engine() {
    for engine in Engine::ALL {
        for push in ["false", "true"] {
            let run = project(engine).with("load", "true").with("push", push);
            let report = run.expect(0).await;
            let reference = format!("{}:main", run.image("docs"));
            let found = engine.docker(&["image", "inspect", "-f", "{{.Id}}", &reference]);
            assert!(found.starts_with("sha256:"), "{engine:?}, push {push}: {}", log(&report));
            for image in images(&report) {
                for tag in image["tags"].as_array().unwrap() {
                    engine.docker(&["rmi", "-f", tag.as_str().unwrap()]);
                }
            }
        }
    }
}

/// The CI job of a project made with cookiecutter-django: build, then run the tests in the built image.
#[tokio::test]
async fn compose_runs_a_loaded_image_without_building_it() {
    for engine in [Engine::C8d, Engine::Classic] {
        let compose = "services:\n  django: &django\n    build: .\n    image: NAME_local_django\n    command: cat /stamp\n  \
                       worker:\n    <<: *django\n    image: NAME_local_worker\n  plain:\n    build: {context: ., target: other}\n    \
                       command: cat /other\n";
        let dockerfile = format!("FROM busybox:1.36 AS other\nCOPY stamp /other\n{BASE}COPY stamp /stamp\n");
        let run = Run::new(engine, &[("Dockerfile", &dockerfile)]);
        let name = run.repository.replace("ci/", "p");
        run.write("stamp", &run.repository);
        run.write("compose.yaml", &compose.replace("NAME", &name));
        // The runner's host has the checkout in a directory named after the repository.
        let run = run.env("RUNNER_WORKSPACE", "/home/runner/work/repo");
        let run = run.with("load", "true").with("push", "false").with("compose-file", "compose.yaml");
        let report = run.expect(0).await;
        assert!(log(&report).contains(&format!("loaded as {}:main", run.image("django"))), "{}", log(&report));
        assert!(report.summary.contains(&format!("{name}_local_worker")), "{}", report.summary);
        // A build would fail now.
        std::fs::remove_file(run.path("Dockerfile")).unwrap();
        let project = run.repository.trim_start_matches("ci/");
        for service in ["django", "worker", "plain"] {
            let file = run.path("compose.yaml");
            let mut command = engine.command(&["compose", "-p", project, "-f", file.to_str().unwrap()]);
            command.args(["run", "--rm", "--pull", "never", "--quiet-build", service]);
            assert_eq!(lab::stdout(&mut command), run.repository, "{engine:?} {service}");
        }
        let mut down = engine.command(&["compose", "-p", project, "-f", run.path("compose.yaml").to_str().unwrap()]);
        lab::stdout(down.args(["down", "--rmi", "all"]));
    }
}

#[tokio::test]
async fn what_two_images_share_is_done_once() {
    for engine in Engine::ALL {
        let run = Run::new(
            engine,
            &[
                (
                    "compose.yaml",
                    "services:\n  one: {build: {context: ., target: one}}\n  two: {build: {context: ., target: two}}\n",
                ),
                (
                    "Dockerfile",
                    "FROM busybox:1.36 AS base\nCOPY stamp /stamp\nRUN head -c 64 /dev/urandom >/random\n\
                     FROM base AS one\nRUN echo one >/name\nFROM base AS two\nRUN echo two >/name\n",
                ),
            ],
        );
        run.write("stamp", &run.repository);
        run.expect(0).await;
        let [one, two] = ["one", "two"].map(|name| lab::layers(&format!("{}:main", run.image(name))));
        assert_eq!(one[..3], two[..3], "{engine:?}");
        assert_ne!(one, two);
    }
}

#[tokio::test]
async fn the_plan_is_printed_and_nothing_else_happens() {
    let run = project(Engine::C8d).with("command", "plan");
    let text = log(&run.expect(0).await);
    assert!(text.contains(&format!("django -> {}", run.image("django"))), "{text}");
    assert!(text.contains("services    django, celeryworker"), "{text}");
    assert!(!lab::crane(&["catalog", &lab::plain()]).contains(&run.repository));
}

/// The same Dockerfile, built by us and by buildx on the same engine.
#[tokio::test]
async fn the_image_is_what_buildx_makes_of_it() {
    let run = Run::new(
        Engine::C8d,
        &[
            (
                "Dockerfile",
                "FROM busybox:1.36\nARG A=1\nENV A=$A\nLABEL x=y\nWORKDIR /app\nCOPY . .\nRUN date >/date\n\
                 EXPOSE 80\nUSER 1000\nHEALTHCHECK CMD true\nCMD [\"sh\"]\n",
            ),
            ("data", "x"),
        ],
    );
    run.write("stamp", &run.repository);
    run.expect(0).await;
    let ours = format!("{}/{}:main", lab::plain(), run.repository);
    let theirs = format!("{}/{}:buildx", lab::plain(), run.repository);
    let context = run.step.workspace.display().to_string();
    let output = Command::new(lab::docker())
        .args(["buildx", "build", "--builder", "default", "--provenance=false", "--push", "-t", &theirs, &context])
        .env("DOCKER_HOST", format!("unix://{}", Engine::C8d.socket().display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(lab::layers(&ours), lab::layers(&theirs));
    let config = |reference: &str| {
        let mut config = lab::image_config(reference);
        // Ours has labels of the commit besides; the time is that of the configuration's making.
        config.as_object_mut().unwrap().remove("created");
        let labels = config["config"]["Labels"].as_object_mut().unwrap();
        labels.retain(|name, _| !name.starts_with("org.opencontainers."));
        config
    };
    assert_eq!(config(&ours), config(&theirs));
}
