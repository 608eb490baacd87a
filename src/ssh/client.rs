//! Connections to a server.

use std::{
    error::Error,
    fmt, io,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use russh::{
    AlgorithmKind, Channel, Preferred,
    client::{self, Handle, Msg},
    keys::{Algorithm, HashAlg, PrivateKey, PublicKey, PublicKeyOrCertificate},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use super::{
    auth,
    error::{HostKeyProblem, SshError},
    key::{self, KeyError},
    known_hosts::{KnownHosts, Trust, name},
};
use crate::domain::secret::Secret;

/// How long connecting and logging in may take in all.
const CONNECT: Duration = Duration::from_secs(20);
/// How often a silent server is asked whether it is still there. It is given up after three questions without an answer.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A server and how to log in to it.
#[derive(Clone, Debug)]
pub struct Server {
    /// Host name or address.
    pub host: String,
    /// The port, usually 22.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The private keys to try, in this order.
    pub identities: Vec<Identity>,
    /// The socket of an agent, whose keys are tried after the others.
    pub agent: Option<PathBuf>,
    /// The keys of known hosts. A server that is not among them is refused.
    pub known_hosts: KnownHosts,
    /// The server to connect through; `None` to connect directly.
    pub jump: Option<Box<Self>>,
}

/// A private key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The text of the key file.
    pub key: Secret,
    /// The passphrase of an encrypted key.
    pub passphrase: Option<Secret>,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, name(&self.host, self.port))
    }
}

/// A connection on which the user is logged in. Dropping it closes it, and with it the standard input of every command.
pub struct Connection {
    pub(super) handle: Handle<Guard>,
    /// The server, for messages.
    server: String,
    /// The connection to the server in between, which must live as long.
    _via: Option<Box<Self>>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("server", &self.server).finish_non_exhaustive()
    }
}

/// A stream to a socket of the server, or to the input and output of a command.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Connection {
    /// Connects to a server, verifies its key and logs in.
    ///
    /// # Errors
    /// The server cannot be reached, its key is not known, or it accepts none of the identities.
    pub async fn open(server: &Server) -> Result<Self, SshError> {
        let what = || "connecting".to_owned();
        let late = |_| SshError::TimedOut { server: server.to_string(), what: what(), limit: CONNECT };
        timeout(CONNECT, open(server)).await.map_err(late)?
    }

    /// Whether the connection was closed or lost.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Connects to a socket on the server, such as that of its Docker engine.
    ///
    /// # Errors
    /// The user may not use the socket, or the server does not forward sockets.
    pub async fn socket(&self, path: &str) -> Result<Box<dyn Stream>, SshError> {
        match self.handle.channel_open_direct_streamlocal(path).await {
            Ok(channel) => Ok(Box::new(channel.into_stream())),
            Err(error @ russh::Error::ChannelOpenFailure(_)) => {
                Err(SshError::Socket { server: self.server.clone(), socket: path.to_owned(), source: Box::new(error) })
            }
            Err(error) => Err(self.lost(error)),
        }
    }

    /// Opens a channel for a command.
    pub(super) async fn session(&self) -> Result<Channel<Msg>, SshError> {
        self.handle.channel_open_session().await.map_err(|error| self.lost(error))
    }

    /// The server's name in messages.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// The error of a connection that broke.
    pub(super) fn lost(&self, source: impl Into<Box<dyn Error + Send + Sync>>) -> SshError {
        SshError::Lost { server: self.server.clone(), source: source.into() }
    }
}

async fn open(server: &Server) -> Result<Connection, SshError> {
    let (keys, unusable) = private_keys(server)?;
    let refusal = Arc::new(OnceLock::new());
    let guard = Guard { server: server.clone(), refusal: refusal.clone() };
    let (stream, via) = stream(server).await?;
    let handle = match Box::pin(client::connect_stream(Arc::new(config(server)), stream, guard)).await {
        Ok(handle) => handle,
        Err(error) => {
            return Err(refusal.get().map_or_else(|| handshake_failure(server, error), |no| no.error(server)));
        }
    };
    let mut connection = Connection { handle, server: server.to_string(), _via: via };
    auth::log_in(&mut connection, server, keys, &unusable).await?;
    Ok(connection)
}

/// A stream to the server, through the server in between if there is one.
async fn stream(server: &Server) -> Result<(Box<dyn Stream>, Option<Box<Connection>>), SshError> {
    let failed = |source| SshError::Connect { server: server.to_string(), source };
    let Some(jump) = &server.jump else {
        let stream = TcpStream::connect((server.host.as_str(), server.port)).await.map_err(failed)?;
        // Commands are short: nothing is gained by waiting for more of them.
        let _ = stream.set_nodelay(true);
        return Ok((Box::new(stream), None));
    };
    let via = Box::new(Box::pin(open(jump)).await?);
    let channel = via.handle.channel_open_direct_tcpip(&server.host, server.port.into(), "127.0.0.1", 0).await;
    let channel = channel.map_err(|error| failed(io::Error::other(error)))?;
    Ok((Box::new(channel.into_stream()), Some(via)))
}

/// The keys to try, and why others cannot be used. Of several keys, one is enough.
fn private_keys(server: &Server) -> Result<(Vec<Arc<PrivateKey>>, Vec<KeyError>), SshError> {
    let parse = |identity: &Identity| key::parse(&identity.key, identity.passphrase.as_ref()).map(Arc::new);
    let (mut keys, mut errors) = (Vec::new(), Vec::new());
    for identity in &server.identities {
        match parse(identity) {
            Ok(key) => keys.push(key),
            Err(error) => errors.push(error),
        }
    }
    // An agent may hold the same key, decrypted.
    if keys.is_empty() && server.agent.is_none() && !errors.is_empty() {
        return Err(SshError::Key { server: server.to_string(), error: errors.swap_remove(0) });
    }
    Ok((keys, errors))
}

fn config(server: &Server) -> client::Config {
    let known = server.known_hosts.algorithms(&server.host, server.port);
    let supported = Preferred::DEFAULT.key;
    let mut wanted: Vec<Algorithm> = known.into_iter().filter(|one| supported.contains(one)).collect();
    if wanted.is_empty() {
        // The key is refused later, and can then be shown.
        wanted = supported.into_owned();
    }
    client::Config {
        preferred: Preferred { key: wanted.into(), ..Preferred::DEFAULT },
        keepalive_interval: Some(KEEPALIVE),
        ..client::Config::default()
    }
}

fn handshake_failure(server: &Server, error: russh::Error) -> SshError {
    let server = server.to_string();
    match error {
        russh::Error::NoCommonAlgo { kind: AlgorithmKind::Key, ours, theirs } => {
            SshError::HostKeyTypes { server, known: ours.join(", "), offered: theirs.join(", ") }
        }
        error => SshError::Lost { server, source: Box::new(error) },
    }
}

/// Type and fingerprint of a key, as `ssh-keygen -l` shows it.
pub(super) fn describe(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

/// Verifies the key of a server.
pub(super) struct Guard {
    server: Server,
    /// Why it was refused, since the error of the handshake does not say it.
    refusal: Arc<OnceLock<Refusal>>,
}

struct Refusal {
    problem: HostKeyProblem,
    key: PublicKey,
}

impl Refusal {
    fn error(&self, server: &Server) -> SshError {
        let host = name(&server.host, server.port);
        let line = format!("{host} {}", self.key.to_openssh().unwrap_or_default());
        SshError::HostKey { server: server.to_string(), problem: self.problem, offered: describe(&self.key), line }
    }
}

impl client::Handler for Guard {
    type Error = russh::Error;

    async fn check_server_key(&mut self, offered: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        // No certificate is asked for, and none is accepted.
        let PublicKeyOrCertificate::PublicKey { key, .. } = offered else { return Ok(false) };
        let problem = match self.server.known_hosts.trust(&self.server.host, self.server.port, key) {
            Trust::Known => return Ok(true),
            Trust::Unknown => HostKeyProblem::Unknown,
            Trust::Changed(line) => HostKeyProblem::Changed(line),
            Trust::Revoked(line) => HostKeyProblem::Revoked(line),
            Trust::OnlyAuthority(line) => HostKeyProblem::OnlyAuthority(line),
        };
        let _ = self.refusal.set(Refusal { problem, key: key.clone() });
        Ok(false)
    }
}

impl From<SshError> for io::Error {
    fn from(error: SshError) -> Self {
        Self::other(error)
    }
}
