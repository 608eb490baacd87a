//! The inputs that control how images are built.

use crate::domain::secret::Secret;

/// Build options. They apply to every image.
#[derive(Clone, Debug)]
pub struct BuildInputs {
    /// Build arguments.
    pub args: Vec<(String, String)>,
    /// Named contexts.
    pub contexts: Vec<(String, String)>,
    /// Secrets by id, including those of `secret-envs`.
    pub secrets: Vec<(String, Secret)>,
    /// Files with secrets, by id.
    pub secret_files: Vec<(String, String)>,
    /// SSH agents and keys by id: comma-separated paths, or `None` for the agent of `SSH_AUTH_SOCK`.
    pub ssh: Vec<(String, Option<String>)>,
    /// Stage to build.
    pub target: Option<String>,
    /// Platforms. If empty, the engine's platform.
    pub platforms: Vec<String>,
    /// Network of `RUN` steps.
    pub network: Option<Network>,
    /// Host names and addresses for `RUN` steps.
    pub add_hosts: Vec<(String, String)>,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: Option<u64>,
    /// Resource limits, `name=soft[:hard]`.
    pub ulimits: Vec<String>,
    /// Parent cgroup of the containers of `RUN` steps.
    pub cgroup_parent: Option<String>,
    /// Stages to build without the cache.
    pub no_cache: NoCache,
    /// Whether to look for newer base images in their registries.
    pub pull: bool,
    /// Permissions for the files of the checkout.
    pub allow: Allow,
    /// Whether to report the warnings of build checks.
    pub check: bool,
    /// Provenance attestation of every image; `None` for the setting of the compose file.
    pub provenance: Option<Attest>,
    /// SBOM attestation of every image; `None` for the setting of the compose file.
    pub sbom: Option<Attest>,
    /// Compression of layers.
    pub compression: Compression,
}

/// The input `allow`: permissions for files of the checkout to access something outside their project, with the names
/// of `docker buildx bake` (<https://docs.docker.com/reference/cli/docker/buildx/bake/#allow>).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// BuildKit's entitlements, such as `network.host`.
    pub entitlements: Vec<String>,
    /// Paths outside the checkout that may be read (`fs.read=PATH`); `*` means all.
    pub read: Vec<String>,
    /// Whether a compose file may use the agent of `SSH_AUTH_SOCK` (`ssh`).
    pub ssh: bool,
    /// Credentials in the environment that a compose file may use as build secrets (`secrets.env=NAME`).
    pub secret_envs: Vec<String>,
    /// Repositories or references that a compose file may write caches to (`cache-to=REF`); `*` means all.
    pub cache_to: Vec<String>,
}

/// A requested attestation: BuildKit's attributes in CSV, such as `mode=max`. If empty, BuildKit's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attest(pub String);

/// The compression of an image's layers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compression {
    /// The algorithm.
    pub kind: CompressionKind,
    /// Compression level, 0 to 22; `None` for BuildKit's default.
    pub level: Option<u8>,
    /// The layers to compress.
    pub scope: CompressionScope,
}

impl Compression {
    /// Whether this is the default of every engine.
    pub fn is_usual(&self) -> bool {
        self.kind == CompressionKind::Gzip && self.level.is_none()
    }
}

/// A compression algorithm for layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompressionKind {
    /// Supported by every registry and engine.
    #[default]
    Gzip,
    /// Smaller and faster; supported by engines since 2021.
    Zstd,
    /// Gzip that can be pulled lazily.
    Estargz,
    /// No compression.
    Uncompressed,
}

/// The layers to compress with the selected algorithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompressionScope {
    /// Layers that this build creates.
    #[default]
    New,
    /// All layers, including those of base images.
    All,
}

/// Network of `RUN` steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// The builder's default.
    Default,
    /// No network.
    None,
    /// The host's network; requires the entitlement `network.host`.
    Host,
}

/// The stages to build without the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoCache {
    /// No stage.
    Nothing,
    /// All stages.
    Everything,
    /// These stages.
    Stages(Vec<String>),
}
