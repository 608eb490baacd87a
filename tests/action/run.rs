//! A step that uses the action, and what must hold of each.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use stand_ins::{
    action::Action,
    console::Annotation,
    runner::{Machine, Running, StageKind, StageReport, Step},
};
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::lab::{self, Engine};

pub(crate) const SHA: &str = "0123456789abcdef0123456789abcdef01234567";
/// The base of all images here.
pub(crate) const BASE: &str = "FROM busybox:1.36\n";

/// A step: a checkout, inputs, an engine.
pub(crate) struct Run {
    pub(crate) engine: Engine,
    pub(crate) machine: Machine,
    pub(crate) step: Step,
    /// `owner/name`, this test's alone.
    pub(crate) repository: String,
    secrets: Vec<String>,
    _directories: [TempDir; 2],
}

impl Run {
    /// A push to `main` of a repository with these files, pushed to the registry without logins.
    pub(crate) fn new(engine: Engine, files: &[(&str, &str)]) -> Self {
        let (temp, workspace) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let repository = format!("ci/{:016x}", rand::random::<u64>());
        let text = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let step = Step {
            action: Action::parse(include_str!("../../action.yml")).unwrap(),
            // Another image can be tried without replacing the one that others use.
            image: std::env::var("BUILD_DEPLOY_IMAGE").unwrap_or_else(|_| "build-deploy:dev".to_owned()),
            workspace: workspace.path().to_owned(),
            with: text(&[("registry", &lab::plain())]),
            env: BTreeMap::new(),
            github: text(&[
                ("GITHUB_ACTOR", "octocat"),
                ("GITHUB_EVENT_NAME", "push"),
                ("GITHUB_REF", "refs/heads/main"),
                ("GITHUB_REPOSITORY", &repository),
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
            docker: lab::docker(),
            socket: engine.socket(),
            mounted_socket: engine.socket(),
            temp: temp.path().to_owned(),
        };
        let run = Self { engine, machine, step, repository, secrets: Vec::new(), _directories: [temp, workspace] };
        for (path, text) in files {
            run.write(path, text);
        }
        run
    }

    /// Writes a file of the checkout.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.step.workspace.join(path)
    }

    /// Sets an input.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.step.with.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets a variable of the step.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.step.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Makes it the run of an event in `tests/fixtures/events`.
    pub(crate) fn event(mut self, name: &str) -> Self {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/events");
        let read = |kind: &str| fs::read_to_string(fixtures.join(format!("{name}.{kind}"))).unwrap();
        let vars = read("env");
        let vars = vars.lines().filter_map(|line| line.split_once('='));
        let of_event = vars.filter(|(name, _)| ["GITHUB_EVENT_NAME", "GITHUB_REF", "GITHUB_SHA"].contains(name));
        self.step.github.extend(of_event.map(|(name, value)| (name.to_owned(), value.to_owned())));
        self.step.payload = read("json");
        self
    }

    /// A value that may appear nowhere but where the runner is told to mask it.
    pub(crate) fn secret(mut self, value: &str) -> Self {
        self.secrets.push(value.to_owned());
        self
    }

    /// Where an image goes, without tag.
    pub(crate) fn image(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.step.with["registry"], self.repository)
    }

    pub(crate) fn start(&self) -> (Running, UnboundedReceiver<String>) {
        let (sender, lines) = tokio::sync::mpsc::unbounded_channel();
        (self.machine.start(&self.step, StageKind::Main, &BTreeMap::new(), Some(sender)).unwrap(), lines)
    }

    /// Runs the step to its end.
    pub(crate) async fn go(&self) -> StageReport {
        let running = self.start().0;
        let container = running.container().to_owned();
        let report = running.finish().await.unwrap();
        self.check(&report, &container);
        report
    }

    /// Runs the step, which is to end with this status.
    #[track_caller]
    pub(crate) fn expect(&self, status: i32) -> impl Future<Output = StageReport> {
        let caller = std::panic::Location::caller();
        async move {
            let report = self.go().await;
            let log = report.console.log.join("\n");
            assert_eq!(report.exit_code, status, "{caller}, {:?}:\n{log}", self.engine);
            report
        }
    }

    /// What holds of every run, however it ended.
    pub(crate) fn check(&self, report: &StageReport, container: &str) {
        let log = report.console.log.join("\n");
        assert!(report.console.refused.is_empty(), "{:?}\n{log}", report.console.refused);
        let left = lab::containers(&self.engine.socket(), &json!({"name": [container]}));
        assert!(left.is_empty(), "the container is still there");
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
    let [error] = errors[..] else { panic!("{} errors:\n{}", errors.len(), report.console.log.join("\n")) };
    error.clone()
}

/// The log as one text.
pub(crate) fn log(report: &StageReport) -> String {
    report.console.log.join("\n")
}

/// Titles of the log's groups.
pub(crate) fn groups(report: &StageReport) -> Vec<&str> {
    report.console.log.iter().filter_map(|line| line.strip_prefix("##[group]")).collect()
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
