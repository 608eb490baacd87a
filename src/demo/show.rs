//! The command `demo`: a whole run of the action's image on a project, as GitHub's runner would start it, with a local
//! Discord; at the end the pushed image is pulled and asked for a page.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::json;
use thiserror::Error;
use tokio::{process::Command, sync::mpsc};

use super::{
    action::{Action, ActionError},
    discord::{Receiver, terminal::Paint},
    runner::{Machine, RunnerError, StageKind, StageReport, Step},
};

/// What the demonstration needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The docker command line.
    pub docker: PathBuf,
    /// The engine's socket.
    pub engine_socket: PathBuf,
    /// Registry host that the engine can push to.
    pub registry: String,
    /// The project, with a compose file and a service `django`.
    pub project: PathBuf,
    /// Where the local Discord listens; port 0 takes a free one.
    pub discord_listen: SocketAddr,
    /// Where the messages are saved: a directory that is there.
    pub out: PathBuf,
}

/// Why the demonstration failed.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The repository's own `action.yml`.
    #[error(transparent)]
    Action(#[from] ActionError),
    /// The runner.
    #[error("run the action: {0}")]
    Runner(#[from] RunnerError),
    /// A file, or the local Discord.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The action did not succeed.
    #[error("the action ended with exit status {0}")]
    Failed(i32),
    /// A docker command failed.
    #[error("docker {command}: {reason}")]
    Docker {
        /// Which.
        command: String,
        /// What it said.
        reason: String,
    },
    /// The site does not answer.
    #[error("the pushed image does not answer; its log:\n{0}")]
    Silent(String),
}

/// How long the site may take to answer.
const ANSWER_TRIES: usize = 60;
const COMMIT: &str = "8f0c3a5b7d9e1f2a4b6c8d0e2f4a6b8c0d2e4f60";

/// Asks the site for its page from inside the container, and prints the status and the title.
const ASK: &str = "import re, urllib.request as r; a = r.urlopen('http://127.0.0.1:8000/', timeout=5); \
                   print(a.status, re.search('<title>(.*?)</title>', a.read().decode(), re.S).group(1).strip())";

/// Runs the demonstration, showing on `out` what a user would see where.
pub async fn show(options: &Options, out: &mut impl Write) -> Result<(), DemoError> {
    let io = |what: &str| {
        let what = what.to_owned();
        move |source| DemoError::Io { what, source }
    };
    let discord = Receiver::start(options.discord_listen).await.map_err(io("start the local Discord"))?;
    let temp = options.out.join("runner_temp");
    fs::create_dir_all(&temp).map_err(io("make the runner's directory"))?;
    let machine = Machine {
        docker: options.docker.clone(),
        socket: options.engine_socket.clone(),
        mounted_socket: options.engine_socket.clone(),
        temp,
    };
    let report = act(&machine, &step(options, &discord)?, &discord, options, out).await?;
    say(out, format_args!("\n== the job summary ==\n{}", report.summary));
    let page = options.out.join("discord.html");
    say(out, format_args!("== the messages as a page: {} ==", page.display()));
    if report.exit_code != 0 {
        return Err(DemoError::Failed(report.exit_code));
    }
    let image = report.outputs.get("ref").cloned().unwrap_or_default();
    let answer = ask(options, &image).await?;
    say(out, format_args!("== pulled {image} and asked it for its page: {answer} =="));
    Ok(())
}

/// Runs the step, showing log lines and messages as they come.
async fn act(
    machine: &Machine,
    step: &Step,
    discord: &Receiver,
    options: &Options,
    out: &mut impl Write,
) -> Result<StageReport, DemoError> {
    let (sender, mut lines) = mpsc::unbounded_channel();
    let running = machine.start(step, StageKind::Main, &BTreeMap::new(), Some(sender))?;
    let mut changes = discord.changes();
    let finished = running.finish();
    tokio::pin!(finished);
    let report = loop {
        tokio::select! {
            biased;
            Some(line) = lines.recv() => say(out, format_args!("{line}")),
            Ok(()) = changes.changed() => message(discord, options, out),
            report = &mut finished => break report?,
        }
    };
    while let Ok(line) = lines.try_recv() {
        say(out, format_args!("{line}"));
    }
    message(discord, options, out);
    let post = machine.start(step, StageKind::Post, &report.state, None)?.finish().await?;
    say(out, format_args!("== the post stage ended with exit status {} ==", post.exit_code));
    Ok(report)
}

/// Shows the channel, and saves it as a page.
fn message(discord: &Receiver, options: &Options, out: &mut impl Write) {
    say(out, format_args!("\n== Discord ==\n{}\n", discord.text(Paint::Ansi)));
    // A page that cannot be saved is shown all the same.
    let _ = fs::write(options.out.join("discord.html"), discord.html());
}

fn step(options: &Options, discord: &Receiver) -> Result<Step, DemoError> {
    let text = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let url = discord.url();
    Ok(Step {
        action: Action::parse(include_str!("../../action.yml"))?,
        image: "build-deploy:dev".to_owned(),
        workspace: options.project.clone(),
        with: text(&[("registry", &options.registry), ("discord-webhook", &url)]),
        env: BTreeMap::new(),
        github: text(&[
            ("GITHUB_ACTOR", "octocat"),
            ("GITHUB_EVENT_NAME", "push"),
            ("GITHUB_REF", "refs/heads/main"),
            ("GITHUB_REF_NAME", "main"),
            ("GITHUB_REF_TYPE", "branch"),
            ("GITHUB_REPOSITORY", "example/django-site"),
            ("GITHUB_REPOSITORY_OWNER", "example"),
            ("GITHUB_RUN_ATTEMPT", "1"),
            ("GITHUB_RUN_ID", "1"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_SHA", COMMIT),
            ("GITHUB_WORKFLOW", "build"),
        ]),
        expressions: text(&[("job.status", "success")]),
        payload: json!({
            "repository": {"default_branch": "main", "description": "A Django site"},
            "head_commit": {
                "id": COMMIT,
                "message": "Greet visitors by name\n\nMore of it.",
                "timestamp": "2026-01-02T03:04:05Z",
            },
        })
        .to_string(),
        network: None,
    })
}

/// Pulls the image anew, starts its web server and asks it for a page.
async fn ask(options: &Options, image: &str) -> Result<String, DemoError> {
    // Whatever is left of an earlier pull goes, so that it is the registry's image that answers.
    let _ = docker(options, &["rmi", "-f", image]).await;
    docker(options, &["pull", "--quiet", image]).await?;
    let environment =
        ["--env=DJANGO_SECRET_KEY=demo", "--env=DJANGO_ALLOWED_HOSTS=*", "--env=DJANGO_SECURE_SSL_REDIRECT=False"];
    let run = [&["run", "--detach", "--rm"], &environment[..], &[image, "/start"]].concat();
    let container = docker(options, &run).await?;
    let mut answer = Err(DemoError::Silent(String::new()));
    for _ in 0..ANSWER_TRIES {
        answer = docker(options, &["exec", &container, "python", "-c", ASK]).await;
        if answer.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    if answer.is_err() {
        let log = docker(options, &["logs", &container]).await.unwrap_or_default();
        answer = Err(DemoError::Silent(log));
    }
    // It was started with --rm; one that ended by itself is gone already.
    let _ = docker(options, &["kill", &container]).await;
    answer
}

/// What a docker command prints.
async fn docker(options: &Options, args: &[&str]) -> Result<String, DemoError> {
    let failed = |reason: String| DemoError::Docker { command: args.join(" "), reason };
    let Output { status, stdout, stderr } = Command::new(&options.docker)
        .args(args)
        .env("DOCKER_HOST", format!("unix://{}", options.engine_socket.display()))
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| failed(error.to_string()))?;
    if status.success() {
        Ok(String::from_utf8_lossy(&stdout).trim().to_owned())
    } else {
        Err(failed(String::from_utf8_lossy(&stderr).trim().to_owned()))
    }
}

fn say(out: &mut impl Write, text: std::fmt::Arguments<'_>) {
    // A terminal that is gone has nobody to be told.
    let _ = writeln!(out, "{text}");
}

/// The options of the command line.
impl Options {
    /// Reads them from the values of the flags of the same names.
    pub fn read(flag: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let required = |name: &str| flag(name).ok_or_else(|| format!("--{name} is missing"));
        let listen = required("discord-listen")?;
        let absolute = |path: String| fs::canonicalize(&path).map_err(|error| format!("{path}: {error}"));
        Ok(Self {
            docker: PathBuf::from(flag("docker").unwrap_or_else(|| "docker".to_owned())),
            engine_socket: PathBuf::from(required("engine-socket")?),
            registry: required("registry")?,
            project: absolute(required("project")?)?,
            discord_listen: listen.parse().map_err(|error| format!("--discord-listen {listen}: {error}"))?,
            // Docker takes a path that is not absolute for the name of a volume.
            out: absolute(required("out")?)?,
        })
    }
}
