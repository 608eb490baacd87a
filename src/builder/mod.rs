//! Builds all images of a run with BuildKit, and uploads them.
//!
//! In reading order: what is built ([`spec`]) and with what ([`node`], [`container`], [`buildkitd`], [`engine`]); what a
//! builder supports ([`capabilities`], [`support`], [`caches`]); all images (`images`), one of them (`image`), on several
//! builders (`split`), on one (`solve`); what is reported ([`progress`]) and why a build failed ([`diagnose`],
//! [`explain`]); what is read back ([`content`]).

pub mod buildkitd;
mod built;
pub mod caches;
pub mod capabilities;
pub mod container;
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

/// What the images of a run are built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// To see whether they build.
    Check,
    /// The same, and to see how large they are, if the builder can tell.
    Measure,
    /// To be pushed.
    Push,
    /// To be loaded into the engine.
    Load,
    /// To be pushed and loaded.
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

/// What the images of a run are built with.
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
