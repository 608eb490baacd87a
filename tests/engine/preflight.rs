//! What is found out before anything is built.

use std::{
    fs::Permissions,
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use http::Method;
use serde_json::json;
use stand_ins::engine::{Fault, Seen, Setup};
use tokio::process::Command;

use crate::run::{BASE, World, log, the_error};

#[tokio::test]
async fn without_an_engine_it_says_so() {
    let world = World::new(Setup::containerd()).await;
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::create_dir(at("directory")).unwrap();
    std::fs::write(at("file"), "").unwrap();
    drop(UnixListener::bind(at("dead")).unwrap());
    for (name, words) in [("directory", "is a directory"), ("file", "socket"), ("dead", "Docker")] {
        let mut run = world.run(&[("Dockerfile", BASE)]);
        run.machine.mounted_socket = at(name);
        let report = run.expect(1).await;
        let error = the_error(&report);
        assert!(error.message.contains(words), "{name}: {error:?}");
    }
    assert_eq!(world.engine.count(|_| true), 0, "the other engine is left alone");
}

#[tokio::test]
async fn an_engine_that_takes_connections_and_says_nothing_is_told() {
    let world = World::engine(Setup::containerd(), |_, _| Some(Fault::Stall)).await;
    let began = Instant::now();
    let report = world.run(&[("Dockerfile", BASE)]).expect(1).await;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert!(the_error(&report).message.contains("did not answer within"), "{}", log(&report));
}

#[tokio::test]
async fn an_engine_without_buildkit_is_told() {
    let world = World::engine(Setup::old(), |seen, _| {
        (*seen == Seen::call(Method::POST, "/grpc")).then(|| Fault::Answer(404, "page not found".into()))
    })
    .await;
    let report = world.run(&[("Dockerfile", BASE)]).expect(1).await;
    let error = the_error(&report);
    assert!(error.message.contains("404") && error.message.contains("BuildKit"), "{error:?}");
}

#[tokio::test]
async fn a_login_that_the_registry_refuses_ends_a_long_build_at_once() {
    for setup in [Setup::containerd(), Setup::classic()] {
        let world = World::new(setup.clone()).await;
        world.registry.require("ci", "right");
        let run = world.run(&[("Dockerfile", &format!("{BASE}RUN sleep infinity\n"))]);
        let run = run.with("username", "ci").with("password", "wr0ng-canary").secret("wr0ng-canary");
        let began = Instant::now();
        let report = run.expect(1).await;
        assert!(began.elapsed() < Duration::from_secs(10), "{setup:?}: {:?}", began.elapsed());
        let error = the_error(&report);
        for words in [&*world.registry.host, "does not accept the credentials", "`username`", "`password`"] {
            assert!(error.message.contains(words), "{setup:?}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_login_is_used_for_the_upload_and_for_the_tags() {
    for setup in [Setup::containerd(), Setup::classic()] {
        let world = World::new(setup.clone()).await;
        world.registry.require("ci", "s3cret-canary");
        let run = world.run(&[("Dockerfile", BASE)]);
        let run = run.with("username", "ci").with("password", "s3cret-canary").secret("s3cret-canary");
        let report = run.expect(0).await;
        assert_eq!(world.tagged("", "latest").as_ref(), Some(&report.outputs["digest"]), "{setup:?}: {}", log(&report));
    }
}

#[tokio::test]
async fn on_a_laptop_a_credential_helper_has_the_login() {
    let world = World::new(Setup::containerd()).await;
    world.registry.require("ci", "s3cret-canary");
    let run = world.run(&[("Dockerfile", BASE)]);
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    std::fs::create_dir(at(".docker")).unwrap();
    let host = &world.registry.host;
    // Left from before there was a helper.
    let stale = BASE64.encode("ci:stale-canary");
    let config = json!({"auths": {format!("https://{host}"): {"auth": stale}}, "credsStore": "test"}).to_string();
    std::fs::write(at(".docker/config.json"), config).unwrap();
    let answer = r#"{"ServerURL": "x", "Username": "ci", "Secret": "s3cret-canary"}"#;
    let script = format!(
        "#!/bin/sh\nread -r server\n[ \"$server\" = {host} ] && echo '{answer}' && exit\n\
         echo 'credentials not found in native keychain'; exit 1\n"
    );
    std::fs::write(at("docker-credential-test"), script).unwrap();
    std::fs::set_permissions(at("docker-credential-test"), Permissions::from_mode(0o755)).unwrap();
    let program = || {
        let mut program = Command::new(env!("CARGO_BIN_EXE_build-deploy"));
        program.args(["--image-name", "{registry}/acme/shop", "--tags", "v1", "--registry", host]);
        program.current_dir(&run.step.workspace).env_clear().env("HOME", home.path());
        program.env("DOCKER_HOST", format!("unix://{}", run.machine.socket.display()));
        program
    };
    let path = format!("{}:/usr/bin:/bin", home.path().display());
    let done = program().env("PATH", path).output().await.unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && !text.contains("canary"), "{text}");
    assert!(world.tagged("", "v1").is_some(), "{text}");

    std::fs::write(at(".docker/config.json"), r#"{"credsStore": "test"}"#).unwrap();
    let without = program().env("PATH", "/usr/bin:/bin").output().await.unwrap();
    let text = String::from_utf8_lossy(&without.stdout);
    let warning = format!("the credential helper `docker-credential-test` for {host}, docker.io in ");
    assert!(!without.status.success() && text.contains(&warning) && text.contains("was not found"), "{text}");
}

#[tokio::test]
async fn without_a_login_it_says_that_there_is_none() {
    let world = World::new(Setup::containerd()).await;
    world.registry.require("ci", "s3cret");
    let report = world.run(&[("Dockerfile", BASE)]).expect(1).await;
    let error = the_error(&report);
    for words in [&*world.registry.host, "`username`"] {
        assert!(error.message.contains(words), "{error:?}");
    }
}

#[tokio::test]
async fn an_engine_that_cannot_try_a_login_does_not_stop_the_run() {
    let world = World::engine(Setup::containerd(), |seen, _| {
        let words = "Get \"https://x/v2/\": dial tcp: connect: connection refused";
        (*seen == Seen::call(Method::POST, "/auth")).then(|| Fault::Answer(500, words.into()))
    })
    .await;
    let run = world.run(&[("Dockerfile", BASE)]).with("username", "ci").with("password", "s3cret-canary");
    run.expect(0).await;
}
