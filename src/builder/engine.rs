//! The Docker engine's own API: pushes, loads, and requests to registries that only the engine can reach.
//!
//! API: <https://docs.docker.com/reference/api/engine/>. The client of the BuildKit inside the engine is
//! [`crate::buildkit`].

mod auth;

use std::{io, os::unix::fs::FileTypeExt as _, path::Path, time::Duration};

use bollard::{
    Docker,
    auth::DockerCredentials,
    query_parameters::{ImportImageOptions, PushImageOptionsBuilder, TagImageOptionsBuilder},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use thiserror::Error;
use tokio::{
    sync::OnceCell,
    time::{error::Elapsed, timeout},
};
use tonic::Status;

use super::explain::is_refused_login;
use crate::{
    buildkit::{
        error::is_temporary,
        transport::{Address, CONNECT_TIMEOUT},
    },
    domain::{credentials::Login, digest::Digest},
    retry::{Retry, Transient},
};

/// The path at which the runner mounts the engine's socket.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// The version of the API that came with Docker 23.0 (<https://docs.docker.com/reference/api/engine/#api-version-matrix>).
const API_OF_DOCKER_23: (usize, usize) = (1, 42);
/// The same for Docker 26.0, whose BuildKit is 0.13.
const API_OF_DOCKER_26: (usize, usize) = (1, 45);

/// Time limit for the engine to report its version, which only details of a build depend on.
const VERSION_TIMEOUT: Duration = Duration::from_secs(5);

/// Seconds that an answer may take. During a push, nothing is reported while the registry commits a large layer.
const TIMEOUT: u64 = 600;
const PUSH_TIMEOUT: Duration = Duration::from_secs(TIMEOUT);
/// How long a push may be silent before that is reported.
const SILENCE: Duration = Duration::from_mins(1);
/// The engine's status before it uploads a layer again, which it does four times within a minute.
const REPEATING: &str = "Retrying in ";

/// Why no Docker engine can be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum EngineError {
    /// `DOCKER_HOST` has an unsupported scheme.
    #[error("DOCKER_HOST: `{0}` is not supported; only unix:// and tcp:// are")]
    Scheme(String),
    /// The socket does not exist.
    #[error("there is no Docker engine: {0} does not exist")]
    Missing(String),
    /// The socket did not exist, so Docker created a directory at its path.
    #[error("there is no Docker engine: {0} is a directory, not a socket")]
    Directory(String),
    /// The path is not a socket.
    #[error("there is no Docker engine: {0} is not a socket")]
    NotASocket(String),
    /// The socket cannot be inspected.
    #[error("cannot access {path}: {reason}")]
    Unreadable {
        /// The socket.
        path: String,
        /// The system's reason.
        reason: String,
    },
}

impl EngineError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Scheme(_) => "unset DOCKER_HOST to use the runner's own socket",
            _ => {
                "use a runner with Docker, such as `ubuntu-latest` (`ubuntu-slim` has none); if the socket of its Docker \
                 has another path, link it to /var/run/docker.sock"
            }
        }
    }
}

/// Why a call of the engine's API failed.
#[derive(Debug, Error)]
pub enum ApiError {
    /// The engine answered with an error.
    #[error("{message}")]
    Engine {
        /// The HTTP status; `None` if the error is part of an answer whose status was a success.
        status: Option<u16>,
        /// The engine's message.
        message: String,
        /// Whether the engine has repeated the request by itself.
        repeated: bool,
    },
    /// The request failed.
    #[error("the request to the Docker engine failed: {0}")]
    Transport(String),
    /// The engine did not report the digest of an image that it pushed.
    #[error("the Docker engine did not report the digest of {0}")]
    NoDigest(String),
}

impl ApiError {
    /// The HTTP status, if the engine answered with one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Engine { status, .. } => *status,
            Self::Transport(_) | Self::NoDigest(_) => None,
        }
    }

    fn repeated(self, repeated: bool) -> Self {
        match self {
            Self::Engine { status, message, .. } => Self::Engine { status, message, repeated },
            other => other,
        }
    }
}

impl Transient for ApiError {
    fn retry(&self) -> Retry {
        if matches!(self, Self::Engine { repeated: true, .. }) {
            return Retry::Never;
        }
        // The engine passes on a registry's answer as text.
        let message = self.to_string();
        if is_temporary(&message) {
            Retry::Later
        } else if is_refused_login(self.status(), &message) {
            // The login was accepted before the build, and engines do not repeat this by themselves.
            Retry::Once
        } else {
            Retry::Never
        }
    }
}

/// The address of the engine: `docker_host` (the variable `DOCKER_HOST`) if it can be used, else the runner's socket.
/// Checks that the socket exists, and does not connect to it.
pub fn locate(docker_host: Option<&str>) -> Result<Address, EngineError> {
    let default = Path::new(DEFAULT_SOCKET);
    match docker_host.filter(|host| !host.is_empty()) {
        None => socket(default),
        Some(host) => match host.split_once("://") {
            // DOCKER_HOST may name a socket that is not mounted into the action's container.
            Some(("unix", path)) => socket(Path::new(path)).or_else(|error| socket(default).map_err(|_| error)),
            Some(("tcp" | "http", rest)) => Ok(Address::Tcp(rest.trim_end_matches('/').to_owned())),
            _ => Err(EngineError::Scheme(host.to_owned())),
        },
    }
}

fn socket(path: &Path) -> Result<Address, EngineError> {
    let shown = path.display().to_string();
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(EngineError::Missing(shown)),
        Err(error) => Err(EngineError::Unreadable { path: shown, reason: error.to_string() }),
        Ok(meta) if meta.is_dir() => Err(EngineError::Directory(shown)),
        Ok(meta) if meta.file_type().is_socket() => Ok(Address::Unix(path.to_owned())),
        Ok(_) => Err(EngineError::NotASocket(shown)),
    }
}

/// How an engine treats registries, and other settings that a container in it depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryRules {
    /// The URLs of mirrors of Docker Hub.
    pub mirrors: Vec<String>,
    /// Networks whose registries need no TLS, such as `127.0.0.0/8`.
    pub insecure_networks: Vec<String>,
    /// Registries that need no TLS.
    pub insecure_hosts: Vec<String>,
    /// Whether the engine maps the users of containers (`userns-remap`).
    pub maps_users: bool,
}

/// A client of the engine's API. It connects with its first call.
#[derive(Debug)]
pub struct Engine {
    address: Address,
    client: OnceCell<Docker>,
}

impl Engine {
    /// A client of the engine at `address`.
    pub fn new(address: Address) -> Self {
        Self { address, client: OnceCell::new() }
    }

    /// The engine's address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Pushes `repository:tag` from the image store and returns its digest in the registry. Calls `silent` after each minute
    /// in which the engine reports nothing.
    pub async fn push(
        &self,
        repository: &str,
        tag: &str,
        login: Option<&Login>,
        silent: impl AsyncFn(Duration),
    ) -> Result<Digest, ApiError> {
        let options = PushImageOptionsBuilder::default().tag(tag).build();
        let client = self.client().await?;
        let mut messages = Box::pin(client.push_image(repository, Some(options), Some(credentials(login, repository))));
        let (mut digest, mut silence, mut repeated) = (None, Duration::ZERO, false);
        loop {
            let message = match timeout(SILENCE, messages.next()).await {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(elapsed) => {
                    silence += SILENCE;
                    if silence >= PUSH_TIMEOUT {
                        return Err(late(elapsed));
                    }
                    silent(silence).await;
                    continue;
                }
            };
            silence = Duration::ZERO;
            let status = message.map_err(api_error).map_err(|error| error.repeated(repeated))?.status;
            let status = status.unwrap_or_default();
            repeated |= status.starts_with(REPEATING);
            // The last status is `main: digest: sha256:… size: 946`.
            if let Some((_, rest)) = status.split_once("digest: ") {
                digest = rest.split_whitespace().next().and_then(|text| text.parse().ok()).or(digest);
            }
        }
        digest.ok_or_else(|| ApiError::NoDigest(format!("{repository}:{tag}")))
    }

    /// The digest of `reference` in its registry; `None` if it does not exist.
    ///
    /// For registries such as `localhost:5000` that the engine can reach and this container cannot.
    pub async fn registry_digest(&self, reference: &str, login: Option<&Login>) -> Result<Option<Digest>, ApiError> {
        let client = self.client().await?;
        // Sends an empty login if there is none: Engine 20.10 answers 400 if the header is missing.
        match client.inspect_registry_image(reference, Some(credentials(login, reference))).await.map_err(api_error) {
            Ok(answer) => Ok(answer.descriptor.digest.and_then(|text| text.parse().ok())),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Loads the images of a tar archive into the image store, as `docker load` does.
    pub async fn load(
        &self,
        archive: impl Stream<Item = Result<Bytes, Status>> + Send + 'static,
    ) -> Result<(), ApiError> {
        let client = self.client().await?;
        let mut messages = Box::pin(client.import_image_stream(ImportImageOptions::default(), archive, None));
        while let Some(message) = messages.next().await {
            let detail = message.map_err(api_error)?.error_detail;
            if let Some(message) = detail.and_then(|detail| detail.message) {
                return Err(ApiError::Engine { status: None, message, repeated: false });
            }
        }
        Ok(())
    }

    /// Gives an image of the image store another name, as `docker tag` does.
    pub async fn tag(&self, image: &str, name: &str) -> Result<(), ApiError> {
        // The tag follows the last colon, unless that is the port of the registry.
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (name, "latest"),
        };
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        self.client().await?.tag_image(image, Some(options)).await.map_err(api_error)
    }

    /// The engine's version.
    pub async fn version(&self) -> Option<String> {
        let version = async { self.client().await.ok()?.version().await.ok()?.version };
        timeout(VERSION_TIMEOUT, version).await.ok().flatten()
    }

    /// How the engine treats registries.
    pub async fn registry_rules(&self) -> Result<RegistryRules, ApiError> {
        let info = timeout(CONNECT_TIMEOUT, self.client().await?.info()).await.map_err(late)?.map_err(api_error)?;
        let registries = info.registry_config.unwrap_or_default();
        let hosts = registries.index_configs.unwrap_or_default().into_iter();
        let insecure = hosts.filter(|(_, rules)| rules.secure == Some(false)).map(|(host, _)| host);
        Ok(RegistryRules {
            mirrors: registries.mirrors.unwrap_or_default(),
            insecure_networks: registries.insecure_registry_cidrs.unwrap_or_default(),
            insecure_hosts: insecure.collect(),
            maps_users: info.security_options.unwrap_or_default().iter().any(|option| option == "name=userns"),
        })
    }

    /// Whether it is Docker 20.10 or older.
    pub async fn is_old(&self) -> Result<bool, ApiError> {
        Ok(self.api().await? < API_OF_DOCKER_23)
    }

    /// Whether its BuildKit supports several exporters in one solve.
    pub async fn supports_several_exporters(&self) -> Result<bool, ApiError> {
        Ok(self.api().await? >= API_OF_DOCKER_26)
    }

    /// The newest version of the API that both sides support.
    async fn api(&self) -> Result<(usize, usize), ApiError> {
        let version = timeout(VERSION_TIMEOUT, self.client()).await.map_err(late)??.client_version();
        Ok((version.major_version, version.minor_version))
    }

    /// The client, for calls of other modules.
    pub(super) async fn client(&self) -> Result<&Docker, ApiError> {
        let connected = self.client.get_or_try_init(|| connect(&self.address));
        timeout(CONNECT_TIMEOUT, connected).await.map_err(late)?.map_err(api_error)
    }
}

/// The engine accepted the connection and did not answer.
fn late(_: Elapsed) -> ApiError {
    ApiError::Transport("it did not answer in time".to_owned())
}

async fn connect(address: &Address) -> Result<Docker, bollard::errors::Error> {
    let newest = bollard::API_DEFAULT_VERSION;
    let client = match address {
        Address::Unix(path) => Docker::connect_with_unix(&path.to_string_lossy(), TIMEOUT, newest)?,
        Address::Tcp(host) => Docker::connect_with_http(&format!("tcp://{host}"), TIMEOUT, newest)?,
    };
    client.negotiate_version().await
}

pub(super) fn credentials(login: Option<&Login>, reference: &str) -> DockerCredentials {
    let Some(login) = login else { return DockerCredentials::default() };
    let serveraddress = reference.split('/').next().map(str::to_owned);
    match login.identity_token() {
        Some(token) => DockerCredentials {
            identitytoken: Some(token.expose().to_owned()),
            serveraddress,
            ..DockerCredentials::default()
        },
        None => DockerCredentials {
            username: Some(login.username.clone()),
            password: Some(login.password.expose().to_owned()),
            serveraddress,
            ..DockerCredentials::default()
        },
    }
}

pub(super) fn api_error(error: bollard::errors::Error) -> ApiError {
    use bollard::errors::Error;
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            ApiError::Engine { status: Some(status_code), message, repeated: false }
        }
        Error::DockerStreamError { error } => ApiError::Engine { status: None, message: error, repeated: false },
        other => ApiError::Transport(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener, time::Duration};

    use tokio::time::Instant;

    use super::{Engine, EngineError, locate, socket};
    use crate::buildkit::transport::Address;

    /// Like an engine whose process is stopped: the kernel accepts connections for it.
    #[tokio::test]
    async fn an_engine_that_does_not_answer_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let _listener = UnixListener::bind(&path).unwrap();
        let engine = Engine::new(Address::Unix(path));
        tokio::time::pause();
        for within in [5, 5] {
            let began = Instant::now();
            assert_eq!(engine.version().await, None);
            assert!(began.elapsed() <= Duration::from_secs(within) + Duration::from_millis(10));
        }
        let began = Instant::now();
        assert!(engine.is_old().await.is_err());
        assert!(began.elapsed() <= Duration::from_secs(6));
        assert!(engine.registry_rules().await.unwrap_err().to_string().contains("did not answer in time"));
        assert!(began.elapsed() <= Duration::from_secs(26), "{:?}", began.elapsed());
    }

    #[test]
    fn tells_what_lies_where_the_socket_should_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir(path("dir")).unwrap();
        std::fs::write(path("file"), "").unwrap();
        let _listener = UnixListener::bind(path("sock")).unwrap();
        let host = format!("unix://{}", path("sock").display());
        assert_eq!(locate(Some(&host)), Ok(Address::Unix(path("sock"))));
        assert_eq!(locate(Some("tcp://127.0.0.1:2375")), Ok(Address::Tcp("127.0.0.1:2375".into())));
        assert!(matches!(locate(Some("ssh://x")), Err(EngineError::Scheme(_))));
        assert!(matches!(socket(&path("dir")), Err(EngineError::Directory(_))));
        assert!(matches!(socket(&path("file")), Err(EngineError::NotASocket(_))));
        assert!(matches!(socket(&path("none")), Err(EngineError::Missing(_))));
    }
}
