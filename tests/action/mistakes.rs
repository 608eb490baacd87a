//! What users get wrong, and the words that they need.

use std::fs;

use crate::{
    lab::{self, Engine},
    run::{BASE, Run, images, log, the_error},
};

const ONE: &str = "services:\n  django: {build: .}\n";

#[tokio::test]
async fn a_mistake_is_told_in_words_that_help() {
    /// Files, inputs, exit status, words.
    type Mistake<'a> = (&'a [(&'a str, &'a str)], &'a [(&'a str, &'a str)], i32, &'a [&'a str]);
    let cases: &[Mistake<'_>] = &[
        (&[], &[], 2, &["the workspace is empty", "actions/checkout"]),
        (&[("README.md", "")], &[], 2, &["compose"]),
        (&[("compose.yaml", ONE)], &[("compose-file", "prod.yml")], 2, &["prod.yml"]),
        (&[("compose.yaml", ONE), ("Dockerfile", BASE)], &[("services", "djagno")], 2, &["djagno", "django"]),
        (&[("compose.yaml", ONE)], &[], 2, &["the Dockerfile Dockerfile does not exist"]),
        (
            &[("compose.yaml", "services:\n  django: {build: ./web}\n")],
            &[],
            2,
            &["the build context web is not a directory"],
        ),
        (&[("Dockerfile", BASE)], &[("working-directory", "web")], 2, &["web does not exist", "`working-directory`"]),
        (&[("Dockerfile", BASE)], &[("usrename", "x")], 2, &["usrename", "username"]),
        (&[("Dockerfile", BASE)], &[("secret-files", "token=nowhere.txt")], 2, &["token", "nowhere.txt"]),
    ];
    for (files, inputs, status, words) in cases {
        let run = inputs.iter().fold(Run::new(Engine::C8d, files), |run, (name, value)| run.with(name, value));
        let report = run.expect(*status).await;
        let errors: Vec<String> = report.console.of_kind("error").map(|error| error.message.clone()).collect();
        for word in *words {
            assert!(errors.iter().any(|error| error.contains(word)), "{word}: {errors:?}\n{}", log(&report));
        }
        let catalog = lab::crane(&["catalog", &lab::plain()]);
        assert!(!catalog.contains(&run.repository), "nothing was started");
    }
}

#[tokio::test]
async fn yaml_that_does_not_parse_is_annotated_on_its_line() {
    let broken = "services:\n  django:\n    build: .\n   image: x\n";
    let run = Run::new(Engine::C8d, &[("site/compose.yaml", broken), ("site/Dockerfile", BASE)])
        .with("working-directory", "site");
    let report = run.expect(2).await;
    let error = the_error(&report);
    assert_eq!((error.property("file"), error.property("line")), (Some("site/compose.yaml"), Some("4")), "{error:?}");
    assert!(error.message.contains("compose.yaml:4:"), "line and column: {error:?}");
}

#[tokio::test]
async fn all_mistakes_are_told_together() {
    let run = Run::new(Engine::C8d, &[("Dockerfile", BASE)])
        .with("push", "perhaps")
        .with("timeout", "soon")
        .with("regstry", "x");
    let report = run.expect(2).await;
    let log = log(&report);
    for word in ["push", "perhaps", "timeout", "soon", "regstry"] {
        assert!(log.contains(word), "{word}:\n{log}");
    }
    assert!(report.console.of_kind("error").count() >= 3, "{log}");
}

#[tokio::test]
async fn without_an_engine_it_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    for (mounted, words) in [(directory.path().to_owned(), "is a directory"), (file, "is not a socket")] {
        let mut run = Run::new(Engine::C8d, &[("Dockerfile", BASE)]);
        run.machine.mounted_socket = mounted;
        let report = run.expect(1).await;
        let error = the_error(&report);
        assert!(error.message.contains(words), "{error:?}");
        assert!(error.message.contains("ubuntu-latest"), "{error:?}");
    }
}

#[tokio::test]
async fn a_socket_that_nobody_listens_on_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let mut run = Run::new(Engine::C8d, &[("Dockerfile", BASE)]);
    run.machine.mounted_socket = path;
    let report = run.expect(1).await;
    let error = the_error(&report);
    assert!(error.message.contains("check that Docker is running"), "{error:?}");
}

#[tokio::test]
async fn a_dead_docker_host_gives_way_to_the_mounted_socket() {
    let run = Run::new(Engine::C8d, &[("Dockerfile", BASE)]).with("push", "false").env("INPUT_X", "");
    let mut run = run;
    run.step.with.remove("INPUT_X");
    run.step.github.insert("DOCKER_HOST".into(), "unix:///run/user/1001/docker.sock".into());
    run.expect(0).await;
}

#[tokio::test]
async fn a_pull_request_is_built_and_not_pushed() {
    for event in ["pull_request", "pull_request_fork"] {
        let run = Run::new(Engine::C8d, &[("Dockerfile", BASE)]).event(event).with("username", "").with("password", "");
        let report = run.expect(0).await;
        assert_eq!(images(&report)[0]["pushed"], false);
        assert!(!lab::crane(&["catalog", &lab::plain()]).contains(&run.repository), "{event}");
        assert!(report.outputs["version"].starts_with("pr-"), "{}", report.outputs["version"]);
    }
}

#[tokio::test]
async fn a_pull_request_is_pushed_where_that_is_asked_for() {
    let run = Run::new(Engine::C8d, &[("Dockerfile", BASE)]).event("pull_request").with("push", "true");
    let report = run.expect(0).await;
    let reference = format!("{}/{}:{}", lab::plain(), run.repository, report.outputs["version"]);
    assert_eq!(lab::crane(&["digest", &reference]), report.outputs["digest"]);
}
