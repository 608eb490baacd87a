//! Forwards requests of one build step to an agent, and its answers back.

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use bollard_buildkit_proto::moby::sshforward::v1::BytesMessage;
use futures_util::{Stream, StreamExt as _};
use ssh_key::PrivateKey;
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::mpsc,
    time::timeout,
};
use tonic::Status;

use super::{
    agent,
    protocol::{self, Frames, ProtocolError, Request},
};

/// How long an agent may take to accept a connection and to list its keys, for which it needs no confirmation.
const PROMPT: Duration = Duration::from_secs(10);
/// How long an agent may take to sign: a person may have to confirm it or to touch a hardware key.
const SIGNING: Duration = Duration::from_mins(1);
/// Bytes that are read at once.
const CHUNK: usize = 32 << 10;

/// Why an agent is unusable.
#[derive(Debug, Error)]
pub(super) enum AgentError {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("closed the connection without a complete answer")]
    HungUp,
    #[error("lost the connection: {0}")]
    Lost(io::Error),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

/// The agent that answers requests.
pub(super) enum Upstream {
    /// An agent in this process.
    Keys(Arc<Vec<PrivateKey>>),
    /// An agent behind a socket.
    Socket(Remote),
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(_) => f.write_str("of the keys"),
            Self::Socket(remote) => write!(f, "{}", remote.path.display()),
        }
    }
}

impl Upstream {
    async fn ask(&mut self, request: &Request<'_>) -> Result<Vec<u8>, AgentError> {
        match self {
            Self::Keys(keys) => Ok(agent::answer(keys, request)),
            Self::Socket(remote) => remote.ask(request).await,
        }
    }

    /// Resolves when an agent hangs up or sends something while no request is open. Can be dropped at any time.
    async fn leaves(&mut self) -> Result<(), AgentError> {
        match self {
            Self::Socket(Remote { connection: Some(connection), .. }) => connection.leaves().await,
            Self::Keys(_) | Self::Socket(Remote { connection: None, .. }) => std::future::pending().await,
        }
    }
}

/// An agent behind a socket. Connects with the first request that may be forwarded.
pub(super) struct Remote {
    path: PathBuf,
    connection: Option<Connection>,
}

impl Remote {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, connection: None }
    }

    async fn ask(&mut self, request: &Request<'_>) -> Result<Vec<u8>, AgentError> {
        let connection = if let Some(connection) = &mut self.connection {
            connection
        } else {
            let stream = timeout(PROMPT, UnixStream::connect(&self.path)).await;
            let stream = stream.map_err(|_| AgentError::TimedOut(PROMPT))?.map_err(AgentError::Connect)?;
            self.connection.insert(Connection { stream, frames: Frames::default(), proven: false })
        };
        // The socket may belong to any server. Only an agent may get bytes that the build chose.
        if !connection.proven && *request != Request::List {
            connection.exchange(&Request::List).await?;
        }
        connection.exchange(request).await
    }
}

struct Connection {
    stream: UnixStream,
    frames: Frames,
    /// Whether it has answered a request in the protocol.
    proven: bool,
}

impl Connection {
    async fn exchange(&mut self, request: &Request<'_>) -> Result<Vec<u8>, AgentError> {
        let bound = match request {
            Request::List => PROMPT,
            Request::Sign { .. } => SIGNING,
        };
        let answer = async {
            // An agent that closes the connection may have sent an answer before.
            let written = self.stream.write_all(&request.encode()).await;
            let mut buffer = vec![0; CHUNK];
            loop {
                if let Some(message) = self.frames.take()? {
                    return Ok(message);
                }
                match self.stream.read(&mut buffer).await {
                    Ok(0) => return Err(AgentError::HungUp),
                    Ok(read) => self.frames.push(&buffer[..read]),
                    Err(_) if written.is_err() => return Err(AgentError::HungUp),
                    Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(AgentError::HungUp),
                    Err(error) => return Err(AgentError::Lost(error)),
                }
            }
        };
        let answer = timeout(bound, answer).await.map_err(|_| AgentError::TimedOut(bound))??;
        let checked = request.check(&answer)?;
        if !self.frames.is_empty() {
            return Err(ProtocolError::Unsolicited.into());
        }
        self.proven = true;
        Ok(checked)
    }

    async fn leaves(&mut self) -> Result<(), AgentError> {
        match self.stream.read(&mut [0; 1]).await {
            // No request is open, so this is not an error.
            Ok(0) | Err(_) => Ok(()),
            Ok(_) => Err(ProtocolError::Unsolicited.into()),
        }
    }
}

/// Answers requests of the build one after the other, as agents do, until one of the two hangs up.
///
/// # Errors
/// If the agent is unusable. The build did not get an answer.
pub(super) async fn serve<S>(
    mut upstream: Upstream,
    mut asked: S,
    answers: &mpsc::Sender<Result<BytesMessage, Status>>,
) -> Result<(), AgentError>
where
    S: Stream<Item = Result<BytesMessage, Status>> + Unpin,
{
    let mut frames = Frames::default();
    loop {
        let message = match frames.take() {
            Ok(Some(message)) => message,
            Ok(None) => {
                tokio::select! {
                    chunk = asked.next() => match chunk {
                        Some(Ok(chunk)) => frames.push(&chunk.data),
                        Some(Err(_)) | None => return Ok(()),
                    },
                    left = upstream.leaves() => return left,
                    () = answers.closed() => return Ok(()),
                }
                continue;
            }
            Err(error) => {
                let status = Status::invalid_argument(format!("the build {error}"));
                let _ = answers.send(Err(status)).await;
                return Ok(());
            }
        };
        let data = match protocol::request(&message) {
            None => protocol::failure(),
            Some(request) => tokio::select! {
                answer = upstream.ask(&request) => answer?,
                () = answers.closed() => return Ok(()),
            },
        };
        if answers.send(Ok(BytesMessage { data })).await.is_err() {
            return Ok(());
        }
    }
}
