//! The demonstration: runs of the action's image on a project, as GitHub's runner would start them, with a local GitHub
//! and a local Discord; the site runs on a server of its own, and is asked for a page after each deployment.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use chrono::Utc;
use stand_ins::{
    action::{Action, ActionError},
    discord::{
        Receiver,
        terminal::{self, Paint},
    },
    github::GitHub,
    runner::{Machine, RunnerError, StageKind, StageReport},
};
use thiserror::Error;
use tokio::{process::Command, sync::mpsc};

use crate::scenes::{self, Scene};

/// What the demonstration needs to know.
#[derive(Clone, Debug, PartialEq, Eq, clap::Parser)]
#[command(name = "demo", about = "Shows whole runs of the action on this machine; `make demo` calls it")]
pub(crate) struct Options {
    /// The docker command line.
    #[arg(long, default_value = "docker")]
    docker: PathBuf,
    /// The engine's socket.
    #[arg(long)]
    engine_socket: PathBuf,
    /// Registry host that the engine can push to.
    #[arg(long)]
    registry: String,
    /// The action's `action.yml`; its image is `build-deploy:dev`.
    #[arg(long)]
    action: PathBuf,
    /// The project, with a compose file and a service `django`.
    #[arg(long, value_parser = absolute)]
    project: PathBuf,
    /// The server to deploy to, `user@host`; it runs Docker and an SSH server.
    #[arg(long)]
    server: String,
    /// The directory with the private key `id_ed25519` and `known_hosts`.
    #[arg(long, value_parser = absolute)]
    server_keys: PathBuf,
    /// An existing directory of that user on the server, visible under the same path here.
    #[arg(long, value_parser = absolute)]
    server_directory: PathBuf,
    /// The socket of the server's engine, to ask the site for its page.
    #[arg(long)]
    server_socket: PathBuf,
    /// Where the local GitHub and the local Discord listen; port 0 takes a free one for each.
    #[arg(long)]
    listen: SocketAddr,
    /// An existing directory for the messages and pages.
    // Docker takes a path that is not absolute for the name of a volume.
    #[arg(long, value_parser = absolute)]
    out: PathBuf,
}

fn absolute(path: &str) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

/// Why the demonstration failed.
#[derive(Debug, Error)]
pub(crate) enum DemoError {
    /// The repository's own `action.yml`.
    #[error(transparent)]
    Action(#[from] ActionError),
    /// The runner.
    #[error("run the action: {0}")]
    Runner(#[from] RunnerError),
    /// A file, or the local GitHub or Discord.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The action did not end as it should.
    #[error("the action ended with exit status {got}, not {want}")]
    Ended {
        /// How it did.
        got: i32,
        /// How it should.
        want: i32,
    },
    /// A docker command failed.
    #[error("docker {command}: {reason}")]
    Docker {
        /// Which.
        command: String,
        /// What it said.
        reason: String,
    },
    /// The site does not answer.
    #[error("the site does not answer; its log:\n{0}")]
    Silent(String),
}

/// How long the site may take to answer.
const ANSWER_TRIES: usize = 60;

/// Asks the site for its page from inside the container, and prints the status and the title.
const ASK: &str = "import re, urllib.request as r; a = r.urlopen('http://127.0.0.1:8000/', timeout=5); \
                   print(a.status, re.search('<title>(.*?)</title>', a.read().decode(), re.S).group(1).strip())";

/// Runs the demonstration, showing on `out` what a user would see where.
pub(crate) async fn show(options: &Options, out: &mut impl Write) -> Result<(), DemoError> {
    let io = |what: &str| {
        let what = what.to_owned();
        move |source| DemoError::Io { what, source }
    };
    let discord = Receiver::listen(options.listen).await.map_err(io("start the local Discord"))?;
    let github = GitHub::start(options.listen, scenes::REPOSITORY).await.map_err(io("start the local GitHub"))?;
    scenes::before(&github);
    let temp = options.out.join("runner_temp");
    fs::create_dir_all(&temp).map_err(io("make the runner's directory"))?;
    let machine = Machine {
        docker: options.docker.clone(),
        socket: options.engine_socket.clone(),
        mounted_socket: options.engine_socket.clone(),
        temp,
    };
    let text = fs::read_to_string(&options.action).map_err(io("read action.yml"))?;
    let action = Action::parse(&text)?;
    let inputs = site(options)?;
    let stage = Stage { machine, action, github, discord, inputs, registry: &options.registry, out: &options.out };

    stage.play(&Scene::push(&options.project), out).await?;
    let answer = ask(options).await?;
    say(out, format_args!("== asked the site on the server for its page: {answer} =="));
    for deployment in stage.github.change(|world| world.deployments()) {
        let id = deployment["id"].as_u64().unwrap_or_default();
        let states = stage.github.change(|world| world.statuses(id));
        let states: Vec<&str> = states.iter().filter_map(|status| status["state"].as_str()).collect();
        let name = deployment["environment"].as_str().unwrap_or_default();
        say(out, format_args!("== GitHub's deployment {id} of `{name}`: {} ==", states.join(", then ")));
    }

    let request =
        scenes::broken(&options.project, &options.out.join("pull-request")).map_err(io("copy the project"))?;
    stage.play(&request, out).await?;
    for comment in stage.github.change(|world| world.comments(scenes::PULL_REQUEST)) {
        stage.keep("the comment on the pull request", COMMENT, &comment, out)?;
    }

    let crash = scenes::crashes(&options.project, &options.out.join("crash")).map_err(io("copy the project"))?;
    let report = stage.play(&crash, out).await?;
    say(out, format_args!("== deploy-result: {} ==", report.outputs.get("deploy-result").map_or("", String::as_str)));
    let answer = ask(options).await?;
    say(out, format_args!("== asked the site on the server for its page again: {answer} =="));
    let _ = docker(options, &["rm", "--force", &format!("{SITE}-django-1")]).await;
    let files = format!("{PAGE} with all messages, *.page.md with the jobs' pages, {COMMENT}");
    say(out, format_args!("== in {}: {files} ==", options.out.display()));
    Ok(())
}

/// The file that holds the channel.
const PAGE: &str = "discord.html";
/// The file that holds the comment on the pull request.
const COMMENT: &str = "pull-request.comment.md";

/// Where scenes are played.
struct Stage<'a> {
    machine: Machine,
    action: Action,
    github: GitHub,
    discord: Receiver,
    /// The inputs for the deployment.
    inputs: Vec<(&'static str, String)>,
    registry: &'a str,
    out: &'a Path,
}

impl Stage<'_> {
    /// Runs a scene's step, showing log lines and messages as they come, and then its job page.
    async fn play(&self, scene: &Scene, out: &mut impl Write) -> Result<StageReport, DemoError> {
        say(out, format_args!("\n== {} ==", scene.title));
        let inputs: Vec<(&str, &str)> = self.inputs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let step = scene.step(&self.action, self.registry, &self.discord.url(), &self.github.url(), &inputs);
        let (sender, mut lines) = mpsc::unbounded_channel();
        let running = self.machine.start(&step, StageKind::Main, &BTreeMap::new(), Some(sender))?;
        let mut changes = self.discord.changes();
        let finished = running.finish();
        tokio::pin!(finished);
        let report = loop {
            tokio::select! {
                biased;
                Some(line) = lines.recv() => say(out, format_args!("{line}")),
                Ok(()) = changes.changed() => self.message(out),
                report = &mut finished => break report?,
            }
        };
        while let Ok(line) = lines.try_recv() {
            say(out, format_args!("{line}"));
        }
        self.message(out);
        if step.action.needs_post(&report.variables) {
            let post = self.machine.start(&step, StageKind::Post, &report.state, None)?.finish().await?;
            say(out, format_args!("== the post stage ended with exit status {} ==", post.exit_code));
        } else {
            say(out, format_args!("== nothing to repair: the runner skips the post stage =="));
        }
        self.keep("the job's page", &format!("{}.page.md", scene.name), &report.summary, out)?;
        if report.exit_code == scene.exit_code {
            Ok(report)
        } else {
            Err(DemoError::Ended { got: report.exit_code, want: scene.exit_code })
        }
    }

    /// Shows the newest message of the channel, and saves the channel as a page.
    fn message(&self, out: &mut impl Write) {
        let messages = self.discord.messages();
        let newest = messages.last().map(|newest| terminal::message(newest, Utc::now(), Paint::Ansi));
        say(out, format_args!("\n== Discord ==\n{}\n", newest.unwrap_or_default()));
        // A page that cannot be saved is shown all the same.
        let _ = fs::write(self.out.join(PAGE), self.discord.html());
    }

    /// Shows Markdown, and saves it.
    fn keep(&self, what: &str, file: &str, text: &str, out: &mut impl Write) -> Result<(), DemoError> {
        let path = self.out.join(file);
        say(out, format_args!("\n== {what}: {} ==\n{text}", path.display()));
        fs::write(&path, text).map_err(|source| DemoError::Io { what: format!("write {}", path.display()), source })
    }
}

/// The project on the server.
const SITE: &str = "django-site";

/// Prepares the project on the server, and returns the inputs that deploy to it.
fn site(options: &Options) -> Result<Vec<(&'static str, String)>, DemoError> {
    let io = |what: &str| {
        let what = what.to_owned();
        move |source| DemoError::Io { what, source }
    };
    let directory = options.server_directory.join(SITE);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).map_err(io("make the project on the server"))?;
    let compose = format!(
        "services:\n  django:\n    image: {}/{}/django:main\n    command: /start\n    restart: always\n    environment:\n      \
         DJANGO_SECRET_KEY: demo\n      DJANGO_ALLOWED_HOSTS: '*'\n      DJANGO_SECURE_SSL_REDIRECT: 'False'\n",
        options.registry,
        scenes::REPOSITORY
    );
    fs::write(directory.join("compose.yaml"), compose).map_err(io("write the compose file on the server"))?;
    // The user of the server owns its project.
    let owner = fs::metadata(&options.server_directory).map_err(io("read the server's directory"))?;
    for path in [directory.join("compose.yaml"), directory.clone()] {
        std::os::unix::fs::chown(&path, Some(owner.uid()), Some(owner.gid()))
            .map_err(io("give the project to its user"))?;
    }
    let key = |file: &str| fs::read_to_string(options.server_keys.join(file)).map_err(io("read the server's keys"));
    let target = format!("name: production\ncompose: ssh://{}{}\n", options.server, directory.display());
    Ok(vec![("deploy", target), ("ssh-key", key("id_ed25519")?), ("ssh-known-hosts", key("known_hosts")?)])
}

/// Asks the site on the server for its page.
async fn ask(options: &Options) -> Result<String, DemoError> {
    let container = format!("{SITE}-django-1");
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
    answer
}

/// What a docker command at the server's engine prints.
async fn docker(options: &Options, args: &[&str]) -> Result<String, DemoError> {
    let failed = |reason: String| DemoError::Docker { command: args.join(" "), reason };
    let Output { status, stdout, stderr } = Command::new(&options.docker)
        .args(args)
        .env("DOCKER_HOST", format!("unix://{}", options.server_socket.display()))
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
