//! The endpoint of a BuildKit daemon: a Docker engine, a separate socket, or a dialer.
//!
//! Each endpoint opens streams of HTTP/2 to the daemon's services. Engines have separate streams for sessions
//! ([`transport::upgrade`]), unless they are newer; every other daemon carries them inside a call ([`super::tunnel`]).

use std::{fmt, io, sync::Arc};

use hyper_util::rt::TokioIo;

use super::{
    tls::Tls,
    transport::{self, Address, CONNECT_TIMEOUT, Stream, TransportError},
};

/// Opens streams to a daemon that listens on no socket, such as one in a container. Its `Display` is the daemon's address
/// in messages.
#[tonic::async_trait]
pub trait Dial: fmt::Display + Send + Sync {
    /// Opens a new stream to the daemon's services.
    async fn dial(&self) -> io::Result<Stream>;
}

/// The endpoint of a BuildKit daemon.
#[derive(Clone)]
pub enum Endpoint {
    /// Inside the Docker engine that listens at this address.
    Engine(Address),
    /// Behind a separate socket, with or without TLS.
    Socket(Address, Option<Tls>),
    /// Behind a dialer.
    Dialer(Arc<dyn Dial>),
}

impl Endpoint {
    /// Opens a new stream to the daemon's services.
    pub async fn dial(&self) -> Result<Stream, TransportError> {
        let unreachable = |source| TransportError::Connect { endpoint: self.to_string(), source };
        let dialing = async {
            match self {
                Self::Engine(address) => match transport::upgrade(address, "/grpc", &[]).await? {
                    Some(upgraded) => Ok(Box::new(TokioIo::new(upgraded)) as Stream),
                    None => transport::open(address).await.map_err(unreachable),
                },
                Self::Socket(address, None) => transport::open(address).await.map_err(unreachable),
                Self::Socket(address, Some(tls)) => {
                    let stream = transport::open(address).await.map_err(unreachable)?;
                    tls.connect(stream).await.map_err(unreachable)
                }
                Self::Dialer(dialer) => dialer.dial().await.map_err(unreachable),
            }
        };
        let late = |_| TransportError::TimedOut { endpoint: self.to_string() };
        tokio::time::timeout(CONNECT_TIMEOUT, dialing).await.map_err(late)?
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(address) => f.write_str(&transport::engine(address)),
            Self::Socket(address, _) => write!(f, "{address}"),
            Self::Dialer(dialer) => write!(f, "{dialer}"),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
