//! A BuildKit in a container of the engine: made or joined before the build, left after it.
//!
//! All runs that want the same container use one: its name says how it is made. Whoever leaves it last removes it, which
//! the engine knows: a run that uses it has an `exec` in it. The state stays in a volume of the same name, so that on a
//! runner that lives on the next run begins with a warm cache.
//! What buildx makes: <https://github.com/docker/buildx/blob/master/driver/docker-container/driver.go>.

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
        CreateContainerOptionsBuilder, CreateImageOptionsBuilder, InspectContainerOptions,
        ListContainersOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
        UploadToContainerOptionsBuilder,
    },
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use thiserror::Error;

use super::{
    buildkitd,
    engine::{ApiError, Engine, RegistryRules, api_error, credentials},
    node::{Node, NodeError},
};
use crate::{
    buildkit::{Endpoint, endpoint::Dial, exec, transport::Stream},
    domain::credentials::Credentials,
    inputs::builder::ContainerInput,
};

/// Why there is no container to build in.
#[derive(Debug, Error)]
pub enum ContainerError {
    /// The engine refuses a step of its making.
    #[error("{step} the builder's container: {source}")]
    Engine {
        /// What was done.
        step: &'static str,
        /// Why it failed.
        #[source]
        source: ApiError,
    },
    /// Its image cannot be had.
    #[error("pull {image}: {source}")]
    Pull {
        /// The image.
        image: String,
        /// Why.
        #[source]
        source: ApiError,
    },
    /// It ended again.
    #[error("the builder's container ended at once: {0}")]
    Ended(String),
    /// It runs, but its BuildKit does not answer.
    #[error("BuildKit in the builder's container does not answer: {0}")]
    Silent(String),
}

/// A container's BuildKit as seen from here: which of the programs in it are ours.
#[derive(Debug)]
pub struct ContainerLease {
    engine: Arc<Engine>,
    container: String,
    ours: Mutex<Vec<String>>,
}

impl ContainerLease {
    /// A lease in a container that others look after.
    pub fn in_container(engine: Arc<Engine>, container: String) -> Arc<Self> {
        Arc::new(Self { engine, container, ours: Mutex::default() })
    }

    /// The endpoint of its BuildKit.
    pub fn endpoint(self: Arc<Self>) -> Endpoint {
        Endpoint::Dialer(self)
    }

    /// The container's name.
    pub fn container(&self) -> &str {
        &self.container
    }

    /// Removes the container unless somebody else uses it. Its volume stays.
    ///
    /// Where somebody does, our own programs in it are waited for: of two that leave at once, the later one must see
    /// that the other is gone.
    async fn leave(&self) -> Result<(), ApiError> {
        let docker = self.engine.client().await?;
        let ours = lock(&self.ours).clone();
        loop {
            let Some(programs) = programs(docker, &self.container).await? else { return Ok(()) };
            let (own, others): (Vec<_>, Vec<_>) = programs.into_iter().partition(|id| ours.contains(id));
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
        lock(&self.ours).push(id);
        Ok(Box::new(stream))
    }
}

impl fmt::Display for ContainerLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "docker-container://{}", self.container)
    }
}

/// The containers that a run sits in. They are left after the run, however it ended.
#[derive(Clone, Debug, Default)]
pub struct ContainerLeases(Arc<Mutex<Vec<Arc<ContainerLease>>>>);

impl ContainerLeases {
    fn add(&self, lease: Arc<ContainerLease>) {
        lock(&self.0).push(lease);
    }

    /// Leaves them all, within `limit`. What fails is left to the post stage.
    pub async fn leave(&self, limit: Duration) {
        let leases = std::mem::take(&mut *lock(&self.0));
        let all = futures_util::future::join_all(leases.iter().map(|lease| lease.leave()));
        let _ = tokio::time::timeout(limit, all).await;
    }
}

/// How often the making is tried: another run may remove the container that we are about to enter.
const TRIES: u32 = 3;
/// Longest time until BuildKit answers in a container that runs.
const BOOT: Duration = Duration::from_secs(30);
/// How long the engine may take to show the log of a container that ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Connects to the container that `wanted` describes, which is made if it is not there. `registries` are the hosts of
/// the images and caches; `entitlements` are those that the builds may ask for.
pub async fn node(
    engine: &Arc<Engine>,
    wanted: &ContainerInput,
    (registries, entitlements): (&[&str], &BTreeSet<&str>),
    logins: &Credentials,
    leases: &ContainerLeases,
) -> Result<Node, ContainerError> {
    let failed = |step| move |source| ContainerError::Engine { step, source };
    let docker = engine.client().await.map_err(failed("make"))?;
    let rules = engine.registry_rules().await.map_err(failed("make"))?;
    let config = buildkitd::config(&wanted.mirrors, registries, entitlements, &rules);
    let name = buildkitd::name(&wanted.image, wanted.network.as_deref(), &config);
    let lease = ContainerLease::in_container(engine.clone(), name);
    leases.add(lease.clone());
    let mut attempt = 1;
    loop {
        let made = async {
            ensure(docker, lease.container(), wanted, &config, &rules, logins).await?;
            booted(docker, &lease).await
        };
        match made.await {
            Err(ContainerError::Engine { source, .. }) if attempt < TRIES && is_race(&source) => attempt += 1,
            result => return result,
        }
    }
}

/// Whether another run made or removed the container between two of our calls.
fn is_race(error: &ApiError) -> bool {
    matches!(error.status(), Some(404 | 409))
}

/// Sees to it that the container runs.
async fn ensure(
    docker: &Docker,
    name: &str,
    wanted: &ContainerInput,
    config: &str,
    rules: &RegistryRules,
    logins: &Credentials,
) -> Result<(), ContainerError> {
    let failed = |step| move |error| ContainerError::Engine { step, source: api_error(error) };
    match docker.inspect_container(name, None::<InspectContainerOptions>).await.map_err(api_error) {
        Ok(found) if found.state.as_ref().and_then(|state| state.running) == Some(true) => return Ok(()),
        // Left by an engine that was stopped under it.
        Ok(_) => {}
        Err(error) if error.status() == Some(404) => {
            create(docker, name, wanted, rules, logins).await?;
            let options = UploadToContainerOptionsBuilder::default().path("/etc").build();
            // The directory is made on the way: it need not be in every image.
            let archive = Bytes::from(buildkitd::archive("buildkit/buildkitd.toml", config));
            let upload = docker.upload_to_container(name, Some(options), bollard::body_full(archive));
            upload.await.map_err(failed("configure"))?;
        }
        Err(source) => return Err(ContainerError::Engine { step: "look for", source }),
    }
    docker.start_container(name, None::<StartContainerOptions>).await.map_err(failed("start"))
}

async fn create(
    docker: &Docker,
    name: &str,
    wanted: &ContainerInput,
    rules: &RegistryRules,
    logins: &Credentials,
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
            // Where the engine maps users, a privileged container must be outside of that.
            userns_mode: rules.maps_users.then(|| "host".to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    let created = docker.create_container(Some(options.clone()), body.clone()).await.map_err(api_error);
    let created = match created {
        Err(error) if error.status() == Some(404) => {
            pull(docker, &wanted.image, logins).await?;
            docker.create_container(Some(options), body).await.map_err(api_error)
        }
        created => created,
    };
    match created {
        Ok(_) => Ok(()),
        Err(source) => Err(ContainerError::Engine { step: "create", source }),
    }
}

/// Marks our containers, whatever their name.
const LABEL: &str = "build-deploy.builder";

async fn pull(docker: &Docker, image: &str, logins: &Credentials) -> Result<(), ContainerError> {
    // As Docker reads a reference: what stands before the first slash is a host if it looks like one.
    let host =
        image.split_once('/').map(|(host, _)| host).filter(|host| host.contains(['.', ':']) || *host == "localhost");
    let host = host.unwrap_or("docker.io");
    let tagged = image.contains('@') || image.rsplit('/').next().is_some_and(|last| last.contains(':'));
    let from = if tagged { image.to_owned() } else { format!("{image}:latest") };
    let options = CreateImageOptionsBuilder::default().from_image(&from).build();
    let mut messages =
        Box::pin(docker.create_image(Some(options), None, Some(credentials(logins.for_host(host), host))));
    while let Some(message) = messages.next().await {
        message.map_err(|error| ContainerError::Pull { image: image.to_owned(), source: api_error(error) })?;
    }
    Ok(())
}

/// Waits until the container's BuildKit answers.
async fn booted(docker: &Docker, lease: &Arc<ContainerLease>) -> Result<Node, ContainerError> {
    let began = Instant::now();
    let mut pause = Duration::from_millis(25);
    loop {
        let error = match Node::connect(lease.clone().endpoint(), Vec::new()).await {
            Ok(node) => return Ok(node),
            Err(error) => error,
        };
        let state = docker.inspect_container(lease.container(), None::<InspectContainerOptions>).await;
        let state = state.map_err(|error| ContainerError::Engine { step: "enter", source: api_error(error) })?.state;
        if state.and_then(|state| state.running) != Some(true) {
            return Err(ContainerError::Ended(last_words(docker, lease.container()).await));
        }
        if began.elapsed() > BOOT {
            return Err(ContainerError::Silent(told(&error)));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

fn told(error: &NodeError) -> String {
    error.to_string()
}

/// The last lines of its log.
async fn last_words(docker: &Docker, container: &str) -> String {
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail("5").build();
    let lines = docker.logs(container, Some(options)).filter_map(async |line| line.ok().map(|line| line.to_string()));
    // They only explain a failure that is known.
    let lines = tokio::time::timeout(LAST_WORDS, lines.collect::<Vec<_>>()).await;
    lines.unwrap_or_default().concat().trim().to_owned()
}

/// Removes what killed runs left behind: containers of ours that nobody uses.
pub async fn sweep(engine: &Engine) -> Result<(), ApiError> {
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

/// The ids of what was started in a container and runs; `None` if there is no such container any more.
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
        // Another run was faster.
        Err(error) if matches!(error.status(), Some(404 | 409)) => Ok(()),
        removed => removed,
    }
}

/// No holder of these locks can panic, and a value is whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
