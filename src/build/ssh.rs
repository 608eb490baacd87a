//! Serves SSH agents to `RUN --mount=type=ssh`: the one of `SSH_AUTH_SOCK`, or one of our own with keys from files.
//!
//! Protocol: <https://github.com/moby/buildkit/blob/master/session/sshforward/ssh.proto>. Private keys stay here; the
//! build gets signatures.

mod agent;

use std::{collections::HashMap, fmt, fs, os::unix::fs::FileTypeExt as _, path::PathBuf, pin::Pin, sync::Arc};

use bollard_buildkit_proto::moby::sshforward::v1::{
    BytesMessage, CheckAgentRequest, CheckAgentResponse, ssh_server::Ssh,
};
use futures_util::Stream;
use ssh_key::PrivateKey;
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use self::agent::Conversation;

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

/// The agents that one image's build may use, by id.
#[derive(Clone, Default)]
pub struct Agents(HashMap<String, Agent>);

#[derive(Clone)]
enum Agent {
    /// Listens on a socket.
    Socket(PathBuf),
    /// Is ours.
    Keys(Arc<Vec<PrivateKey>>),
}

impl fmt::Debug for Agents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Agents {
    /// Reads the keys and looks whether sockets are there.
    pub fn read(sources: &[(String, AgentSource)]) -> Result<Self, SshError> {
        sources.iter().map(|(id, source)| Ok((id.clone(), agent(source)?))).collect::<Result<_, _>>().map(Self)
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
/// Bytes of an agent's answer that travel in one message.
const CHUNK: usize = 32 << 10;
/// Messages that may wait for the daemon.
const QUEUE: usize = 4;

type Answers = Pin<Box<dyn Stream<Item = Result<BytesMessage, Status>> + Send>>;

impl Agents {
    fn find(&self, id: &str) -> Result<&Agent, Status> {
        let id = if id.is_empty() { DEFAULT_ID } else { id };
        // The code that BuildKit takes for "none", and goes on without if the mount is optional.
        self.0.get(id).ok_or_else(|| Status::unimplemented(format!("unset ssh forward key {id}")))
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
        let agent = self.find(id)?.clone();
        let asked = request.into_inner();
        let (answers, stream) = mpsc::channel(QUEUE);
        match agent {
            Agent::Keys(keys) => tokio::spawn(answer(keys, asked, answers)),
            Agent::Socket(path) => {
                let socket = UnixStream::connect(&path).await;
                let socket = socket.map_err(|e| Status::internal(format!("connect to the SSH agent: {e}")))?;
                tokio::spawn(forward(socket, asked, answers))
            }
        };
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// Is the agent, until the build hangs up.
async fn answer(
    keys: Arc<Vec<PrivateKey>>,
    mut asked: Streaming<BytesMessage>,
    answers: mpsc::Sender<Result<BytesMessage, Status>>,
) {
    let mut conversation = Conversation::new(&keys);
    while let Ok(Some(message)) = asked.message().await {
        let Some(data) = conversation.hear(&message.data) else { return };
        if !data.is_empty() && answers.send(Ok(BytesMessage { data })).await.is_err() {
            return;
        }
    }
}

/// Carries bytes to and from an agent, until one of both hangs up.
async fn forward(
    socket: UnixStream,
    mut asked: Streaming<BytesMessage>,
    answers: mpsc::Sender<Result<BytesMessage, Status>>,
) {
    let (mut from_agent, mut to_agent) = socket.into_split();
    let ask = async {
        while let Ok(Some(message)) = asked.message().await {
            if to_agent.write_all(&message.data).await.is_err() {
                return;
            }
        }
        // The agent may still be answering.
        let _ = to_agent.shutdown().await;
    };
    let tell = async {
        let mut buffer = vec![0; CHUNK];
        while let Ok(read @ 1..) = from_agent.read(&mut buffer).await {
            if answers.send(Ok(BytesMessage { data: buffer[..read].to_vec() })).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(ask, tell);
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::net::UnixListener, path::PathBuf};

    use ssh_key::{LineEnding, PrivateKey, private::Ed25519Keypair};

    use super::{AgentSource, Agents, SshError};

    fn read(source: AgentSource) -> Result<Agents, SshError> {
        Agents::read(&[("default".to_owned(), source)])
    }

    #[test]
    fn what_cannot_be_served_is_told_before_the_build() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let _listener = UnixListener::bind(path("agent")).unwrap();
        fs::write(path("pem"), "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n").unwrap();
        let key = PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32])).to_openssh(LineEnding::CRLF).unwrap();
        fs::write(path("key"), key.trim_end()).unwrap();
        let files = |names: &[&str]| AgentSource::Files(names.iter().map(|name| path(name)).collect());
        assert!(read(AgentSource::Environment(Some(path("agent")))).is_ok());
        assert!(read(files(&["agent"])).is_ok() && read(files(&["key"])).is_ok());
        assert_eq!(read(AgentSource::Environment(None)).unwrap_err(), SshError::NoAgent);
        let gone = AgentSource::Environment(Some(PathBuf::from("/nowhere/agent.1")));
        assert_eq!(read(gone).unwrap_err(), SshError::SocketOutOfReach("/nowhere/agent.1".into()));
        assert!(matches!(read(files(&["none"])).unwrap_err(), SshError::Unreadable { .. }));
        assert_eq!(read(files(&["pem"])).unwrap_err(), SshError::NoKey(path("pem").display().to_string()));
        assert!(matches!(read(files(&["key", "agent"])).unwrap_err(), SshError::Mixed(_)));
    }
}
