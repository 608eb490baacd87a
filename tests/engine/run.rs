//! A step that uses the program, an engine and a registry for it alone, and what must hold of each run.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stand_ins::{
    action::Action,
    console::Annotation,
    engine::{self, Engine, Setup},
    registry::{self, Registry},
    runner::{Machine, Running, StageKind, StageReport, Step},
};
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedReceiver;

/// The commit of all runs.
pub(crate) const SHA: &str = "0123456789abcdef0123456789abcdef01234567";
/// The base of all images here.
pub(crate) const BASE: &str = "FROM busybox:1.36\n";
/// The repository of all runs.
pub(crate) const REPOSITORY: &str = "acme/shop";

/// An engine and a registry.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) registry: Registry,
    socket: PathBuf,
    _directory: TempDir,
}

impl World {
    /// Both without faults.
    pub(crate) async fn new(setup: Setup) -> Self {
        Self::with(setup, |_, _| None, |_, _| None).await
    }

    /// An engine with faults.
    pub(crate) async fn engine(
        setup: Setup,
        decide: impl Fn(&engine::Seen, usize) -> Option<engine::Fault> + Send + Sync + 'static,
    ) -> Self {
        Self::with(setup, decide, |_, _| None).await
    }

    /// A registry with faults.
    pub(crate) async fn registry(
        setup: Setup,
        decide: impl Fn(&registry::Seen, usize) -> Option<registry::Fault> + Send + Sync + 'static,
    ) -> Self {
        Self::with(setup, |_, _| None, decide).await
    }

    async fn with(
        setup: Setup,
        of_engine: impl Fn(&engine::Seen, usize) -> Option<engine::Fault> + Send + Sync + 'static,
        of_registry: impl Fn(&registry::Seen, usize) -> Option<registry::Fault> + Send + Sync + 'static,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let engine = Engine::with(&socket, setup, of_engine).unwrap();
        let registry = Registry::with(of_registry).await.unwrap();
        Self { engine, registry, socket, _directory: directory }
    }

    /// A push to `main` of a repository with these files.
    pub(crate) fn run(&self, files: &[(&str, &str)]) -> Run {
        let (temp, workspace) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let text = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let step = Step {
            action: Action::parse(include_str!("../../action.yml")).unwrap(),
            image: "build-deploy:dev".to_owned(),
            workspace: workspace.path().to_owned(),
            with: text(&[("registry", &self.registry.host)]),
            env: BTreeMap::new(),
            github: text(&[
                ("GITHUB_ACTOR", "octocat"),
                ("GITHUB_EVENT_NAME", "push"),
                ("GITHUB_REF", "refs/heads/main"),
                ("GITHUB_REPOSITORY", REPOSITORY),
                ("GITHUB_RUN_ATTEMPT", "1"),
                ("GITHUB_RUN_ID", "1"),
                ("GITHUB_SERVER_URL", "https://github.com"),
                ("GITHUB_SHA", SHA),
                ("GITHUB_WORKFLOW", "build"),
            ]),
            expressions: text(&[("job.status", "success")]),
            payload: json!({"repository": {"default_branch": "main"}}).to_string(),
            network: None,
        };
        let machine = Machine {
            docker: PathBuf::from("docker"),
            socket: self.socket.clone(),
            mounted_socket: self.socket.clone(),
            temp: temp.path().to_owned(),
        };
        let run = Run { machine, step, secrets: Vec::new(), _directories: [temp, workspace] };
        for (path, text) in files {
            run.write(path, text);
        }
        run
    }

    /// What a tag of an image points to. `image` is empty for the only one.
    pub(crate) fn tagged(&self, image: &str, tag: &str) -> Option<String> {
        self.registry.tagged(&name(image), tag)
    }
}

/// The repository of an image in the registry.
pub(crate) fn name(image: &str) -> String {
    if image.is_empty() { REPOSITORY.to_owned() } else { format!("{REPOSITORY}/{image}") }
}

/// A step.
pub(crate) struct Run {
    pub(crate) machine: Machine,
    pub(crate) step: Step,
    secrets: Vec<String>,
    _directories: [TempDir; 2],
}

impl Run {
    /// Writes a file of the checkout.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.step.workspace.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Sets an input.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.step.with.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A value that may appear nowhere but where the runner is told to mask it.
    pub(crate) fn secret(mut self, value: &str) -> Self {
        self.secrets.push(value.to_owned());
        self
    }

    /// Starts the program; its log comes line by line.
    pub(crate) fn start(&self) -> (Running, UnboundedReceiver<String>) {
        let (sender, lines) = tokio::sync::mpsc::unbounded_channel();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_build-deploy"));
        let started = self.machine.start_program(&program, &self.step, StageKind::Main, &BTreeMap::new(), Some(sender));
        (started.unwrap(), lines)
    }

    /// Runs the program, which is to end with this status.
    #[track_caller]
    pub(crate) fn expect(&self, status: i32) -> impl Future<Output = StageReport> {
        let caller = std::panic::Location::caller();
        async move {
            let report = self.start().0.finish().await.unwrap();
            self.check(&report);
            assert_eq!(report.exit_code, status, "{caller}:\n{}", log(&report));
            report
        }
    }

    /// What holds of every run, however it ended.
    pub(crate) fn check(&self, report: &StageReport) {
        let log = log(report);
        assert!(report.console.refused.is_empty(), "{:?}\n{log}", report.console.refused);
        let without_masks: Vec<&str> =
            report.console.raw.lines().filter(|line| !line.starts_with("::add-mask::")).collect();
        let shown =
            format!("{}\n{}\n{:?}\n{:?}", without_masks.join("\n"), report.summary, report.outputs, report.state);
        for secret in &self.secrets {
            assert!(!shown.contains(secret), "{secret} is shown:\n{shown}");
        }
        let ending = match report.exit_code {
            0 => "success",
            130 | 143 => "cancelled",
            _ => "failure",
        };
        if let Some(result) = report.outputs.get("result") {
            assert_eq!(result, ending, "{log}");
        }
    }
}

/// The output `images`.
pub(crate) fn images(report: &StageReport) -> Vec<Value> {
    serde_json::from_str(&report.outputs["images"]).unwrap()
}

/// The only error annotation.
#[track_caller]
pub(crate) fn the_error(report: &StageReport) -> Annotation {
    let errors: Vec<&Annotation> = report.console.of_kind("error").collect();
    let [error] = errors[..] else { panic!("{} errors:\n{}", errors.len(), log(report)) };
    error.clone()
}

/// The log as one text.
pub(crate) fn log(report: &StageReport) -> String {
    report.console.log.join("\n")
}

/// Waits for a line of the log that contains `text`.
pub(crate) async fn line_with(lines: &mut UnboundedReceiver<String>, text: &str) {
    let mut seen = Vec::new();
    while let Some(line) = lines.recv().await {
        if line.contains(text) {
            return;
        }
        seen.push(line);
    }
    panic!("the log ended without {text:?}:\n{}", seen.join("\n"));
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
