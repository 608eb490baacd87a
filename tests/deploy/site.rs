//! A project on the lab's server, and the images that it runs.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use build_deploy::{
    cancel::{self, Cancel},
    deploy::{
        self, Context, Saved, Settings, TargetSpec,
        compose::{ComposeSettings, ComposeTarget, Strategy},
        release::{Content, Image, Release},
        target::Migration,
    },
    domain::{
        credentials::{Credentials, Login},
        deploy::{DeployReport, DeployStep},
        digest::Digest,
        secret::Secret,
    },
    ssh::{Identity, KnownHosts, Server},
};
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    gate::Gate,
    lab::{self, stdout, var},
};

/// What the image of each version does.
const VERSIONS: [(&str, &str); 10] = [
    ("v1", RUNS),
    ("v2", RUNS),
    ("v3", RUNS),
    ("sick", RUNS),
    ("crash", "echo starting; echo boom >&2; sleep 0.5; exit 3"),
    ("late", "echo starting; sleep 4; exit 3"),
    ("done", "echo done"),
    ("site1", SERVES),
    ("site2", SERVES),
    ("site-bad", "mkdir -p /www; echo bad >/www/index.html; httpd -p 8080 -h /www; sleep 3; echo boom; exit 3"),
];
const SERVES: &str = "mkdir -p /www; echo $VERSION >/www/index.html; exec httpd -f -p 8080 -h /www";
const RUNS: &str = "trap 'exit 0' TERM; echo serving; while :; do sleep 1 & wait $!; done";

/// A web service and a worker with the image of the run, and a service with an image of others.
pub(super) const USUAL: &str = r#"
services:
  web:
    image: IMAGE:latest
    build: .
    restart: always
    depends_on: [db]
    volumes: ["data:/data"]
  worker:
    image: IMAGE:latest
    environment: {PASSWORD: s3cret-canary-env}
  db:
    image: BUSYBOX
    command: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $$!; done"]
volumes: {data: {}}
"#;

/// A project. Its containers, networks and files are removed with it.
pub(super) struct Site {
    pub(super) name: String,
    pub(super) directory: PathBuf,
    /// The way to the server.
    pub(super) ssh: Gate,
    /// The way from the server to the registry.
    pub(super) registry: Gate,
    pub(super) steps: RefCell<Vec<DeployStep>>,
    pub(super) saved: RefCell<Option<Saved>>,
}

impl Site {
    pub(super) async fn new(name: &str, compose: &str) -> Self {
        Self::behind(22, name, compose).await
    }

    /// A project that is reached through this port of the server.
    pub(super) async fn behind(port: u16, name: &str, compose: &str) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let server: SocketAddr = format!("{}:{port}", var("LAB_SERVER")).parse().unwrap();
        let ssh = Gate::new("127.0.0.1", server).await;
        let registry = Gate::new(&var("LAB_ADDR"), var("LAB_BASIC").parse().unwrap()).await;
        let directory = Path::new(&var("LAB_SERVER_DIR")).join("home/srv").join(&name);
        fs::create_dir_all(&directory).unwrap();
        let (steps, saved) = (RefCell::default(), RefCell::default());
        let site = Self { name, directory, ssh, registry, steps, saved };
        site.write("compose.yml", compose);
        stdout(Command::new("chown").args(["-R", "42421:42421"]).arg(&site.directory));
        site
    }

    /// Writes a file of the project.
    pub(super) fn write(&self, file: &str, text: &str) {
        fs::write(self.directory.join(file), self.filled(text)).unwrap();
    }

    /// A compose file with the names of the images.
    pub(super) fn filled(&self, text: &str) -> String {
        let busybox = format!("{}:5900/library/busybox:1.36", var("LAB_ADDR"));
        text.replace("IMAGE", &self.repository()).replace("BUSYBOX", &busybox)
    }

    pub(super) fn repository(&self) -> String {
        format!("{}:{}/deploy/site", var("LAB_ADDR"), self.registry.port)
    }

    pub(super) fn server(&self) -> Server {
        let key = Secret::new(Self::private_key());
        Server {
            host: "127.0.0.1".into(),
            port: self.ssh.port,
            user: var("LAB_SERVER_USER"),
            identities: vec![Identity { key, passphrase: None }],
            agent: None,
            jump: None,
            known_hosts: KnownHosts::parse(&self.known_hosts()).unwrap(),
        }
    }

    /// The server's keys, by the address that this project is reached at.
    pub(super) fn known_hosts(&self) -> String {
        let known = fs::read_to_string(Path::new(&var("LAB_SERVER_DIR")).join("ssh/known_hosts")).unwrap();
        known.replace(&var("LAB_SERVER"), &format!("[127.0.0.1]:{}", self.ssh.port))
    }

    /// The key that the server accepts.
    pub(super) fn private_key() -> String {
        fs::read_to_string(Path::new(&var("LAB_SERVER_DIR")).join("ssh/id_ed25519")).unwrap()
    }

    pub(super) fn settings(&self) -> ComposeSettings {
        let mut credentials = Credentials::default();
        let login = Login { username: var("LAB_USER"), password: Secret::new(var("LAB_PASSWORD")) };
        credentials.insert(&format!("{}:{}", var("LAB_ADDR"), self.registry.port), login);
        ComposeSettings {
            name: "server".into(),
            server: self.server(),
            path: self.directory.display().to_string(),
            project: None,
            files: Vec::new(),
            sync: Vec::new(),
            has_files: false,
            strategy: Strategy::Recreate,
            keep: 2,
            credentials,
        }
    }

    pub(super) fn spec(&self) -> TargetSpec<ComposeTarget> {
        let settings = Settings {
            settle: Duration::from_secs(3),
            timeout: Duration::from_secs(30),
            lock_wait: Duration::from_mins(1),
            ..Settings::default()
        };
        TargetSpec { target: ComposeTarget::new(self.settings()), settings, joins_previous: false }
    }

    /// The release with the image of this version.
    pub(super) fn release(&self, version: &str) -> Release {
        let (name, repository) = ("site".into(), self.repository());
        let image = Image { name, repository, digest: pushed(version), services: Vec::new() };
        Release {
            id: format!("{version}-1"),
            commit: format!("commit-{version}"),
            actor: "octocat".into(),
            run_url: "https://ci.example/1".into(),
            content: Content::Images(vec![image]),
        }
    }

    pub(super) async fn deploy(&self, version: &str) -> DeployReport {
        self.deploy_with(self.spec(), &self.release(version)).await
    }

    pub(super) async fn migrate(&self, version: &str, command: &[&str]) -> DeployReport {
        let mut spec = self.spec();
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        spec.settings.migrations = vec![Migration { service: "web".into(), command }];
        self.deploy_with(spec, &self.release(version)).await
    }

    pub(super) async fn deploy_with(&self, spec: TargetSpec<ComposeTarget>, release: &Release) -> DeployReport {
        let (_canceller, cancel) = cancel::channel();
        self.deploy_until(spec, release, &cancel).await
    }

    pub(super) async fn deploy_until(
        &self,
        spec: TargetSpec<ComposeTarget>,
        release: &Release,
        cancel: &Cancel,
    ) -> DeployReport {
        let mut reports = Box::pin(self.within(cancel, async |cx| deploy::all(&[(&spec, release)], cx).await)).await;
        reports.remove(0)
    }

    /// What the post stage does.
    pub(super) async fn repair(&self) -> DeployReport {
        let (_canceller, cancel) = cancel::channel();
        let saved = self.saved.borrow().clone().unwrap();
        self.within(&cancel, async |cx| deploy::repair(&self.spec(), &saved, cx).await).await
    }

    async fn within<R>(&self, cancel: &Cancel, work: impl AsyncFnOnce(Context<'_>) -> R) -> R {
        work(Context {
            cancel,
            dry_run: false,
            journal: &|_: &str, saved: Option<&Saved>| *self.saved.borrow_mut() = saved.cloned(),
            notice: &|_, step| self.steps.borrow_mut().push(step),
            is_newer: &|_| async { false }.boxed(),
        })
        .await
    }

    /// Ids of the containers of a service, sorted.
    pub(super) fn containers(&self, service: &str) -> Vec<String> {
        let project = format!("com.docker.compose.project={}", self.name);
        let service = format!("com.docker.compose.service={service}");
        let found = lab::containers(&socket(), &json!({"label": [project, service]}));
        let mut ids: Vec<String> = found.iter().map(|one| one["Id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    }

    /// The version that a service runs, and the state of its container, for each of its containers.
    pub(super) fn runs(&self, service: &str) -> Vec<String> {
        let version = |id: &String| {
            let container = lab::get(&socket(), &format!("/containers/{id}/json"));
            let variables = container["Config"]["Env"].as_array().unwrap().iter().filter_map(Value::as_str);
            let version = variables.into_iter().find_map(|one| one.strip_prefix("VERSION=")).unwrap_or("?").to_owned();
            format!("{version} {}", container["State"]["Status"].as_str().unwrap())
        };
        self.containers(service).iter().map(version).collect()
    }

    /// Whether web and worker run this version, whole.
    #[track_caller]
    pub(super) fn assert_runs(&self, version: &str) {
        for service in ["web", "worker"] {
            assert_eq!(self.runs(service), [format!("{version} running")], "{service}");
        }
    }

    /// What is left of deployments: no lock, no files but those of releases, no credentials.
    #[track_caller]
    pub(super) fn assert_clean(&self) {
        let directory = self.directory.join(".build-deploy");
        let is_needed = |name: &str| {
            let id = name.strip_prefix("release-").and_then(|name| name.rsplit_once('.')).map(|(id, _)| id);
            let known = ["current.yml", "lock", "operation.lock", "releases.jsonl"];
            known.contains(&name)
                || id.is_some_and(|id| self.file("releases.jsonl").contains(&format!(r#"{{"id":"{id}","#)))
        };
        let entries = fs::read_dir(&directory).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left: Vec<String> = names.filter(|name| !is_needed(name)).collect();
        assert!(left.is_empty(), "left of a deployment: {left:?}");
        let free = Command::new("flock").arg("-n").arg(directory.join("lock")).arg("true").status().unwrap();
        assert!(free.success(), "the lock is held");
        let home = Path::new(&var("LAB_SERVER_DIR")).join("home");
        let found = Command::new("grep").args(["-rl", &var("LAB_PASSWORD")]).arg(&home).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "", "the password is stored");
        let project = format!("com.docker.compose.project={}", self.name);
        let one_off = lab::containers(&socket(), &json!({"label": ["com.docker.compose.oneoff=True", project]}));
        assert!(one_off.is_empty(), "the container of a migration is left: {one_off:?}");
    }

    pub(super) fn file(&self, name: &str) -> String {
        fs::read_to_string(self.directory.join(".build-deploy").join(name)).unwrap_or_default()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let label = format!("label=com.docker.compose.project={}", self.name);
        let remove = |list: &[&str], remove: &[&str]| {
            let ids = docker(&[list, &["--filter", &label]].concat()).output().unwrap();
            let ids = String::from_utf8_lossy(&ids.stdout).into_owned();
            let ids: Vec<&str> = ids.split_whitespace().collect();
            if !ids.is_empty() {
                let _ = docker(&[remove, &ids].concat()).output();
            }
        };
        remove(&["ps", "-aq"], &["rm", "-fv"]);
        remove(&["network", "ls", "-q"], &["network", "rm"]);
        remove(&["volume", "ls", "-q"], &["volume", "rm"]);
        let format = "{{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}";
        let images = docker(&["images", "--digests", "--format", format]).output().unwrap();
        let images = String::from_utf8_lossy(&images.stdout).into_owned();
        let (kept, own) = (format!("build-deploy/kept:{}-", self.name), format!("{}@", self.repository()));
        let images: Vec<&str> =
            images.split_whitespace().filter(|image| image.starts_with(&kept) || image.starts_with(&own)).collect();
        if !images.is_empty() {
            let _ = docker(&[&["rmi"], &images[..]].concat()).output();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// What a docker command prints on the server's engine.
pub(super) fn engine(args: &[&str]) -> String {
    stdout(&mut docker(args))
}

fn socket() -> PathBuf {
    Path::new(&var("LAB_SERVER_DIR")).join("docker.sock")
}

/// Whether the server has an image of this name.
pub(super) fn has_image(name: &str) -> bool {
    docker(&["image", "inspect", name]).output().unwrap().status.success()
}

fn docker(args: &[&str]) -> Command {
    let mut command = Command::new(var("LAB_DOCKER"));
    command.args(args).env("DOCKER_HOST", format!("unix://{}", socket().display()));
    command
}

/// Pushes the image of a version to the registry that asks for a password.
pub(super) fn pushed(version: &str) -> Digest {
    static KNOWN: Mutex<BTreeMap<String, Digest>> = Mutex::new(BTreeMap::new());
    KNOWN.lock().unwrap().entry(version.to_owned()).or_insert_with(|| push(version)).clone()
}

fn push(version: &str) -> Digest {
    let config = login();
    let crane = |args: &[&str]| crane(&config, args);
    let base = format!("{}:5900/library/busybox:1.36", var("LAB_ADDR"));
    let name = format!("{}/deploy/site:{version}", var("LAB_BASIC"));
    if let Ok(digest) = String::from_utf8_lossy(&crane(&["digest", &name]).output().unwrap().stdout).trim().parse() {
        return digest;
    }
    let (_, script) = VERSIONS.iter().find(|(name, _)| *name == version).unwrap();
    stdout(&mut crane(&["copy", &base, &name]));
    let environment = format!("VERSION={version}");
    let entrypoint = ["--entrypoint", "/bin/sh", "--cmd", &format!("-c,{script}")];
    stdout(&mut crane(&[&["mutate", &name, "-t", &name, "-e", &environment][..], &entrypoint].concat()));
    stdout(&mut crane(&["digest", &name])).trim().parse().unwrap()
}

/// Pushes the image of a version with the label of another commit.
pub(super) fn relabeled(version: &str) -> Digest {
    pushed(version);
    let config = login();
    let name = format!("{}/deploy/site:{version}", var("LAB_BASIC"));
    let (again, label) = (format!("{name}-again"), "org.opencontainers.image.revision=another");
    stdout(&mut crane(&config, &["mutate", &name, "-t", &again, "--label", label]));
    stdout(&mut crane(&config, &["digest", &again])).trim().parse().unwrap()
}

/// The login at the registry that asks for a password.
fn login() -> TempDir {
    let config = tempfile::tempdir().unwrap();
    let auth = STANDARD.encode(format!("{}:{}", var("LAB_USER"), var("LAB_PASSWORD")));
    let text = format!(r#"{{"auths": {{"{}": {{"auth": "{auth}"}}}}}}"#, var("LAB_BASIC"));
    fs::write(config.path().join("config.json"), text).unwrap();
    config
}

fn crane(config: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(var("LAB_CRANE"));
    command.arg("--insecure").args(args).env("DOCKER_CONFIG", config.path());
    command
}
