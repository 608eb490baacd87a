//! Serves SSH agents to `RUN --mount=type=ssh`: the one of `SSH_AUTH_SOCK`, or one of our own with keys from files.
//!
//! Protocol: <https://github.com/moby/buildkit/blob/master/session/sshforward/ssh.proto>. Private keys stay here; the
//! build gets signatures. A build step speaks to no socket itself: its requests are parsed, and only those to list keys
//! and to sign reach an agent.

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

/// Which agent an id stands for, before anything is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentSource {
    /// The value of `SSH_AUTH_SOCK`; `None` if it is not set.
    Environment(Option<PathBuf>),
    /// Key files, or one agent's socket.
    Files(Vec<PathBuf>),
}

/// Why an agent cannot be served.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SshError {
    /// `default` without an agent.
    #[error("`ssh: default` means the agent of SSH_AUTH_SOCK, and that is not set")]
    NoAgent,
    /// The agent's socket is not there, as on a runner whose agent listens outside of what the container sees.
    #[error("the agent's socket {0} (SSH_AUTH_SOCK) does not exist in the action's container")]
    SocketOutOfReach(String),
    /// A file cannot be read.
    #[error("read the SSH key {path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// A file is no private key in OpenSSH's format.
    #[error("{0} is no private key in OpenSSH's format")]
    NoKey(String),
    /// A key needs a passphrase.
    #[error("the SSH key {0} is locked with a passphrase")]
    Locked(String),
    /// A socket among keys.
    #[error("{0} is an agent's socket: it cannot stand beside other keys of the same id")]
    Mixed(String),
}

impl SshError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoAgent | Self::SocketOutOfReach(_) => {
                "let the agent listen where the action sees it, `ssh-agent -a \"$RUNNER_TEMP/agent.sock\"` with \
                 SSH_AUTH_SOCK set to that path, or give a key: `ssh: default=path-to-key`"
            }
            Self::Unreadable { .. } => {
                "check the input `ssh`, or `ssh` in the compose file; the action sees the workspace and RUNNER_TEMP only"
            }
            Self::NoKey(_) => "convert an older key with `ssh-keygen -p -N '' -f KEY`",
            Self::Locked(_) => "take the passphrase off with `ssh-keygen -p -N '' -f KEY`, or add the key to an agent",
            Self::Mixed(_) => "give the socket an id of its own",
        }
    }
}

/// The agents that one image's build may use, by id. Clones share what they know of failures.
#[derive(Clone)]
pub struct Agents {
    by_id: HashMap<String, Agent>,
    failures: Arc<Mutex<BTreeSet<String>>>,
    streams: Arc<Semaphore>,
}

#[derive(Clone)]
enum Agent {
    /// Listens on a socket.
    Socket(PathBuf),
    /// Is ours.
    Keys(Arc<Vec<PrivateKey>>),
}

impl fmt::Debug for Agents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_id.keys()).finish()
    }
}

impl Agents {
    /// Reads the keys and looks whether sockets are there.
    pub fn read(sources: &[(String, AgentSource)]) -> Result<Self, SshError> {
        sources.iter().map(|(id, source)| Ok((id.clone(), agent(source)?))).collect::<Result<_, _>>().map(Self::new)
    }

    fn new(by_id: HashMap<String, Agent>) -> Self {
        Self { by_id, failures: Arc::default(), streams: Arc::new(Semaphore::new(STREAMS)) }
    }

    /// What went wrong with agents since the last call, each as `agent: reason`. The build step itself learns only that
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
            let outside = || SshError::SocketOutOfReach(path.display().to_string());
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
        // Secrets that were pasted into a file often lack the last end of line, and some have those of Windows.
        let text = fs::read_to_string(path).map_err(unreadable)?.replace('\r', "");
        let key = PrivateKey::from_openssh(format!("{}\n", text.trim())).map_err(|_| SshError::NoKey(shown.clone()))?;
        if key.is_encrypted() {
            return Err(SshError::Locked(shown));
        }
        keys.push(key);
    }
    Ok(Agent::Keys(Arc::new(keys)))
}

/// The id that a mount without one has.
const DEFAULT_ID: &str = "default";
/// Answers that may wait for the daemon.
const QUEUE: usize = 4;
/// Connections that the steps of a build may have open at the same time. Each may take a file descriptor.
const STREAMS: usize = 128;

type Answers = Pin<Box<dyn Stream<Item = Result<BytesMessage, Status>> + Send>>;

impl Agents {
    fn find(&self, id: &str) -> Result<&Agent, Status> {
        let id = if id.is_empty() { DEFAULT_ID } else { id };
        // The code that BuildKit takes for "none", and goes on without if the mount is optional.
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
        let permit = permit.map_err(|_| Status::resource_exhausted(format!("more than {STREAMS} connections")))?;
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
                // First, since the build may end over the next line.
                failures.lock().unwrap_or_else(PoisonError::into_inner).insert(format!("{shown}: {error}"));
                let _ = answers.send(Err(Status::unavailable(format!("the SSH agent {error}")))).await;
            }
            drop(permit);
        });
        Box::pin(ReceiverStream::new(stream))
    }
}
