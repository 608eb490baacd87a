//! The ways to a BuildKit: inside a Docker engine, listening on its own, or in a container of the engine.
//!
//! Every way yields a stream of HTTP/2 for the daemon's services. For sessions, an engine has streams of their own
//! ([`transport`]); all others carry them inside a call ([`crate::buildkit::tunnel`]).

use std::{fmt, sync::Arc};

use hyper_util::rt::TokioIo;

use super::{container::Seat, engine::ApiError};
use crate::buildkit::{
    tls::Tls,
    transport::{self, Address, CONNECT_TIMEOUT, Stream, TransportError},
};

/// How to get at a BuildKit.
#[derive(Clone)]
pub enum Reach {
    /// It is part of a Docker engine.
    Engine(Address),
    /// It listens there.
    Endpoint(Address, Option<Tls>),
    /// It runs in a container of the engine.
    Container(Arc<Seat>),
}

impl Reach {
    /// A new stream to the daemon's services.
    pub async fn dial(&self) -> Result<Stream, TransportError> {
        let dialling = async {
            match self {
                Self::Engine(address) => {
                    let upgraded = transport::upgrade(address, "/grpc", &[]).await?;
                    Ok(Box::new(TokioIo::new(upgraded)) as Stream)
                }
                Self::Endpoint(address, tls) => {
                    let connected = async {
                        let stream = transport::open(address).await?;
                        match tls {
                            Some(tls) => tls.connect(stream).await,
                            None => Ok(stream),
                        }
                    };
                    connected.await.map_err(|source| TransportError::Endpoint { endpoint: self.to_string(), source })
                }
                Self::Container(seat) => {
                    let failed = |error: ApiError| TransportError::Container {
                        name: seat.container().to_owned(),
                        reason: error.to_string(),
                    };
                    Ok(Box::new(seat.dial().await.map_err(failed)?) as Stream)
                }
            }
        };
        let late = || Err(TransportError::Late { endpoint: self.to_string() });
        tokio::time::timeout(CONNECT_TIMEOUT, dialling).await.unwrap_or_else(|_| late())
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(address) => write!(f, "the Docker engine at {address}"),
            Self::Endpoint(address, _) => write!(f, "{address}"),
            Self::Container(seat) => write!(f, "docker-container://{}", seat.container()),
        }
    }
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
