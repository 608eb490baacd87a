//! `builder: container`: made, shared, left and removed.

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::{
    bridge::Bridge,
    lab::{self, Engine, crane},
    run::{Run, fresh},
};

/// An image of a buildkitd whose `buildctl dial-stdio` leads to the c8d engine's own; or a real one,
/// `BUILD_DEPLOY_BUILDKIT=moby/buildkit:buildx-stable-1`, where that can be pulled.
struct StandIn {
    engine: Engine,
    image: String,
    _bridge: Bridge,
}

impl StandIn {
    async fn new(engine: Engine) -> Self {
        let bridge = Bridge::near_engines(Engine::C8d).await;
        let image = format!("build-deploy-test/buildkitd:{:016x}", rand::random::<u64>());
        let dir = tempfile::tempdir().unwrap();
        let (host, port) = (bridge.address.ip(), bridge.address.port());
        let dial = format!("#!/bin/sh\n[ \"$1\" = dial-stdio ] && exec nc {host} {port}\n");
        fs::write(dir.path().join("buildctl"), dial).unwrap();
        fs::write(dir.path().join("buildkitd"), "#!/bin/sh\nexec sleep 100000\n").unwrap();
        let dockerfile = match std::env::var("BUILD_DEPLOY_BUILDKIT") {
            Ok(real) => format!("FROM {real}\nLABEL test={image}\n"),
            Err(_) => {
                "FROM busybox:1.36\nCOPY --chmod=755 buildctl buildkitd /bin/\nENTRYPOINT [\"buildkitd\"]\n".into()
            }
        };
        fs::write(dir.path().join("Dockerfile"), dockerfile).unwrap();
        let path = dir.path().display().to_string();
        engine.docker(&["buildx", "build", "--quiet", "--load", "--provenance=false", "-t", &image, &path]);
        Self { engine, image, _bridge: bridge }
    }

    fn run(&self, dockerfile: &str) -> Run {
        Run::new(self.engine, dockerfile).with("buildkit-image", &self.image)
    }

    /// A build in its container that is under way and does not end by itself.
    async fn endless(&self) -> Process {
        let said = format!("asleep-{:016x}-now", rand::random::<u64>());
        let dockerfile = format!("FROM busybox:1.36\nRUN echo {said} && sleep 100000\n");
        let run = self.run(&dockerfile).with("builder", "container");
        let mut process = Process::start(&run, "run");
        process.says(&said).await;
        process
    }

    /// Names of its containers, running or not.
    fn containers(&self) -> Vec<String> {
        let ours = ["--filter", "label=build-deploy.builder", "--filter", &format!("ancestor={}", self.image)];
        let listed = self.engine.docker(&[&["ps", "-a", "--format", "{{.Names}}"], &ours[..]].concat());
        listed.lines().map(str::to_owned).collect()
    }

    /// Waits until it has a container that somebody uses.
    async fn container_in_use(&self) -> String {
        until("a container in use", || {
            let name = self.containers().into_iter().next()?;
            let used = self.engine.docker(&["inspect", "--format", "{{len .ExecIDs}}", &name]);
            (used != "0").then_some(name)
        })
        .await
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        for container in self.containers() {
            self.engine.docker(&["rm", "-f", &container]);
        }
        let volumes = self.engine.docker(&["volume", "ls", "-q", "--filter", "name=build-deploy-buildkit-"]);
        for volume in volumes.lines() {
            // Those of other tests are in use, or theirs to remove.
            let _ = self.engine.command(&["volume", "rm", volume]).output();
        }
        // As long as a container is being removed, its image stays.
        let _ = self.engine.command(&["rmi", &self.image]).output();
    }
}

async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "no {what}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// The program as a process of its own.
struct Process {
    /// Its checkout lies there as long as it may be looked at.
    run: Run,
    child: Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Process {
    fn start(run: &Run, command: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_build-deploy"))
            .arg(command)
            .env_clear()
            .envs(run.variables())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { run: run.clone(), child, lines }
    }

    async fn says(&mut self, text: &str) {
        let mut seen = String::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            if line.trim() == text {
                return;
            }
            seen = format!("{seen}{line}\n");
        }
        panic!("ended without {text}:\n{seen}");
    }

    async fn signal(&self, signal: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
    }

    /// Waits for its end; returns the exit status and the rest of what it said.
    async fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            rest = format!("{rest}{line}\n");
        }
        (self.child.wait().await.unwrap().code(), rest)
    }
}

#[tokio::test]
async fn one_container_builds_all_images_and_is_gone() {
    let stand_in = StandIn::new(Engine::C8d).await;
    let run = stand_in.run(&fresh("")).with("builder", "container").with("cache", "registry");
    run.write("compose.yaml", "services:\n  one: {build: .}\n  two: {build: {context: ., args: {A: b}}}\n");
    let report = run.succeeds().await;
    for name in ["one", "two"] {
        crane(&["digest", &format!("{}/{name}:main", run.image())]);
        crane(&["digest", &format!("{}/{name}:buildcache", run.image())]);
    }
    assert!(!report.log.contains("::warning"), "{}", report.log);
    assert_eq!(stand_in.containers(), Vec::<String>::new());
    // A build that fails leaves none either.
    let failing = stand_in.run("FROM busybox:1.36\nRUN exit 3\n").with("builder", "container");
    assert_eq!(failing.go().await.status, 1);
    assert_eq!(stand_in.containers(), Vec::<String>::new());
}

#[tokio::test]
async fn an_engine_that_cannot_gets_a_container() {
    let stand_in = StandIn::new(Engine::Classic).await;
    let two = stand_in.run("FROM scratch\nCOPY Dockerfile /\n").with("platforms", "linux/amd64,linux/arm64");
    let report = two.succeeds().await;
    assert!(
        report.log.contains("is built for 2 platforms, which the engine (classic image store) does not support"),
        "{}",
        report.log
    );
    let index: Value = serde_json::from_str(&crane(&["manifest", &format!("{}:main", two.image())])).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    assert_eq!(report.image()["digest"], crane(&["digest", &format!("{}:main", two.image())]).trim());
    assert_eq!(stand_in.containers(), Vec::<String>::new());
    // What the engine can do, it does.
    let report = stand_in.run(&fresh("")).succeeds().await;
    assert!(report.log.contains("builder: the engine (classic image store)"), "{}", report.log);
}

#[tokio::test]
async fn a_cancelled_run_leaves_no_container() {
    let stand_in = StandIn::new(Engine::C8d).await;
    let process = stand_in.endless().await;
    let name = stand_in.container_in_use().await;
    let shown = stand_in.engine.docker(&[
        "inspect",
        "--format",
        "{{.HostConfig.Privileged}} {{(index .Mounts 0).Destination}} {{(index .Mounts 0).Name}}",
        &name,
    ]);
    assert_eq!(shown, format!("true /var/lib/buildkit {name}"));
    let config = stand_in.engine.docker(&["cp", &format!("{name}:/etc/buildkit/buildkitd.toml"), "-"]);
    let plain = format!("[registry.\"{}\"]\n  http = true", lab::plain());
    assert!(config.contains(&plain), "{config}");
    let began = Instant::now();
    process.signal("-INT").await;
    let (status, rest) = process.end().await;
    assert_eq!(status, Some(130), "{rest}");
    assert!(began.elapsed() < Duration::from_secs(7), "the runner would have lost its patience");
    assert_eq!(stand_in.containers(), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_killed_run_leaves_the_post_stage_removes() {
    let stand_in = StandIn::new(Engine::C8d).await;
    let process = stand_in.endless().await;
    let run = process.run.clone();
    // As long as somebody builds in it, it stays.
    assert_eq!(Process::start(&run, "post").end().await.0, Some(0));
    let name = stand_in.container_in_use().await;
    process.signal("-KILL").await;
    process.end().await;
    until("end of the programs in it", || {
        let used = stand_in.engine.docker(&["inspect", "--format", "{{len .ExecIDs}}", &name]);
        (used == "0").then_some(())
    })
    .await;
    assert_eq!(Process::start(&run, "post").end().await.0, Some(0));
    assert_eq!(stand_in.containers(), Vec::<String>::new());
}

#[tokio::test]
async fn a_builder_that_goes_away_is_named() {
    let stand_in = StandIn::new(Engine::C8d).await;
    let process = stand_in.endless().await;
    let name = stand_in.container_in_use().await;
    stand_in.engine.docker(&["rm", "-f", &name]);
    let (status, log) = process.end().await;
    assert_eq!(status, Some(1));
    assert!(log.contains(&format!("the connection to docker-container://{name} was lost: ")), "{log}");
}

#[tokio::test]
async fn runs_share_a_container_until_the_last_has_left() {
    let stand_in = StandIn::new(Engine::C8d).await;
    let long = stand_in.endless().await;
    let name = stand_in.container_in_use().await;
    // The other one comes and goes.
    let short = stand_in.run(&fresh("")).with("builder", "container");
    let (status, rest) = Process::start(&short, "run").end().await;
    assert_eq!(status, Some(0), "{rest}");
    assert_eq!(stand_in.containers(), [name]);
    // Two that leave at the same moment do not leave it to each other.
    let second = stand_in.endless().await;
    tokio::join!(long.signal("-TERM"), second.signal("-TERM"));
    let (long, second) = tokio::join!(long.end(), second.end());
    assert_eq!((long.0, second.0), (Some(143), Some(143)));
    assert_eq!(stand_in.containers(), Vec::<String>::new());
}

#[tokio::test]
async fn a_container_that_cannot_be_had_is_told() {
    let run = Run::new(Engine::C8d, &fresh("")).with("builder", "container");
    let absent = format!("{}/nobody/buildkit:none", lab::plain());
    let report = run.with("buildkit-image", &absent).go().await;
    assert_eq!(report.status, 1);
    assert!(report.log.contains(&format!("pull {absent}")) && report.log.contains("not found"), "{}", report.log);
    // An image that is something else: it ends, and its last words are repeated.
    let stand_in = StandIn::new(Engine::C8d).await;
    let dir = tempfile::tempdir().unwrap();
    let odd = format!("FROM {}\nENTRYPOINT [\"sh\", \"-c\", \"echo no-buildkit-here; exit 4\"]\n", stand_in.image);
    fs::write(dir.path().join("Dockerfile"), odd).unwrap();
    let path = dir.path().display().to_string();
    let docker = |args: &[&str]| stand_in.engine.docker(args);
    docker(&["buildx", "build", "--quiet", "--load", "--provenance=false", "-t", &stand_in.image, &path]);
    let report = stand_in.run(&fresh("")).with("builder", "container").go().await;
    assert_eq!(report.status, 1);
    assert!(report.log.contains("the BuildKit container exited: no-buildkit-here"), "{}", report.log);
    assert_eq!(stand_in.containers(), Vec::<String>::new());
    // A network that is not there.
    let report = stand_in.run(&fresh("")).with("builder", "container").with("buildkit-network", "absent").go().await;
    assert_eq!(report.status, 1);
    assert!(report.log.contains("set `buildkit-network` to a network"), "{}", report.log);
    assert_eq!(stand_in.containers(), Vec::<String>::new());
}

#[tokio::test]
async fn a_container_of_others_is_used_and_left_alone() {
    let stand_in = StandIn::new(Engine::C8d).await;
    let name = format!("buildx_buildkit_{:016x}0", rand::random::<u64>());
    // What it knows of registries is its owner's business.
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("buildkitd.toml"), format!("[registry.\"{}\"]\n  http = true\n", lab::plain())).unwrap();
    let config = format!("{}:/etc/buildkit", dir.path().display());
    stand_in.engine.docker(&["run", "-d", "--privileged", "-v", &config, "--name", &name, &stand_in.image]);
    let run = Run::new(Engine::C8d, "FROM scratch\nCOPY Dockerfile /\n")
        .with("builder", &format!("docker-container://{name}"));
    let report = run.go().await;
    let running = stand_in.engine.docker(&["inspect", "--format", "{{.State.Running}}", &name]);
    stand_in.engine.docker(&["rm", "-f", &name]);
    assert_eq!((report.status, running.as_str()), (0, "true"), "{}", report.log);
}
