//! Everything besides the plan that a run needs.

use std::{collections::HashMap, path::PathBuf};

use crate::{
    builder::{caches::CacheCredentials, container::ContainerLeases},
    buildkit::{session::BuildSecret, ssh::AgentSource},
    domain::credentials::Credentials,
    inputs::builder::{BuilderInput, ContainerInput},
    publish::Branch,
};

/// Everything besides the plan that a run needs: directories, credentials, and who is asked for a builder.
#[derive(Clone, Debug)]
pub struct RunContext {
    /// The project's directory, absolute.
    pub project: PathBuf,
    /// The same, relative to the repository.
    pub place: String,
    /// The variable `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// Registry credentials.
    pub credentials: Credentials,
    /// Build secrets: by image, then by id.
    pub secrets: HashMap<String, HashMap<String, BuildSecret>>,
    /// What is to build.
    pub builder: BuilderInput,
    /// What a container that builds is made of.
    pub container: ContainerInput,
    /// What opens caches.
    pub cache_credentials: CacheCredentials,
    /// Directories of the runner's host, and where they are mounted here.
    pub mounts: Vec<(PathBuf, PathBuf)>,
    /// The containers that the run sits in, to be left after it.
    pub leases: ContainerLeases,
    /// SSH agents of each image, by id.
    pub ssh: HashMap<String, Vec<(String, AgentSource)>>,
    /// The branch whose tags must not move backwards.
    pub branch: Option<Branch>,
}
