//! Docker Compose on a server, over SSH.
//!
//! The server needs Docker, Compose 2.24 or later, `flock` and `timeout`, and a user who may use Docker and write to the
//! project's directory. What belongs to deployments is stored in `.build-deploy` there, readable for that user only:
//!
//! | file | content |
//! |---|---|
//! | `release-ID.yml` | pins the images of a release; merged into the project's compose files |
//! | `current.yml` | a link to the one that runs; add it to `COMPOSE_FILE` for a plain `docker compose up` |
//! | `restore-ID.yml` | pins what ran before, during a deployment |
//! | `unfinished.json` | the plan of a deployment that has not ended |
//! | `releases.jsonl` | the releases, one a line |
//! | `stage-*`, `before` | the files of a release before they are put in place, and the former files |
//! | `release-ID.log` | what the last command of a deployment printed |
//! | `lock`, `holder`, `operation.lock` | the locks, and who holds the first |
//!
//! The images of kept releases get the tag `build-deploy/kept:PROJECT-DIGEST`, since `docker image prune` removes images
//! without one. No credentials are stored: images are pulled through the engine's API, whose requests carry them.

mod archive;
mod commands;
mod engine;
mod images;
mod inspect;
mod lock;
mod migrate;
mod operate;
mod probe;
mod project;
mod read;
mod records;
mod remote;
mod rollout;
mod settings;
mod sync;

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::sync::{Mutex, OnceCell};

use self::{
    engine::Engine,
    operate::{release_file, restore_file},
    read::Seen,
    remote::Remote,
    sync::Again,
};
pub use self::{
    lock::Lock,
    settings::{ComposeSettings, InvalidPath, Strategy, SyncedFile},
};
use super::{
    judge::Container,
    plan::Plan,
    release::Release,
    target::{Attempt, Migration, Present, Target, TargetError},
};
use crate::domain::deploy::DeployResult;

/// A project of Docker Compose on a server.
#[derive(Debug)]
pub struct ComposeTarget {
    settings: ComposeSettings,
    remote: Arc<Remote>,
    found: OnceCell<Found>,
    seen: Mutex<Option<Seen>>,
    /// The files of the earlier release that is deployed again.
    again: OnceLock<Again>,
    /// Distinguishes this process from others that deploy to the same project.
    nonce: u32,
}

/// What does not change during a run.
#[derive(Debug)]
struct Found {
    /// The project's files, relative to its directory.
    files: Vec<String>,
    engine: Engine,
}

impl ComposeTarget {
    /// Creates the target. Connects when it is used.
    pub fn new(settings: ComposeSettings) -> Self {
        let remote = Arc::new(Remote::new(settings.server.clone()));
        Self {
            settings,
            remote,
            found: OnceCell::new(),
            seen: Mutex::default(),
            again: OnceLock::new(),
            nonce: rand::random(),
        }
    }
}

impl Target for ComposeTarget {
    type Lock = Lock;

    fn name(&self) -> &str {
        &self.settings.name
    }

    fn kind(&self) -> &'static str {
        "compose"
    }

    async fn check(&self) -> Result<BTreeSet<String>, TargetError> {
        // Asks the engine, too.
        Ok(self.seen().await?.project.services.into_keys().collect())
    }

    async fn read(&self) -> Result<Present, TargetError> {
        self.present().await
    }

    async fn lock(&self, release: &Release) -> Result<Attempt<Lock>, TargetError> {
        Lock::take(&self.remote, &self.settings.path, release).await
    }

    fn is_held(&self, lock: &Lock) -> bool {
        lock.is_held()
    }

    async fn unlock(&self, lock: Lock) {
        lock.free().await;
    }

    async fn prepare(&self, plan: &Plan, may_stay: &BTreeSet<String>) -> Result<BTreeSet<String>, TargetError> {
        let seen = self.seen().await?;
        self.fetch(plan, &seen.project.name).await?;
        self.alike(plan, may_stay, &seen).await
    }

    async fn save(&self, plan: &Plan) -> Result<(), TargetError> {
        let seen = self.seen().await?;
        let note = serde_json::to_string(plan).unwrap_or_default() + "\n";
        let (release, restore) = (release_file(&plan.release), restore_file(&plan.release));
        // Whoever finds the note finds the others.
        let pins = self.pins_of_restore(plan, &seen).await?;
        let files =
            [(release.as_str(), Self::pins_of_release(plan, &seen)), (&restore, pins), ("unfinished.json", note)];
        self.write(&files).await?;
        // From here on, whoever finds the note finds the way back for the files, too.
        self.place_files(&plan.release).await
    }

    async fn migrate(&self, plan: &Plan, migration: &Migration, limit: Duration) -> Result<(), TargetError> {
        self.run_migration(plan, migration, limit).await
    }

    async fn switch(&self, plan: &Plan, limit: Duration) -> Result<(), TargetError> {
        self.up(plan, limit).await
    }

    async fn observe(&self, services: &BTreeSet<&str>) -> Result<Vec<Container>, TargetError> {
        self.sample(services).await
    }

    async fn restore(&self, plan: &Plan, limit: Duration) -> Result<(), TargetError> {
        self.back(plan, limit).await
    }

    async fn logs(&self, service: &str) -> Vec<String> {
        self.last_lines(service).await.unwrap_or_default()
    }

    async fn record(&self, plan: &Plan, release: &Release, result: DeployResult) -> Result<(), TargetError> {
        self.write_record(plan, release, result).await
    }

    fn by_hand(&self, plan: &Plan) -> Vec<String> {
        self.restore_commands(plan)
    }
}

/// The tag that protects an image of a project from being removed. Short enough for any project name.
fn kept_tag(project: &str, digest: &str) -> String {
    let hex = digest.trim_start_matches("sha256:");
    let project: String = project.chars().take(80).collect();
    format!("build-deploy/kept:{project}-{}", hex.get(..16).unwrap_or(hex))
}
