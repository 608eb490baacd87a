//! Byte streams to the BuildKit inside a Docker engine. Other ways to a BuildKit are in [`super::reach`].
//!
//! The engine speaks HTTP/1.1 on its socket and hands out two kinds of raw HTTP/2 stream by an upgrade:
//! `POST /grpc`, where we are the gRPC client, and `POST /session`, where the daemon is
//! (<https://github.com/moby/moby/blob/master/daemon/server/router/build/build_routes.go>, `client/hijack.go`).
//! Unversioned paths work from Engine 20.10 on.

use std::{fmt, io, path::PathBuf, time::Duration};

use http::{Request, StatusCode, header};
use hyper::{client::conn::http1, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use rustix::net::sockopt;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

/// Where an engine listens.
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

/// Why no stream could be had.
#[derive(Debug, Error)]
pub enum TransportError {
    /// Nothing answers there.
    #[error("connect to the Docker engine at {address}")]
    Connect {
        /// Where.
        address: Address,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It answers, but not as an engine does.
    #[error("ask the Docker engine at {address} for {path}")]
    Request {
        /// Where.
        address: Address,
        /// What was asked for.
        path: &'static str,
        /// Why it failed.
        #[source]
        source: hyper::Error,
    },
    /// It refused to switch protocols.
    #[error("the Docker engine at {address} answered {status} to {path}: it offers no BuildKit")]
    Refused {
        /// Where.
        address: Address,
        /// What was asked for.
        path: &'static str,
        /// Its answer.
        status: StatusCode,
    },
    /// A BuildKit of its own does not answer, or not as it should.
    #[error("connect to the builder {endpoint}")]
    Endpoint {
        /// Where.
        endpoint: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A BuildKit in a container cannot be spoken to.
    #[error("speak to BuildKit in the container {name}: {reason}")]
    Container {
        /// The container.
        name: String,
        /// Why.
        reason: String,
    },
    /// A builder did not answer in time.
    #[error("the builder {endpoint} did not answer within {limit} s", limit = CONNECT_TIMEOUT.as_secs())]
    Late {
        /// Where.
        endpoint: String,
    },
    /// It takes no session.
    #[error("the builder {endpoint} takes no session: {reason}")]
    Session {
        /// Where.
        endpoint: String,
        /// Why.
        reason: String,
    },
    /// The engine did not answer in time.
    #[error("the Docker engine at {address} did not answer within {limit} s", limit = CONNECT_TIMEOUT.as_secs())]
    TimedOut {
        /// Where.
        address: Address,
    },
}

/// An engine that has not answered by then will not.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// What a byte stream must be able to do.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A byte stream of any kind.
pub type Stream = Box<dyn Duplex>;

/// Upgrades a new connection to raw HTTP/2 at `path` (`/grpc` or `/session`), sending `headers`.
pub async fn upgrade(
    address: &Address,
    path: &'static str,
    headers: &[(&'static str, String)],
) -> Result<Upgraded, TransportError> {
    let attempt = upgrade_unbounded(address, path, headers);
    tokio::time::timeout(CONNECT_TIMEOUT, attempt)
        .await
        .unwrap_or_else(|_| Err(TransportError::TimedOut { address: address.clone() }))
}

async fn upgrade_unbounded(
    address: &Address,
    path: &'static str,
    headers: &[(&'static str, String)],
) -> Result<Upgraded, TransportError> {
    let failed = |source| TransportError::Request { address: address.clone(), path, source };
    let (mut sender, connection) = http1::handshake(TokioIo::new(connect(address).await?)).await.map_err(failed)?;
    // The task ends by itself once the stream is upgraded or closed.
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::post(path)
        .header(header::HOST, "docker")
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "h2c");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    // Our header values are ids and method names; the path is a constant.
    let request = request.body(String::new()).unwrap_or_default();
    let response = sender.send_request(request).await.map_err(failed)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(TransportError::Refused { address: address.clone(), path, status: response.status() });
    }
    hyper::upgrade::on(response).await.map_err(failed)
}

async fn connect(address: &Address) -> Result<Stream, TransportError> {
    open(address).await.map_err(|source| TransportError::Connect { address: address.clone(), source })
}

/// Lets a connection break when the machine behind it is gone: a build is silent for as long as a step takes, so nothing
/// else would tell.
fn notice_death(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, PROBE)?;
    sockopt::set_tcp_keepintvl(stream, PROBE)?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    // Where something was sent that nobody confirms, nothing is asked.
    sockopt::set_tcp_user_timeout(stream, UNCONFIRMED)?;
    Ok(())
}

/// How long a connection is silent before it is asked for a sign of life, and how often that is done in vain.
const PROBE: Duration = Duration::from_secs(15);
const PROBES: u32 = 4;
/// Milliseconds for which what was sent may stay unconfirmed.
const UNCONFIRMED: u32 = 60_000;

async fn tcp(host: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(host).await?;
    // Small messages go both ways all the time: none may wait for another.
    stream.set_nodelay(true)?;
    // It works without.
    let _ = notice_death(&stream);
    Ok(stream)
}

/// Connects to whatever listens at `address`.
pub async fn open(address: &Address) -> io::Result<Stream> {
    Ok(match address {
        Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Address::Tcp(host) => Box::new(tcp(host).await?),
    })
}

#[cfg(test)]
mod tests {
    use rustix::net::sockopt;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_connection_asks_for_signs_of_life() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = super::tcp(&listener.local_addr().unwrap().to_string()).await.unwrap();
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), super::PROBE);
        assert_eq!(sockopt::tcp_keepcnt(&stream).unwrap(), super::PROBES);
        assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), super::UNCONFIRMED);
    }
}
