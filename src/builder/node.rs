//! A BuildKit that builds for a run, and which of several builds what.

use std::{error::Error, fmt};

use bollard_buildkit_proto::moby::buildkit::v1::SolveRequest;
use tokio::time::timeout;

use super::capabilities::{Capabilities, Store};
use crate::{
    buildkit::{
        Client, Endpoint,
        client::Worker,
        error::root_cause,
        transport::{CONNECT_TIMEOUT, TransportError},
    },
    domain::platform::normal,
};

/// A BuildKit that builds for a run.
#[derive(Debug)]
pub struct Node {
    /// Where it is.
    pub endpoint: Endpoint,
    /// The connection to it.
    pub client: Client,
    /// What it can do.
    pub capabilities: Capabilities,
    /// What it is to build for, best first; empty if it is all the same.
    pub platforms: Vec<String>,
    /// What it says of itself.
    pub worker: Worker,
}

const RESOLVE_MODE: &str = "image-resolve-mode";

/// What one node builds of an image.
#[derive(Clone, Debug)]
pub struct Share<'a> {
    /// The node.
    pub node: &'a Node,
    /// The platforms; empty for the node's own.
    pub platforms: Vec<String>,
}

/// Why a node could not be had.
#[derive(Debug)]
pub enum NodeError {
    /// It cannot be reached.
    Unreachable(TransportError),
    /// It is no BuildKit that we could use.
    Unusable(tonic::Status),
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => {
                write!(f, "{error}")?;
                error.source().map_or(Ok(()), |source| write!(f, ": {source}"))
            }
            // Of a connection that broke, only the innermost cause says why.
            Self::Unusable(status) => match root_cause(status) {
                Some(cause) => write!(f, "{}: {cause}", status.message()),
                None => f.write_str(status.message()),
            },
        }
    }
}

impl Node {
    /// Connects, and asks what it can do. `platforms` are those that the user wants it for.
    pub async fn connect(endpoint: Endpoint, platforms: Vec<String>) -> Result<Self, NodeError> {
        let client = Client::connect(&endpoint).await.map_err(NodeError::Unreachable)?;
        // What takes connections need not answer.
        let late = |_| NodeError::Unreachable(TransportError::TimedOut { endpoint: endpoint.to_string() });
        let worker = timeout(CONNECT_TIMEOUT, client.worker()).await.map_err(late)?.map_err(NodeError::Unusable)?;
        let store = match (&endpoint, worker.containerd) {
            (Endpoint::Engine(_), true) => Store::Containerd,
            (Endpoint::Engine(_), false) => Store::Classic,
            (Endpoint::Socket(..) | Endpoint::Dialer(_), _) => Store::Standalone,
        };
        let platforms = if platforms.is_empty() { worker.platforms.clone() } else { platforms };
        Ok(Self { endpoint, client, capabilities: Capabilities { store, version: None }, platforms, worker })
    }

    /// Asks for its version, which only a few things depend on.
    pub async fn learn_version(&mut self) {
        self.capabilities.version = self.client.version().await;
    }

    /// Fits a request to it.
    pub fn adapt(&self, mut request: SolveRequest) -> SolveRequest {
        if self.capabilities.store == Store::Standalone {
            // It has no images of its own to prefer to the registry's.
            if request.frontend_attrs.get(RESOLVE_MODE).is_some_and(|mode| mode == "local") {
                request.frontend_attrs.remove(RESOLVE_MODE);
            }
        }
        request
    }

    /// How well it builds for a platform: its own one is 0, those that it emulates come later.
    fn rank(&self, platform: &str) -> Option<usize> {
        self.platforms.iter().position(|known| normal(known) == normal(platform))
    }
}

/// Divides `platforms` among the nodes: each platform goes to the node that is best at it, the first of equals, and what
/// one node builds stays together. `Err` is a platform that none of several nodes builds; a single node is left to say so itself.
pub fn shares<'a>(nodes: &'a [Node], platforms: &[String]) -> Result<Vec<Share<'a>>, String> {
    let Some((first, others)) = nodes.split_first() else { return Ok(Vec::new()) };
    if platforms.is_empty() || others.is_empty() {
        return Ok(vec![Share { node: first, platforms: platforms.to_vec() }]);
    }
    let mut shares: Vec<Share<'a>> = Vec::new();
    for platform in platforms {
        let ranked = nodes.iter().filter_map(|node| Some((node.rank(platform)?, node)));
        let (_, node) = ranked.min_by_key(|(rank, _)| *rank).ok_or_else(|| platform.clone())?;
        match shares.iter_mut().find(|share| std::ptr::eq(share.node, node)) {
            Some(share) => share.platforms.push(platform.clone()),
            None => shares.push(Share { node, platforms: vec![platform.clone()] }),
        }
    }
    Ok(shares)
}
