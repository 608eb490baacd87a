//! A BuildKit daemon in a container of the engine: created or joined before the build, released after it.
//!
//! Runs that need the same configuration share a container, whose name is derived from the configuration. The last run
//! that releases it removes it: a run that uses it has an `exec` in it, which the engine lists. The state stays in a volume
//! of the same name, so that the next run on a self-hosted runner has a warm cache.
//! The container that buildx creates: <https://github.com/docker/buildx/blob/master/driver/docker-container/driver.go>.

use std::{
    collections::{BTreeSet, HashMap},
    fmt, io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bollard::{
    Docker,
    models::{ContainerCreateBody, HostConfig, Mount, MountType},
    query_parameters::{
        CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder, LogsOptionsBuilder,
        RemoveContainerOptionsBuilder, StartContainerOptions, UploadToContainerOptionsBuilder,
    },
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use thiserror::Error;

use super::{
    buildkitd, container_image,
    engine::{ApiError, Engine, RegistryRules, api_error},
    node::Node,
};
use crate::{
    buildkit::{Endpoint, endpoint::Dial, exec, transport::Stream},
    domain::credentials::Credentials,
    events::Events,
    inputs::builder::ContainerInput,
};

/// Why a BuildKit container cannot be used.
#[derive(Debug, Error)]
pub enum ContainerError {
    /// The engine refused an operation.
    #[error("cannot {operation} the BuildKit container: {source}")]
    Engine {
        /// The operation, a verb.
        operation: &'static str,
        /// The engine's reason.
        #[source]
        source: ApiError,
    },
    /// The image cannot be pulled.
    #[error("cannot pull {image}: {source}")]
    Pull {
        /// The image.
        image: String,
        /// The engine's reason.
        #[source]
        source: ApiError,
    },
    /// The container exited.
    #[error("the BuildKit container exited: {0}")]
    Exited(String),
    /// The container runs, but its BuildKit does not answer.
    #[error("BuildKit does not answer in its container: {0}")]
    Silent(String),
}

/// A container that this run uses.
#[derive(Debug)]
pub struct ContainerLease {
    engine: Arc<Engine>,
    container: String,
    /// The ids of the programs that this run started in it.
    programs: Mutex<Vec<String>>,
}

impl ContainerLease {
    /// Uses a container. It is released only as a part of [`ContainerLeases`].
    pub fn new(engine: Arc<Engine>, container: String) -> Arc<Self> {
        Arc::new(Self { engine, container, programs: Mutex::default() })
    }

    /// The endpoint of its BuildKit.
    pub fn endpoint(self: Arc<Self>) -> Endpoint {
        Endpoint::Dialer(self)
    }

    /// The container's name.
    pub fn container(&self) -> &str {
        &self.container
    }

    /// Removes the container unless another run uses it. Its volume stays.
    ///
    /// If another run does, waits until the programs of this run have ended: of two runs that release a container at the
    /// same time, the later one must see that the other is gone.
    async fn release(&self) -> Result<(), ApiError> {
        let docker = self.engine.client().await?;
        let started = lock(&self.programs).clone();
        loop {
            let Some(programs) = programs(docker, &self.container).await? else { return Ok(()) };
            let (own, others): (Vec<_>, Vec<_>) = programs.into_iter().partition(|id| started.contains(id));
            if others.is_empty() {
                return remove(docker, &self.container).await;
            }
            if own.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tonic::async_trait]
impl Dial for ContainerLease {
    async fn dial(&self) -> io::Result<Stream> {
        let docker = self.engine.client().await.map_err(io::Error::other)?;
        let started = exec::start(docker, &self.container, &["buildctl", "dial-stdio"]).await;
        let (id, stream) = started.map_err(|error| io::Error::other(api_error(error)))?;
        lock(&self.programs).push(id);
        Ok(Box::new(stream))
    }
}

impl fmt::Display for ContainerLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "docker-container://{}", self.container)
    }
}

/// The containers that a run uses. They are released after the run, regardless of its outcome.
#[derive(Clone, Debug, Default)]
pub struct ContainerLeases(Arc<Mutex<Vec<Arc<ContainerLease>>>>);

impl ContainerLeases {
    fn add(&self, lease: Arc<ContainerLease>) {
        lock(&self.0).push(lease);
    }

    /// Releases all containers, within `limit`, and returns whether that succeeded. The post stage removes the others.
    pub async fn release(&self, limit: Duration) -> bool {
        let leases = std::mem::take(&mut *lock(&self.0));
        let all = futures_util::future::join_all(leases.iter().map(|lease| lease.release()));
        tokio::time::timeout(limit, all).await.is_ok_and(|released| released.iter().all(Result::is_ok))
    }
}

/// How often creation is attempted: another run may remove the container that we are about to use.
const ATTEMPTS: u32 = 3;
/// How long BuildKit may take to answer in a container that runs.
const BOOT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the engine may take to return the log of a container that exited.
const LOG_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to the container that `wanted` describes, and creates it if it does not exist. `registries` are the hosts of
/// the images and caches; `entitlements` are those that the builds may use.
pub async fn node(
    engine: &Arc<Engine>,
    wanted: &ContainerInput,
    (registries, entitlements): (&[&str], &BTreeSet<&str>),
    logins: &Credentials,
    leases: &ContainerLeases,
    events: &Events,
) -> Result<Node, ContainerError> {
    let failed = |source| ContainerError::Engine { operation: "create", source };
    let docker = engine.client().await.map_err(failed)?;
    let rules = engine.registry_rules().await.map_err(failed)?;
    let config = buildkitd::config(&wanted.mirrors, registries, entitlements, &rules);
    let name = buildkitd::name(&wanted.image, wanted.network.as_deref(), &config);
    let lease = ContainerLease::new(engine.clone(), name);
    leases.add(lease.clone());
    let mut attempt = 1;
    loop {
        let made = async {
            ensure(docker, lease.container(), wanted, &config, &rules, (logins, events)).await?;
            booted(docker, &lease).await
        };
        match made.await {
            Err(ContainerError::Engine { source, .. }) if attempt < ATTEMPTS && is_race(&source) => attempt += 1,
            result => return result,
        }
    }
}

/// Whether another run created or removed the container between two of our calls.
fn is_race(error: &ApiError) -> bool {
    matches!(error.status(), Some(404 | 409))
}

/// Makes sure that the container runs.
async fn ensure(
    docker: &Docker,
    name: &str,
    wanted: &ContainerInput,
    config: &str,
    rules: &RegistryRules,
    pull: (&Credentials, &Events),
) -> Result<(), ContainerError> {
    let failed = |operation| move |error| ContainerError::Engine { operation, source: api_error(error) };
    match docker.inspect_container(name, None::<InspectContainerOptions>).await.map_err(api_error) {
        Ok(found) if found.state.as_ref().and_then(|state| state.running) == Some(true) => return Ok(()),
        // It stopped together with its engine.
        Ok(_) => {}
        Err(error) if error.status() == Some(404) => {
            create(docker, name, wanted, rules, pull).await?;
            let options = UploadToContainerOptionsBuilder::default().path("/etc").build();
            // The archive creates the directory, which not every image has.
            let archive = Bytes::from(buildkitd::archive("buildkit/buildkitd.toml", config));
            let upload = docker.upload_to_container(name, Some(options), bollard::body_full(archive));
            upload.await.map_err(failed("configure"))?;
        }
        Err(source) => return Err(ContainerError::Engine { operation: "inspect", source }),
    }
    docker.start_container(name, None::<StartContainerOptions>).await.map_err(failed("start"))
}

async fn create(
    docker: &Docker,
    name: &str,
    wanted: &ContainerInput,
    rules: &RegistryRules,
    (logins, events): (&Credentials, &Events),
) -> Result<(), ContainerError> {
    let state = Mount {
        typ: Some(MountType::VOLUME),
        source: Some(name.to_owned()),
        target: Some("/var/lib/buildkit".to_owned()),
        ..Mount::default()
    };
    let body = ContainerCreateBody {
        image: Some(wanted.image.clone()),
        labels: Some(HashMap::from([(LABEL.to_owned(), name.to_owned())])),
        host_config: Some(HostConfig {
            privileged: Some(true),
            init: Some(true),
            mounts: Some(vec![state]),
            network_mode: wanted.network.clone(),
            // With `userns-remap` in the engine, a privileged container needs the host's user namespace.
            userns_mode: rules.maps_users.then(|| "host".to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    let created = docker.create_container(Some(options.clone()), body.clone()).await.map_err(api_error);
    let created = match created {
        Err(error) if error.status() == Some(404) => {
            let image = container_image::pull(docker, &wanted.image, logins, events).await?;
            let body = ContainerCreateBody { image: Some(image), ..body };
            docker.create_container(Some(options), body).await.map_err(api_error)
        }
        created => created,
    };
    match created {
        Ok(_) => Ok(()),
        Err(source) => Err(ContainerError::Engine { operation: "create", source }),
    }
}

/// The label of all containers that this action creates.
const LABEL: &str = "build-deploy.builder";

/// Waits until BuildKit answers in the container.
async fn booted(docker: &Docker, lease: &Arc<ContainerLease>) -> Result<Node, ContainerError> {
    let began = Instant::now();
    let mut pause = Duration::from_millis(25);
    loop {
        let error = match Node::connect(lease.clone().endpoint(), Vec::new()).await {
            Ok(node) => return Ok(node),
            Err(error) => error,
        };
        let state = docker.inspect_container(lease.container(), None::<InspectContainerOptions>).await;
        let state =
            state.map_err(|error| ContainerError::Engine { operation: "inspect", source: api_error(error) })?.state;
        if state.and_then(|state| state.running) != Some(true) {
            return Err(ContainerError::Exited(last_lines(docker, lease.container()).await));
        }
        if began.elapsed() > BOOT_TIMEOUT {
            return Err(ContainerError::Silent(error.to_string()));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

/// The last lines of a container's log.
async fn last_lines(docker: &Docker, container: &str) -> String {
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail("5").build();
    let lines = docker.logs(container, Some(options)).filter_map(async |line| line.ok().map(|line| line.to_string()));
    // The lines only add details to a failure.
    let lines = tokio::time::timeout(LOG_TIMEOUT, lines.collect::<Vec<_>>()).await;
    lines.unwrap_or_default().concat().trim().to_owned()
}

/// Removes containers of this action that no run uses, as killed runs leave behind.
pub async fn remove_unused(engine: &Engine) -> Result<(), ApiError> {
    let docker = engine.client().await?;
    let filters = HashMap::from([("label", vec![LABEL])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    for found in docker.list_containers(Some(options)).await.map_err(api_error)? {
        if let Some(id) = found.id
            && programs(docker, &id).await?.is_some_and(|programs| programs.is_empty())
        {
            remove(docker, &id).await?;
        }
    }
    Ok(())
}

/// The ids of the programs that run in a container besides its own; `None` if the container does not exist.
async fn programs(docker: &Docker, container: &str) -> Result<Option<Vec<String>>, ApiError> {
    match docker.inspect_container(container, None::<InspectContainerOptions>).await.map_err(api_error) {
        Ok(found) => Ok(Some(found.exec_ids.unwrap_or_default())),
        Err(error) if error.status() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn remove(docker: &Docker, container: &str) -> Result<(), ApiError> {
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    match docker.remove_container(container, Some(options)).await.map_err(api_error) {
        // Another run removes it.
        Err(error) if matches!(error.status(), Some(404 | 409)) => Ok(()),
        removed => removed,
    }
}

/// Locks a mutex. No thread panics while it holds one, and the values are always consistent.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
