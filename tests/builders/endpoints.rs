//! `builder: tcp://…`: endpoints with and without TLS, one and several.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    bridge::{Bridge, Certificates, unix},
    lab::{self, Engine, crane},
    run::{Run, fresh},
};

/// An address without an engine. With a path that does not exist, the program uses the usual socket, if this machine has one.
const NO_ENGINE: &str = "ssh://nowhere";

#[tokio::test]
async fn an_endpoint_builds_and_pushes() {
    let bridge = Bridge::tcp(Engine::C8d, None).await;
    let run =
        Run::new(Engine::Classic, &fresh("COPY file /\nRUN --mount=type=secret,id=s cat /run/secrets/s > /got\n"));
    run.write("file", "content");
    // The endpoint is all there is.
    let run = run
        .env("DOCKER_HOST", NO_ENGINE)
        .with("builder", &format!("tcp://{}", bridge.address))
        .with("secrets", "s=hunter2");
    let report = run.succeeds().await;
    let image = report.image();
    assert_eq!(image["pushed"], true);
    assert_eq!(image["digest"], crane(&["digest", &format!("{}:main", run.image())]).trim());
    assert!(image["size"].as_u64().unwrap() > 1000, "{image}");
    assert!(bridge.count() > 0);
    let again = run.succeeds().await.image();
    assert_eq!((&again["cached"], &again["changed"]), (&again["steps"], &Value::Bool(false)));
    // What goes wrong in the build is told as ever.
    run.write("Dockerfile", "FROM busybox:1.36\nRUN exit 3\n");
    let report = run.go().await;
    assert_eq!(report.status, 1);
    assert!(report.log.contains("exit code 3"), "{}", report.log);
}

#[tokio::test]
async fn an_endpoint_may_be_a_socket() {
    let run = Run::new(Engine::C8d, &fresh(""));
    unix(Engine::C8d, &run.path("buildkitd.sock"));
    let run = run.with("builder", "unix://buildkitd.sock").with("cache", "registry");
    run.succeeds().await;
    crane(&["manifest", &format!("{}:buildcache", run.image())]);
}

#[tokio::test]
async fn both_sides_prove_who_they_are() {
    let files = tempfile::tempdir().unwrap();
    let certificates = Certificates::new(files.path(), &["builder.test"]);
    let bridge = Bridge::tcp(Engine::C8d, Some(certificates.acceptor())).await;
    let at = |rest: &str| format!("tcp://{} {rest}", bridge.address);
    let path = |name: &str| certificates.path(name);
    let (ca, cert, key) = (path("ca.pem"), path("cert.pem"), path("key.pem"));
    let good = at(&format!("ca={ca},cert={cert},key={key} servername=builder.test"));
    Run::new(Engine::C8d, &fresh("")).with("builder", &good).succeeds().await;
    // A path of the runner's host in a directory that is mounted into the action's container.
    let host = "/home/runner/work/_temp";
    let line = at(&format!("ca={host}/ca.pem,cert={host}/cert.pem,key={host}/key.pem servername=builder.test"));
    let run = Run::new(Engine::C8d, &fresh("")).env("RUNNER_WORKSPACE", "/home/runner/work/repo");
    run.env("RUNNER_TEMP", &files.path().display().to_string()).with("builder", &line).succeeds().await;
    for (line, want) in [
        (at(&format!("ca={ca} servername=builder.test")), "CertificateRequired"),
        (at(&format!("ca={ca} servername=builder.test")), "pass one with `cert=` and `key=`"),
        (at(&format!("ca={ca},cert={cert},key={key} servername=other.test")), "pass it with `servername=`"),
        (at(&format!("cert={cert},key={key} servername=builder.test")), "the builder's certificate with `ca=`"),
        (at(&format!("ca={ca},cert={cert},key={cert}")), "contains no PEM section"),
        (at(&format!("ca={}", path("none.pem"))), "none.pem: No such file"),
        (at(""), "tcp://127"),
    ] {
        let report = Run::new(Engine::C8d, &fresh("")).with("builder", &line).go().await;
        assert_eq!(report.status, 1, "{line}");
        assert!(report.log.contains(want), "{line}: {}", report.log);
    }
}

#[tokio::test]
async fn nobody_there_is_told() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let report = Run::new(Engine::C8d, &fresh("")).with("builder", &format!("tcp://{address}")).go().await;
    assert_eq!(report.status, 1);
    assert!(report.log.contains(&format!("cannot connect to tcp://{address}: ")), "{}", report.log);
    assert!(report.log.contains("Connection refused"), "{}", report.log);
    // Somebody, who says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let line = format!("tcp://{}", silent.local_addr().unwrap());
    let report = Run::new(Engine::C8d, &fresh("")).with("builder", &line).go().await;
    assert_eq!(report.status, 1);
    assert!(report.log.contains(&format!("{line} did not answer within")), "{}", report.log);
}

#[tokio::test]
async fn each_platform_is_built_on_its_own_node() {
    let bridges = [Bridge::tcp(Engine::C8d, None).await, Bridge::tcp(Engine::C8d, None).await];
    let lines =
        format!("tcp://{} platform=linux/amd64\ntcp://{} platform=linux/arm64", bridges[0].address, bridges[1].address);
    // Nothing of it runs on the other platform, so no emulation is needed.
    let run = Run::new(Engine::C8d, "FROM scratch\nARG TARGETPLATFORM\nLABEL for=$TARGETPLATFORM\nCOPY file /\n");
    run.write("file", &run.repository);
    let run = run
        .with("builder", &lines)
        .with("platforms", "linux/arm64,linux/amd64")
        .with("tags", "main\nsecond")
        .with("image-name", "{registry}/{owner}/{repo}\n{registry}/{owner}/{repo}/copy")
        .with("cache", "registry");
    let report = run.succeeds().await;
    let image = report.image();
    for repository in [run.image(), format!("{}/copy", run.image())] {
        for tag in ["main", "second"] {
            assert_eq!(image["digest"], crane(&["digest", &format!("{repository}:{tag}")]).trim());
        }
    }
    assert!(bridges.iter().all(|bridge| bridge.count() > 0));
    let reference = format!("{}@{}", run.image(), image["digest"].as_str().unwrap());
    let index: Value = serde_json::from_str(&crane(&["manifest", &reference])).unwrap();
    let platforms: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["platform"]["architecture"].as_str().unwrap())
        .collect();
    assert_eq!(platforms, ["arm64", "amd64"]);
    for platform in ["linux/arm64", "linux/amd64"] {
        let config: Value = serde_json::from_str(&crane(&["config", "--platform", platform, &reference])).unwrap();
        assert_eq!(config["config"]["Labels"]["for"], platform);
        assert_eq!(
            format!("{}/{}", config["os"].as_str().unwrap(), config["architecture"].as_str().unwrap()),
            platform
        );
    }
    assert!(image["size"].as_u64().unwrap() > 0);
    assert_eq!(image["steps"], 2, "one COPY for each: {}", report.log);
    assert!(report.log.contains("[linux/arm64 1/1] COPY file /"), "{}", report.log);
    let again = run.succeeds().await.image();
    assert_eq!((&again["digest"], &again["cached"]), (&image["digest"], &image["steps"]));
    // Each has a cache of its own beside the image.
    for platform in ["linux-arm64", "linux-amd64"] {
        crane(&["manifest", &format!("{}:buildcache-{platform}", run.image())]);
    }
    // One node of them that fails ends the build, and says where.
    run.write("Dockerfile", "FROM scratch\nCOPY absent /\n");
    let report = run.go().await;
    assert_eq!(report.status, 1);
    assert!(report.log.contains("(linux/a"), "{}", report.log);
    // Nobody builds for a platform that none is for.
    let report = run.with("platforms", "linux/riscv64,linux/amd64").go().await;
    assert!(report.log.contains("no builder supports linux/riscv64"), "{}", report.log);
}

#[tokio::test]
async fn the_index_goes_to_registries_that_want_a_login() {
    let bridges = [Bridge::tcp(Engine::C8d, None).await, Bridge::tcp(Engine::C8d, None).await];
    let lines =
        format!("tcp://{} platform=linux/amd64\ntcp://{} platform=linux/arm64", bridges[0].address, bridges[1].address);
    for registry in ["LAB_BASIC", "LAB_TOKEN"].map(lab::var) {
        let run = Run::new(Engine::C8d, "FROM scratch\nCOPY Dockerfile /\n")
            .env("DOCKER_HOST", NO_ENGINE)
            .with("builder", &lines)
            .with("platforms", "linux/amd64,linux/arm64")
            .with("registry", &registry)
            .with("username", &lab::var("LAB_USER"));
        let right = run.clone().with("password", &lab::var("LAB_PASSWORD")).succeeds().await;
        assert_eq!(right.image()["pushed"], true);
        assert_eq!(right.image()["changed"], true);
        let wrong = run.with("password", "s3cret-canary-wrong").go().await;
        assert_eq!(wrong.status, 1);
        assert!(wrong.log.contains("check `username` and `password`"), "{}", wrong.log);
        for (report, password) in [(&right, lab::var("LAB_PASSWORD")), (&wrong, "s3cret-canary-wrong".to_owned())] {
            let shown = report.log.lines().filter(|line| !line.starts_with("::add-mask::"));
            assert!(shown.into_iter().all(|line| !line.contains(&password)), "{}", report.log);
        }
    }
}

/// What `docker login` keeps of registries that give tokens, such as Azure's.
#[tokio::test]
async fn the_index_goes_to_a_registry_by_an_identity_token() {
    let bridges = [Bridge::tcp(Engine::C8d, None).await, Bridge::tcp(Engine::C8d, None).await];
    let lines =
        format!("tcp://{} platform=linux/amd64\ntcp://{} platform=linux/arm64", bridges[0].address, bridges[1].address);
    let (registry, docker) = (lab::var("LAB_TOKEN"), tempfile::tempdir().unwrap());
    let token = format!("refresh-{}", lab::var("LAB_PASSWORD"));
    let config = json!({"auths": {(registry.clone()): {"auth": STANDARD.encode("0000:"), "identitytoken": token}}});
    std::fs::write(docker.path().join("config.json"), config.to_string()).unwrap();
    let run = Run::new(Engine::C8d, "FROM scratch\nCOPY Dockerfile /\n")
        .env("DOCKER_HOST", NO_ENGINE)
        .env("DOCKER_CONFIG", &docker.path().display().to_string())
        .with("builder", &lines)
        .with("platforms", "linux/amd64,linux/arm64")
        .with("registry", &registry);
    assert_eq!(run.succeeds().await.image()["pushed"], true);
}

#[tokio::test]
async fn what_an_endpoint_builds_is_loaded_into_the_engine() {
    let bridge = Bridge::tcp(Engine::C8d, None).await;
    for (engine, push) in [(Engine::Classic, "false"), (Engine::C8d, "true"), (Engine::Old, "false")] {
        let run = Run::new(engine, &fresh(""));
        let name = format!("{}:main", run.image());
        let run = run.with("builder", &format!("tcp://{}", bridge.address)).with("load", "true").with("push", push);
        let report = run.succeeds().await;
        let stamp = engine.docker(&["run", "--rm", &name, "cat", "/stamp"]);
        engine.docker(&["rmi", &name]);
        assert_eq!(stamp.len(), 16, "{stamp}");
        assert_eq!(report.image()["pushed"], push == "true");
        if push == "true" {
            assert_eq!(report.image()["digest"], crane(&["digest", &name]).trim());
        }
    }
    let run = Run::new(Engine::C8d, &fresh("")).with("builder", &format!("tcp://{}", bridge.address));
    let run = run.with("load", "true");
    let report = run.clone().env("DOCKER_HOST", NO_ENGINE).go().await;
    assert!(report.log.contains("`load` requires a Docker engine"), "{}", report.log);
    let report = run.with("platforms", "linux/amd64,linux/arm64").go().await;
    assert!(report.status == 2 && report.log.contains("remove the input `load`"), "{}", report.log);
    assert!(!report.log.contains("uploading"), "{}", report.log);
}
