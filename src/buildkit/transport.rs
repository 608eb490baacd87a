//! Byte streams to sockets, and the upgrade that turns a Docker engine's HTTP/1.1 connection into one.
//!
//! An engine hands out two kinds of raw HTTP/2 stream by an upgrade: `POST /grpc`, where we are the gRPC client, and
//! `POST /session`, where the daemon is
//! (<https://github.com/moby/moby/blob/master/daemon/server/router/build/build_routes.go>, `client/hijack.go`).
//! Unversioned paths work from Engine 20.10 on. Version 1.53 of the API deprecates both in favor of gRPC on the socket
//! itself, with sessions inside a call (<https://docs.docker.com/reference/api/engine/version-history/#v153-api-changes>), so
//! an engine may lack them.

use std::{fmt, io, path::PathBuf, time::Duration};

use http::{Request, Response, StatusCode, header, request};
use hyper::{body::Incoming, client::conn::http1, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use rustix::net::sockopt;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

/// The address of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// `host:port`, plain TCP.
    Tcp(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
        }
    }
}

/// Why the connection to a daemon failed. `endpoint` is formatted like [`super::Endpoint`].
#[derive(Debug, Error)]
pub enum TransportError {
    /// The connection failed.
    #[error("cannot connect to {endpoint}")]
    Connect {
        /// The daemon's endpoint.
        endpoint: String,
        /// The system's reason, or the dialer's.
        #[source]
        source: io::Error,
    },
    /// The daemon did not answer within [`CONNECT_TIMEOUT`].
    #[error("{endpoint} did not answer within {limit} s", limit = CONNECT_TIMEOUT.as_secs())]
    TimedOut {
        /// The daemon's endpoint.
        endpoint: String,
    },
    /// A Docker engine answered, but not with HTTP.
    #[error("{endpoint} did not answer the request for {path}")]
    Request {
        /// The engine's endpoint.
        endpoint: String,
        /// The path that was requested.
        path: &'static str,
        /// The problem with the answer.
        #[source]
        source: hyper::Error,
    },
    /// A Docker engine refused to switch protocols.
    #[error("{endpoint} does not offer BuildKit: it answered {status} to the request for {path}")]
    Refused {
        /// The engine's endpoint.
        endpoint: String,
        /// The path that was requested.
        path: &'static str,
        /// The engine's answer.
        status: StatusCode,
    },
    /// The daemon refused to open a session.
    #[error("{endpoint} refused a build session: {reason}")]
    Session {
        /// The daemon's endpoint.
        endpoint: String,
        /// The daemon's reason.
        reason: String,
    },
}

/// How long a daemon may take to accept a connection and to answer its first request.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// A byte stream in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A byte stream of any kind.
pub type Stream = Box<dyn Duplex>;

/// Connects to the Docker engine at `address` and upgrades the connection to raw HTTP/2 at `path` (`/grpc` or
/// `/session`), sending `headers`. `None` if the engine has no such path because it serves gRPC on its socket.
pub async fn upgrade(
    address: &Address,
    path: &'static str,
    headers: &[(&'static str, String)],
) -> Result<Option<Upgraded>, TransportError> {
    let late = |_| TransportError::TimedOut { endpoint: engine(address) };
    tokio::time::timeout(CONNECT_TIMEOUT, upgrade_unbounded(address, path, headers)).await.map_err(late)?
}

/// Returns the name of the Docker engine at an address for messages.
pub(super) fn engine(address: &Address) -> String {
    format!("the Docker engine at {address}")
}

async fn upgrade_unbounded(
    address: &Address,
    path: &'static str,
    headers: &[(&'static str, String)],
) -> Result<Option<Upgraded>, TransportError> {
    let mut request = Request::post(path).header(header::CONNECTION, "Upgrade").header(header::UPGRADE, "h2c");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let response = ask(address, path, request).await?;
    match response.status() {
        StatusCode::SWITCHING_PROTOCOLS => {
            let failed = |source| TransportError::Request { endpoint: engine(address), path, source };
            hyper::upgrade::on(response).await.map(Some).map_err(failed)
        }
        StatusCode::NOT_FOUND if serves_grpc(address).await? => Ok(None),
        status => Err(TransportError::Refused { endpoint: engine(address), path, status }),
    }
}

/// Whether the engine is new enough to serve gRPC on its socket.
async fn serves_grpc(address: &Address) -> Result<bool, TransportError> {
    const PING: &str = "/_ping";
    let response = ask(address, PING, Request::get(PING)).await?;
    let version = response.headers().get("api-version").and_then(|value| value.to_str().ok()?.split_once('.'));
    let version = version.and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
    Ok(version.is_some_and(|version| version >= (1, 53)))
}

/// Sends a request to an engine on a connection of its own.
async fn ask(
    address: &Address,
    path: &'static str,
    request: request::Builder,
) -> Result<Response<Incoming>, TransportError> {
    let unreachable = |source| TransportError::Connect { endpoint: engine(address), source };
    let failed = |source| TransportError::Request { endpoint: engine(address), path, source };
    let stream = open(address).await.map_err(unreachable)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // The task ends by itself once the stream is upgraded or closed.
    tokio::spawn(connection.with_upgrades());
    // Our header values are ids and method names; the path is a constant.
    let request = request.header(header::HOST, "docker").body(String::new()).unwrap_or_default();
    sender.send_request(request).await.map_err(failed)
}

/// Connects to the socket at `address`.
pub async fn open(address: &Address) -> io::Result<Stream> {
    Ok(match address {
        Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Address::Tcp(host) => Box::new(tcp(host).await?),
    })
}

async fn tcp(host: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(host).await?;
    // Small messages are sent in both directions all the time, and none may be delayed.
    stream.set_nodelay(true)?;
    // If this fails, the connection works nevertheless.
    let _ = set_keepalive(&stream);
    Ok(stream)
}

/// Makes the system close a connection whose peer is gone. A build sends nothing while a step runs, so nothing else would
/// detect it.
fn set_keepalive(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, PROBE_INTERVAL)?;
    sockopt::set_tcp_keepintvl(stream, PROBE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    // No probes are sent while data is unacknowledged.
    sockopt::set_tcp_user_timeout(stream, UNACKNOWLEDGED_MS)?;
    Ok(())
}

/// How long a connection is silent before a probe is sent, and the time between probes.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);
/// Maximum number of unanswered probes.
const PROBES: u32 = 4;
/// Milliseconds for which sent data may stay unacknowledged.
const UNACKNOWLEDGED_MS: u32 = 60_000;

#[cfg(test)]
mod tests {
    use rustix::net::sockopt;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_connection_is_probed_while_it_is_silent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = super::tcp(&listener.local_addr().unwrap().to_string()).await.unwrap();
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), super::PROBE_INTERVAL);
        assert_eq!(sockopt::tcp_keepcnt(&stream).unwrap(), super::PROBES);
        assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), super::UNACKNOWLEDGED_MS);
    }
}
