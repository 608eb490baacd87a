//! A stand-in for GitHub's runner: starts the action's image with the very `docker run` line that the runner uses and
//! treats its output and files as the runner does.
//!
//! Written after `actions/runner`: `ContainerActionHandler.cs`, `DockerCommandManager.cs` (the command line),
//! `ProcessInvoker.cs` (cancellation). What the log lines mean is in [`super::console`], what the files mean in
//! [`super::file_commands`].

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
    /// The docker command line does not start.
    #[error("start {0}")]
    Docker(PathBuf, #[source] io::Error),
    /// A file command that the runner would not understand, which fails the step.
    #[error("unable to process file command '{file}': {reason}")]
    FileCommand {
        /// `output` or `state`.
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
        let id = format!("{:016x}", rand::random::<u64>());
        let files = self.temp.join("_runner_file_commands");
        for dir in ["_github_home", "_github_workflow"].map(|name| self.temp.join(name)).iter().chain([&files]) {
            fs::create_dir_all(dir).map_err(at(dir))?;
        }
        let event = self.temp.join("_github_workflow/event.json");
        fs::write(&event, &step.payload).map_err(at(&event))?;
        for name in FILES {
            let path = files.join(format!("{name}_{id}"));
            fs::write(&path, "").map_err(at(&path))?;
        }
        let env = self.environment(step, state, &id);
        let container = format!("{}_{}", sanitized(&step.image), &id[..6]);
        let args = self.arguments(step, stage, &env, &container);
        let mut child = Command::new(&self.docker)
            .args(&args)
            .envs(&env)
            // The runner's own environment steers its docker command line, not the container.
            .env("DOCKER_HOST", format!("unix://{}", self.socket.display()))
            .current_dir(&step.workspace)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| RunnerError::Docker(self.docker.clone(), source))?;
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
        Ok(Running { child, readers, console, files, id, container, command_line: args })
    }

    /// The environment of the container, in the runner's order: later wins.
    fn environment(&self, step: &Step, state: &BTreeMap<String, String>, id: &str) -> BTreeMap<String, String> {
        let mut env = step.env.clone();
        env.extend(state.iter().map(|(name, value)| (format!("STATE_{name}"), value.clone())));
        for (name, default) in &step.action.inputs {
            let given = step.with.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            let value = given.map_or_else(|| evaluated(default, &step.expressions), |(_, value)| value.clone());
            env.insert(input_name(name), value);
        }
        // Undeclared ones are exported too, with a warning.
        env.extend(step.with.iter().map(|(name, value)| (input_name(name), value.clone())));
        env.insert("HOME".into(), "/github/home".into());
        env.extend(step.github.clone());
        for (name, file) in [
            ("GITHUB_PATH", "add_path"),
            ("GITHUB_ENV", "set_env"),
            ("GITHUB_STEP_SUMMARY", "step_summary"),
            ("GITHUB_STATE", "save_state"),
            ("GITHUB_OUTPUT", "set_output"),
        ] {
            env.insert(name.into(), format!("/github/file_commands/{file}_{id}"));
        }
        for (name, value) in [
            ("GITHUB_WORKSPACE", "/github/workspace"),
            ("GITHUB_EVENT_PATH", "/github/workflow/event.json"),
            ("RUNNER_TEMP", "/github/runner_temp"),
        ] {
            env.insert(name.into(), value.into());
        }
        // Paths below the directories that are mounted are rewritten in every value.
        let mounts = self.mounts(step);
        for value in env.values_mut() {
            for (host, inside) in &mounts {
                if let Some(rest) = value.strip_prefix(host.to_string_lossy().as_ref())
                    && (rest.is_empty() || rest.starts_with('/'))
                {
                    *value = format!("{inside}{rest}");
                    break;
                }
            }
        }
        env
    }

    /// In the order in which paths are translated.
    fn mounts(&self, step: &Step) -> [(PathBuf, &'static str); 5] {
        [
            (step.workspace.clone(), "/github/workspace"),
            (self.temp.join("_runner_file_commands"), "/github/file_commands"),
            (self.temp.join("_github_workflow"), "/github/workflow"),
            (self.temp.join("_github_home"), "/github/home"),
            (self.temp.clone(), "/github/runner_temp"),
        ]
    }

    fn arguments(&self, step: &Step, stage: StageKind, env: &BTreeMap<String, String>, container: &str) -> Vec<String> {
        let fixed = ["run", "--name", container, "--label", LABEL, "--workdir", "/github/workspace", "--rm"];
        let mut args: Vec<String> = fixed.map(str::to_owned).into();
        for name in env.keys() {
            args.extend(["-e".to_owned(), name.clone()]);
        }
        args.extend(["-e", "GITHUB_ACTIONS=true", "-e", "CI=true"].map(str::to_owned));
        let entrypoint = match stage {
            StageKind::Main => &step.action.entrypoint,
            StageKind::Post => &step.action.post_entrypoint,
        };
        if let Some(entrypoint) = entrypoint {
            args.extend(["--entrypoint".to_owned(), entrypoint.clone()]);
        }
        if let Some(network) = &step.network {
            args.extend(["--network".to_owned(), network.clone()]);
        }
        let mut mount =
            |host: &Path, inside: &str| args.extend(["-v".to_owned(), format!("{}:{inside}", host.display())]);
        mount(&self.mounted_socket, "/var/run/docker.sock");
        for (host, inside) in self.mounts(step).iter().rev() {
            mount(host, inside);
        }
        args.push(step.image.clone());
        args
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
const LABEL: &str = "fe1400";

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

/// Only spaces change; hyphens stay.
fn input_name(name: &str) -> String {
    format!("INPUT_{}", name.replace(' ', "_").to_uppercase())
}

/// A default with its `${{ expression }}`s replaced; one without a value is empty, as on the runner.
fn evaluated(default: &str, expressions: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    let mut rest = default;
    while let Some((before, after)) = rest.split_once("${{") {
        let (expression, after) = after.split_once("}}").unwrap_or((after, ""));
        text.push_str(before);
        text.push_str(expressions.get(expression.trim()).map_or("", String::as_str));
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::{evaluated, input_name};

    #[test]
    fn names_and_defaults() {
        assert_eq!(input_name("discord-webhook"), "INPUT_DISCORD-WEBHOOK");
        let expressions = [("github.token".to_owned(), "t".to_owned())].into();
        assert_eq!(evaluated("a ${{ github.token }} b ${{ job.check_run_id }}", &expressions), "a t b ");
    }
}
