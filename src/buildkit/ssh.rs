//! Serves SSH agents to `RUN --mount=type=ssh`: the agent of `SSH_AUTH_SOCK`, or one of our own with keys from files.
//!
//! Protocol: <https://github.com/moby/buildkit/blob/master/session/sshforward/ssh.proto>. Private keys stay in this process;
//! the build gets signatures. A build step is not connected to a socket: its requests are parsed, and only those to list
//! keys and to sign are forwarded to an agent.

mod agent;
mod forward;
pub mod protocol;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    fmt, fs, mem,
    os::unix::fs::FileTypeExt as _,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use bollard_buildkit_proto::moby::sshforward::v1::{
    BytesMessage, CheckAgentRequest, CheckAgentResponse, ssh_server::Ssh,
};
use futures_util::Stream;
use ssh_key::PrivateKey;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use self::forward::{Remote, Upstream};

/// The location of an agent, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentSource {
    /// The value of `SSH_AUTH_SOCK`; `None` if it is not set.
    Environment(Option<PathBuf>),
    /// Key files, or the socket of one agent.
    Files(Vec<PathBuf>),
}

/// Why an agent cannot be served.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SshError {
    /// `default` without an agent.
    #[error("ssh: `default` is the agent of SSH_AUTH_SOCK, which is not set")]
    NoAgent,
    /// The agent's socket does not exist, for example because it is not mounted into this container.
    #[error("ssh: the socket {0} (SSH_AUTH_SOCK) does not exist in the action's container")]
    SocketMissing(String),
    /// A file cannot be read.
    #[error("ssh: cannot read the key {path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// The reason.
        reason: String,
    },
    /// A file is not a private key in OpenSSH's format.
    #[error("ssh: {0} is not a private key in OpenSSH's format")]
    NotAKey(String),
    /// A key needs a passphrase.
    #[error("ssh: the key {0} is protected by a passphrase")]
    Encrypted(String),
    /// An id has an agent's socket and keys.
    #[error("ssh: {0} is an agent's socket, which cannot be combined with keys under one id")]
    Mixed(String),
}

impl SshError {
    /// The hint, in the imperative.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoAgent | Self::SocketMissing(_) => {
                "start the agent with `ssh-agent -a \"$RUNNER_TEMP/agent.sock\"` and set SSH_AUTH_SOCK to that path, or \
                 pass a key with `ssh: default=PATH`"
            }
            Self::Unreadable { .. } => {
                "check the input `ssh`, or `ssh` in the compose file; only the workspace and RUNNER_TEMP are mounted"
            }
            Self::NotAKey(_) => "convert a key in another format with `ssh-keygen -p -N '' -f KEY`",
            Self::Encrypted(_) => "remove the passphrase with `ssh-keygen -p -N '' -f KEY`, or add the key to an agent",
            Self::Mixed(_) => "give the socket an id of its own",
        }
    }
}

/// The agents that one build may use, by id. Clones share their failures.
#[derive(Clone)]
pub struct Agents {
    by_id: HashMap<String, Agent>,
    failures: Arc<Mutex<BTreeSet<String>>>,
    streams: Arc<Semaphore>,
}

#[derive(Clone)]
enum Agent {
    /// An agent behind a socket.
    Socket(PathBuf),
    /// An agent in this process.
    Keys(Arc<Vec<PrivateKey>>),
}

impl fmt::Debug for Agents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_id.keys()).finish()
    }
}

impl Agents {
    /// Reads the keys and checks that sockets exist.
    pub fn read(sources: &[(String, AgentSource)]) -> Result<Self, SshError> {
        sources.iter().map(|(id, source)| Ok((id.clone(), agent(source)?))).collect::<Result<_, _>>().map(Self::new)
    }

    fn new(by_id: HashMap<String, Agent>) -> Self {
        Self { by_id, failures: Arc::default(), streams: Arc::new(Semaphore::new(STREAMS)) }
    }

    /// Returns the failures of agents since the last call, each as `agent: reason`. The build step itself learns only that
    /// its connection was closed.
    pub fn take_failures(&self) -> BTreeSet<String> {
        mem::take(&mut *self.failures.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for Agents {
    fn default() -> Self {
        Self::new(HashMap::new())
    }
}

fn agent(source: &AgentSource) -> Result<Agent, SshError> {
    let paths = match source {
        AgentSource::Environment(None) => return Err(SshError::NoAgent),
        AgentSource::Environment(Some(path)) => {
            let there = fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
            let outside = || SshError::SocketMissing(path.display().to_string());
            return there.then(|| Agent::Socket(path.clone())).ok_or_else(outside);
        }
        AgentSource::Files(paths) => paths,
    };
    let mut keys = Vec::new();
    for path in paths {
        let shown = path.display().to_string();
        let unreadable =
            |error: std::io::Error| SshError::Unreadable { path: shown.clone(), reason: error.to_string() };
        if fs::metadata(path).map_err(unreadable)?.file_type().is_socket() {
            return if paths.len() == 1 { Ok(Agent::Socket(path.clone())) } else { Err(SshError::Mixed(shown)) };
        }
        // Keys that were pasted into a secret often lack the last end of line or have those of Windows.
        let text = fs::read_to_string(path).map_err(unreadable)?.replace('\r', "");
        let key =
            PrivateKey::from_openssh(format!("{}\n", text.trim())).map_err(|_| SshError::NotAKey(shown.clone()))?;
        if key.is_encrypted() {
            return Err(SshError::Encrypted(shown));
        }
        keys.push(key);
    }
    Ok(Agent::Keys(Arc::new(keys)))
}

/// The id of a mount that does not name one.
const DEFAULT_ID: &str = "default";
/// Maximum number of answers queued for the daemon.
const QUEUE: usize = 4;
/// Maximum number of concurrent connections of a build's steps. Each may take a file descriptor.
const STREAMS: usize = 128;

type Answers = Pin<Box<dyn Stream<Item = Result<BytesMessage, Status>> + Send>>;

impl Agents {
    fn find(&self, id: &str) -> Result<&Agent, Status> {
        let id = if id.is_empty() { DEFAULT_ID } else { id };
        // The code that means "no agent" to BuildKit, which continues if the mount is optional.
        self.by_id.get(id).ok_or_else(|| Status::unimplemented(format!("unset ssh forward key {id}")))
    }
}

#[tonic::async_trait]
impl Ssh for Agents {
    async fn check_agent(&self, request: Request<CheckAgentRequest>) -> Result<Response<CheckAgentResponse>, Status> {
        self.find(&request.get_ref().id).map(|_| Response::new(CheckAgentResponse {}))
    }

    type ForwardAgentStream = Answers;

    async fn forward_agent(&self, request: Request<Streaming<BytesMessage>>) -> Result<Response<Answers>, Status> {
        let id = request.metadata().get("buildkit.ssh.id").and_then(|id| id.to_str().ok()).unwrap_or_default();
        let upstream = match self.find(id)? {
            Agent::Keys(keys) => Upstream::Keys(keys.clone()),
            Agent::Socket(path) => Upstream::Socket(Remote::new(path.clone())),
        };
        let permit = self.streams.clone().try_acquire_owned();
        let permit =
            permit.map_err(|_| Status::resource_exhausted(format!("more than {STREAMS} connections to SSH agents")))?;
        Ok(Response::new(self.serve(upstream, request.into_inner(), permit)))
    }
}

impl Agents {
    fn serve<S>(&self, upstream: Upstream, asked: S, permit: OwnedSemaphorePermit) -> Answers
    where
        S: Stream<Item = Result<BytesMessage, Status>> + Send + Unpin + 'static,
    {
        let shown = upstream.to_string();
        let failures = self.failures.clone();
        let (answers, stream) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            if let Err(error) = forward::serve(upstream, asked, &answers).await {
                // Record it before the answer, which may end the build.
                failures.lock().unwrap_or_else(PoisonError::into_inner).insert(format!("{shown}: {error}"));
                let _ = answers.send(Err(Status::unavailable(format!("the SSH agent {error}")))).await;
            }
            drop(permit);
        });
        Box::pin(ReceiverStream::new(stream))
    }
}
