//! Builds all images of a run with BuildKit, and uploads them.
//!
//! In reading order: the image to build ([`spec`]) and the builder ([`node`], [`container`], [`buildkitd`], [`engine`]); the
//! options that a builder supports ([`capabilities`], [`support`], [`caches`]); all images (`images`), one of them
//! (`image`), on several builders (`split`), on one (`solve`); the reports of progress ([`progress`]) and failures
//! ([`diagnose`], [`explain`]); manifests read from the builder ([`content`]).

pub mod buildkitd;
mod built;
pub mod caches;
pub mod capabilities;
pub mod container;
mod container_image;
pub mod content;
pub mod diagnose;
pub mod engine;
pub mod explain;
mod image;
mod images;
mod lines;
mod load;
pub mod node;
pub mod progress;
mod solve;
pub mod spec;
mod split;
pub mod support;

use std::{collections::HashMap, sync::Arc};

pub use self::{
    built::{Built, Content},
    images::{all, push_by_name},
};
use self::{capabilities::Store, engine::Engine, node::Node, spec::BuildSpec};
use crate::{
    buildkit::{session::BuildSecret, ssh::Agents},
    registry::{permissions::PushTarget, registries::Registries},
};

/// The purpose of a run's images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Check that they build.
    Check,
    /// Check that they build, and measure their size if the builder reports it.
    Measure,
    /// Push them.
    Push,
    /// Load them into the engine.
    Load,
    /// Push and load them.
    PushAndLoad,
}

impl Goal {
    /// Whether the images are loaded into the engine.
    pub fn loads(self) -> bool {
        matches!(self, Self::Load | Self::PushAndLoad)
    }

    /// Whether the images are pushed to a registry.
    pub fn pushes(self) -> bool {
        matches!(self, Self::Push | Self::PushAndLoad)
    }
}

/// The daemons, clients and credentials that build a run's images.
#[derive(Debug)]
pub struct Builder {
    /// The BuildKit daemons. At least one; more than one only if the input `builder` lists endpoints.
    pub nodes: Vec<Node>,
    /// The runner's Docker engine, if there is one.
    pub engine: Option<Arc<Engine>>,
    /// The registries, with their credentials.
    pub registries: Registries,
    /// Build secrets: by image, then by id.
    pub secrets: HashMap<String, HashMap<String, BuildSecret>>,
    /// SSH agents of each image.
    pub ssh: HashMap<String, Agents>,
}

impl Builder {
    /// The registry that an error of a push is about.
    fn push_target<'a>(&self, spec: &'a BuildSpec, message: &str) -> PushTarget<'a> {
        let host = spec.registry_in(message);
        PushTarget { host, has_login: self.registries.credentials().for_host(host).is_some() }
    }

    /// Whether any node runs outside a Docker engine.
    pub fn is_outside_engine(&self) -> bool {
        self.nodes.iter().any(|node| node.capabilities.store == Store::Standalone)
    }

    /// Whether the builder is the BuildKit of Docker 20.10 or older. False if the engine's version is unknown.
    pub async fn is_old(&self) -> bool {
        match &self.engine {
            Some(engine) if !self.is_outside_engine() => engine.is_old().await.unwrap_or(false),
            _ => false,
        }
    }

    /// Whether the Docker engine pushes the images, because its BuildKit cannot.
    pub fn engine_pushes(&self) -> bool {
        self.nodes.iter().any(|node| node.capabilities.store == Store::Classic)
    }
}
