//! The context of a run: everything besides the plan that it needs.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use crate::{
    builder::{caches::CacheCredentials, container::ContainerLeases},
    buildkit::{session::BuildSecret, ssh::AgentSource},
    deploy::stage::Deployment,
    domain::credentials::Credentials,
    inputs::builder::{BuilderInput, ContainerInput},
    publish::Branch,
};

/// Everything besides the plan that a run needs: directories, credentials and the builder to use.
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
    /// The builder that the input `builder` names.
    pub builder: BuilderInput,
    /// The configuration of a builder container.
    pub container: ContainerInput,
    /// Credentials for build caches.
    pub cache_credentials: CacheCredentials,
    /// Directories of the runner's host, and the paths at which they are mounted here.
    pub mounts: Vec<(PathBuf, PathBuf)>,
    /// The builder containers that the run uses, to be released after it.
    pub leases: ContainerLeases,
    /// SSH agents of each image, by id.
    pub ssh: HashMap<String, Vec<(String, AgentSource)>>,
    /// The branch whose tags must not move backwards.
    pub branch: Option<Branch>,
    /// The targets to deploy to, if there are any.
    pub deployment: Option<Arc<Deployment>>,
}
