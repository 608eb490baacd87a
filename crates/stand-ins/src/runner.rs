//! A stand-in for GitHub's runner: starts the action's image with the very `docker run` line that the runner uses and
//! treats its output and files as the runner does.
//!
//! Written after `actions/runner`: `ContainerActionHandler.cs`, `DockerCommandManager.cs` (the command line),
//! `ProcessInvoker.cs` (cancellation). What the log lines mean is in [`super::console`], what the files mean in
//! [`super::file_commands`].

mod container;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
    sync::mpsc,
    task::JoinHandle,
};

use super::{
    action::Action,
    console::{Console, Outcome},
    file_commands,
};

/// From `SIGINT` to `SIGTERM`, and from there to `SIGKILL` of the docker command line.
const GRACE: [Duration; 2] = [Duration::from_millis(7500), Duration::from_millis(2500)];

/// Why a step could not be run at all.
#[derive(Debug, Error)]
pub enum RunnerError {
    /// A file or directory of the runner's.
    #[error("{path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The docker command line or the program does not start.
    #[error("start {0}")]
    Docker(PathBuf, #[source] io::Error),
    /// A file command that the runner would not understand, which fails the step.
    #[error("unable to process file command '{file}': {reason}")]
    FileCommand {
        /// Such as `output` or `state`.
        file: &'static str,
        /// Why.
        reason: String,
    },
}

/// The runner's machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The docker command line.
    pub docker: PathBuf,
    /// The engine's socket, which the runner would find at `/var/run/docker.sock`.
    pub socket: PathBuf,
    /// What is mounted at `/var/run/docker.sock`; the engine's socket, but for tests of what happens without one.
    pub mounted_socket: PathBuf,
    /// The runner's `_temp` directory.
    pub temp: PathBuf,
}

/// One step of a job that uses the action.
#[derive(Clone, Debug)]
pub struct Step {
    /// The action's metadata.
    pub action: Action,
    /// The action's image, already in the engine.
    pub image: String,
    /// The checkout.
    pub workspace: PathBuf,
    /// The step's `with:`.
    pub with: BTreeMap<String, String>,
    /// Workflow, job and step `env:`.
    pub env: BTreeMap<String, String>,
    /// `GITHUB_*` and the rest of what the runner sets, without the paths, which are made here.
    pub github: BTreeMap<String, String>,
    /// Values of the expressions that defaults of inputs may use, such as `github.token`.
    pub expressions: BTreeMap<String, String>,
    /// The event's payload.
    pub payload: String,
    /// Docker network of a job with services.
    pub network: Option<String>,
}

/// Which part of the action is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageKind {
    /// `entrypoint`.
    Main,
    /// `post-entrypoint`.
    Post,
}

/// What a stage left behind.
#[derive(Debug)]
pub struct StageReport {
    /// The container's exit code; 137 if the runner had to kill its command line.
    pub exit_code: i32,
    /// The log as the runner would keep it, and what the commands in it did.
    pub console: Outcome,
    /// Lines of `GITHUB_OUTPUT`.
    pub outputs: BTreeMap<String, String>,
    /// Lines of `GITHUB_STATE`.
    pub state: BTreeMap<String, String>,
    /// Lines of `GITHUB_ENV`.
    pub variables: BTreeMap<String, String>,
    /// Images in `GITHUB_ARTIFACTS`, with their digests.
    pub artifacts: BTreeMap<String, String>,
    /// `GITHUB_STEP_SUMMARY`, masked.
    pub summary: String,
    /// The `docker run` line's arguments.
    pub command_line: Vec<String>,
}

/// A stage that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    readers: Vec<JoinHandle<()>>,
    console: JoinHandle<Outcome>,
    files: PathBuf,
    id: String,
    container: String,
    command_line: Vec<String>,
}

impl Machine {
    /// Starts a stage. `state` is what earlier stages of the step saved. Each line of the log is sent to `lines` too.
    pub fn start(
        &self,
        step: &Step,
        stage: StageKind,
        state: &BTreeMap<String, String>,
        lines: Option<mpsc::UnboundedSender<String>>,
    ) -> Result<Running, RunnerError> {
        let id = self.prepare(step)?;
        let env = self.environment(step, state, &id, &self.mounts(step));
        let container = format!("{}_{}", sanitized(&step.image), &id[..6]);
        let args = self.arguments(step, stage, &env, &container);
        let mut command = Command::new(&self.docker);
        // The runner's own environment steers its docker command line, not the container.
        command.args(&args).envs(&env).env("DOCKER_HOST", format!("unix://{}", self.socket.display()));
        let running = self.spawn(command, step, id, lines)?;
        Ok(Running { container, command_line: args, ..running })
    }

    /// Starts a stage without a container: the action's program as it is on this machine, with the same environment.
    pub fn start_program(
        &self,
        program: &Path,
        step: &Step,
        stage: StageKind,
        state: &BTreeMap<String, String>,
        lines: Option<mpsc::UnboundedSender<String>>,
    ) -> Result<Running, RunnerError> {
        let id = self.prepare(step)?;
        let here = self.mounts(step).map(|(host, _)| (host.clone(), host));
        let env = self.environment(step, state, &id, &here);
        let mut command = Command::new(program);
        if stage == StageKind::Post {
            command.arg("post");
        }
        command.env_clear().env("DOCKER_HOST", format!("unix://{}", self.mounted_socket.display())).envs(&env);
        command.envs([("GITHUB_ACTIONS", "true"), ("CI", "true")]);
        self.spawn(command, step, id, lines)
    }

    /// Makes the files that a stage reads and writes; returns the id in their names.
    fn prepare(&self, step: &Step) -> Result<String, RunnerError> {
        let id = format!("{:016x}", rand::random::<u64>());
        let files = self.temp.join("_runner_file_commands");
        for dir in ["_github_home", "_github_workflow"].map(|name| self.temp.join(name)).iter().chain([&files]) {
            fs::create_dir_all(dir).map_err(at(dir))?;
        }
        let event = self.temp.join("_github_workflow/event.json");
        fs::write(&event, &step.payload).map_err(at(&event))?;
        for name in FILES {
            let path = files.join(format!("{name}_{id}"));
            let text = if name == "artifacts_list" { r#"{"version":1,"subjects":[]}"# } else { "" };
            fs::write(&path, text).map_err(at(&path))?;
        }
        Ok(id)
    }

    /// Starts a command and reads what it says.
    fn spawn(
        &self,
        mut command: Command,
        step: &Step,
        id: String,
        lines: Option<mpsc::UnboundedSender<String>>,
    ) -> Result<Running, RunnerError> {
        let program = PathBuf::from(command.as_std().get_program());
        let mut child = command
            .current_dir(&step.workspace)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| RunnerError::Docker(program, source))?;
        let (sender, mut chunks) = mpsc::unbounded_channel::<(usize, Vec<u8>)>();
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(tokio::spawn(pump(stdout, 0, sender.clone())));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(tokio::spawn(pump(stderr, 1, sender.clone())));
        }
        drop(sender);
        let console = tokio::spawn(async move {
            let mut console = Console::default();
            while let Some((stream, chunk)) = chunks.recv().await {
                console.feed(stream, &chunk, |line| {
                    if let Some(lines) = &lines {
                        // Who does not listen any more misses nothing that the report does not say.
                        let _ = lines.send(line.to_owned());
                    }
                });
            }
            console.finish()
        });
        let files = self.temp.join("_runner_file_commands");
        Ok(Running { child, readers, console, files, id, container: String::new(), command_line: Vec::new() })
    }
}

impl Running {
    /// Waits for the end and reads what was left behind.
    pub async fn finish(mut self) -> Result<StageReport, RunnerError> {
        let status = self.child.wait().await.map_err(|source| RunnerError::Docker(PathBuf::from("docker"), source))?;
        for reader in self.readers.drain(..) {
            let _ = reader.await;
        }
        let console = self.console.await.unwrap_or_default();
        let read = |name: &str| {
            let path = self.files.join(format!("{name}_{}", self.id));
            fs::read_to_string(&path).map_err(at(&path))
        };
        let pairs = |file, name: &str| {
            file_commands::parse(&read(name)?).map_err(|reason| RunnerError::FileCommand { file, reason })
        };
        Ok(StageReport {
            exit_code: status.code().unwrap_or(137),
            outputs: pairs("output", "set_output")?,
            state: pairs("state", "save_state")?,
            variables: pairs("env", "set_env")?,
            artifacts: file_commands::artifacts(&read("artifacts")?)
                .map_err(|reason| RunnerError::FileCommand { file: "artifacts", reason })?,
            summary: console.masked(&read("step_summary")?),
            console,
            command_line: self.command_line,
        })
    }

    /// Cancels as the runner does: `SIGINT`, 7.5 s later `SIGTERM`, 2.5 s later `SIGKILL` of the command line, which
    /// leaves a container that did not end running.
    pub async fn cancel(mut self) -> Result<StageReport, RunnerError> {
        for (signal, grace) in ["-INT", "-TERM"].into_iter().zip(GRACE) {
            self.signal(signal).await;
            if tokio::time::timeout(grace, self.child.wait()).await.is_ok() {
                return self.finish().await;
            }
        }
        self.kill().await
    }

    /// Ends the docker command line at once, as when the runner itself dies.
    pub async fn kill(self) -> Result<StageReport, RunnerError> {
        self.signal("-KILL").await;
        self.finish().await
    }

    /// Name of the container.
    pub fn container(&self) -> &str {
        &self.container
    }

    async fn signal(&self, signal: &str) {
        if let Some(pid) = self.child.id() {
            // A process that is gone already needs no signal.
            let _ = Command::new("kill").args([signal, &pid.to_string()]).status().await;
        }
    }
}

const FILES: [&str; 7] =
    ["add_path", "set_env", "step_summary", "save_state", "set_output", "artifacts", "artifacts_list"];

async fn pump(mut from: impl AsyncRead + Unpin, stream: usize, to: mpsc::UnboundedSender<(usize, Vec<u8>)>) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if to.send((stream, buffer[..read].to_vec())).is_err() {
            return;
        }
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> RunnerError {
    let path = path.to_owned();
    move |source| RunnerError::File { path, source }
}

fn sanitized(image: &str) -> String {
    image.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}
