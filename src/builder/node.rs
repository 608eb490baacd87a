//! A BuildKit daemon that builds for a run, and the assignment of platforms to several daemons.

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

/// A BuildKit daemon that builds for a run.
#[derive(Debug)]
pub struct Node {
    /// Its endpoint.
    pub endpoint: Endpoint,
    /// The client connected to it.
    pub client: Client,
    /// Its capabilities.
    pub capabilities: Capabilities,
    /// The platforms that it builds for, the preferred ones first.
    pub platforms: Vec<String>,
    /// Its workers, as it reports them.
    pub worker: Worker,
}

const RESOLVE_MODE: &str = "image-resolve-mode";

/// The platforms of an image that one node builds.
#[derive(Clone, Debug)]
pub struct Assignment<'a> {
    /// The node.
    pub node: &'a Node,
    /// The platforms; empty for the node's default.
    pub platforms: Vec<String>,
}

/// Why a node cannot be used.
#[derive(Debug)]
pub enum NodeError {
    /// It cannot be reached.
    Unreachable(TransportError),
    /// Its answer is an error, or not one of BuildKit.
    Unusable(tonic::Status),
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => {
                write!(f, "{error}")?;
                error.source().map_or(Ok(()), |source| write!(f, ": {source}"))
            }
            // Only the innermost cause explains why a connection was lost.
            Self::Unusable(status) => match root_cause(status) {
                Some(cause) => write!(f, "{}: {cause}", status.message()),
                None => f.write_str(status.message()),
            },
        }
    }
}

impl Node {
    /// Connects to a daemon and determines its capabilities. `platforms` are those that the user assigned to it; if empty,
    /// it builds for all that it supports.
    pub async fn connect(endpoint: Endpoint, platforms: Vec<String>) -> Result<Self, NodeError> {
        let client = Client::connect(&endpoint).await.map_err(NodeError::Unreachable)?;
        // A server may accept the connection and not answer.
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

    /// Asks for its version, which only GitHub's cache depends on.
    pub async fn learn_version(&mut self) {
        self.capabilities.version = self.client.version().await;
    }

    /// Adapts a request to the node.
    pub fn adapt(&self, mut request: SolveRequest) -> SolveRequest {
        if self.capabilities.store == Store::Standalone {
            // It stores no images that could be preferred to the registry's.
            if request.frontend_attrs.get(RESOLVE_MODE).is_some_and(|mode| mode == "local") {
                request.frontend_attrs.remove(RESOLVE_MODE);
            }
        }
        request
    }

    /// How well it builds for a platform: 0 is best; emulated platforms come later. `None` if it does not.
    fn rank(&self, platform: &str) -> Option<usize> {
        self.platforms.iter().position(|known| normal(known) == normal(platform))
    }
}

/// Assigns each platform to the node that builds it best; of equal nodes, to the first.
///
/// # Errors
/// If none of several nodes supports a platform. A single node gets all platforms, and reports unsupported ones itself.
pub fn assign<'a>(nodes: &'a [Node], platforms: &[String]) -> Result<Vec<Assignment<'a>>, String> {
    let Some((first, others)) = nodes.split_first() else { return Ok(Vec::new()) };
    if platforms.is_empty() || others.is_empty() {
        return Ok(vec![Assignment { node: first, platforms: platforms.to_vec() }]);
    }
    let mut assignments: Vec<Assignment<'a>> = Vec::new();
    for platform in platforms {
        let ranked = nodes.iter().filter_map(|node| Some((node.rank(platform)?, node)));
        let (_, node) = ranked.min_by_key(|(rank, _)| *rank).ok_or_else(|| platform.clone())?;
        match assignments.iter_mut().find(|assignment| std::ptr::eq(assignment.node, node)) {
            Some(assignment) => assignment.platforms.push(platform.clone()),
            None => assignments.push(Assignment { node, platforms: vec![platform.clone()] }),
        }
    }
    Ok(assignments)
}
