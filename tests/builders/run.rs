//! A run of the program in this process.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use build_deploy::{commands, inputs::runner::RunnerEnv};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::lab::{self, Engine};

/// A checkout and the environment of a step.
#[derive(Clone)]
pub(crate) struct Run {
    directory: Arc<TempDir>,
    /// `owner/name`, this test's alone.
    pub(crate) repository: String,
    env: BTreeMap<String, String>,
}

/// What a run did.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) status: u8,
    pub(crate) log: String,
    pub(crate) outputs: String,
}

impl Run {
    /// A push to `main` of a repository with this Dockerfile, pushed to the registry without logins.
    pub(crate) fn new(engine: Engine, dockerfile: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let repository = format!("ci/{:016x}", rand::random::<u64>());
        fs::create_dir(directory.path().join("work")).unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        fs::write(path("event.json"), json!({"repository": {"default_branch": "main"}}).to_string()).unwrap();
        fs::write(path("output"), "").unwrap();
        fs::write(path("work/Dockerfile"), dockerfile).unwrap();
        let env = [
            ("DOCKER_HOST", format!("unix://{}", engine.socket().display())),
            ("GITHUB_ACTIONS", "true".into()),
            ("GITHUB_ACTOR", "octocat".into()),
            ("GITHUB_EVENT_NAME", "push".into()),
            ("GITHUB_EVENT_PATH", path("event.json")),
            ("GITHUB_OUTPUT", path("output")),
            ("GITHUB_REF", "refs/heads/main".into()),
            ("GITHUB_REPOSITORY", repository.clone()),
            ("GITHUB_RUN_ID", "1".into()),
            ("GITHUB_SERVER_URL", "https://github.com".into()),
            ("GITHUB_SHA", "0123456789abcdef0123456789abcdef01234567".into()),
            ("GITHUB_WORKSPACE", path("work")),
            ("INPUT_REGISTRY", lab::plain()),
            ("INPUT_TAGS", "main".into()),
        ];
        let env = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { directory: Arc::new(directory), repository, env }
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join("work").join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Sets an input.
    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        let name = format!("INPUT_{}", name.to_uppercase());
        self.env(&name, value)
    }

    /// Sets a variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The environment of the step.
    pub(crate) fn variables(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// The image, with its registry.
    pub(crate) fn image(&self) -> String {
        format!("{}/{}", lab::plain(), self.repository)
    }

    pub(crate) async fn go(&self) -> Report {
        let mut log = Vec::new();
        let env = RunnerEnv::new(self.env.clone());
        let status = Box::pin(commands::dispatch(["build-deploy".into()], env, &mut log)).await;
        let outputs = Path::new(&self.env["GITHUB_OUTPUT"]);
        let report =
            Report { status, log: String::from_utf8(log).unwrap(), outputs: fs::read_to_string(outputs).unwrap() };
        fs::write(outputs, "").unwrap();
        report
    }

    /// A run that is to succeed.
    pub(crate) async fn succeeds(&self) -> Report {
        let report = self.go().await;
        assert_eq!(report.status, 0, "{}", report.log);
        report
    }
}

impl Report {
    /// The first item of the output `images`.
    pub(crate) fn image(&self) -> Value {
        let line = self.outputs.lines().skip_while(|line| !line.starts_with("images<<")).nth(1).unwrap();
        serde_json::from_str::<Vec<Value>>(line).unwrap().remove(0)
    }
}

/// A Dockerfile whose last step nobody has run before.
pub(crate) fn fresh(more: &str) -> String {
    format!("FROM busybox:1.36\n{more}RUN echo {:016x} > /stamp\n", rand::random::<u64>())
}
