//! How to build: the inputs that BuildKit gets.

use crate::domain::secret::Secret;

/// How to build. Applies to every image.
#[derive(Clone, Debug)]
pub struct BuildInputs {
    /// Build arguments.
    pub args: Vec<(String, String)>,
    /// Named contexts.
    pub contexts: Vec<(String, String)>,
    /// Secrets by id, those of `secret-envs` among them.
    pub secrets: Vec<(String, Secret)>,
    /// Files with secrets, by id.
    pub secret_files: Vec<(String, String)>,
    /// SSH agents and keys by id: paths, comma-separated; without, the agent of `SSH_AUTH_SOCK`.
    pub ssh: Vec<(String, Option<String>)>,
    /// Stage.
    pub target: Option<String>,
    /// Platforms; empty means the engine's.
    pub platforms: Vec<String>,
    /// Network of `RUN` steps.
    pub network: Option<Network>,
    /// Entries `host:ip`, with `=` between them as BuildKit wants it.
    pub add_hosts: Vec<(String, String)>,
    /// Bytes of `/dev/shm`.
    pub shm_size: Option<u64>,
    /// Limits `name=soft[:hard]`.
    pub ulimits: Vec<String>,
    /// Cgroup that the containers of `RUN` steps are put below.
    pub cgroup_parent: Option<String>,
    /// Stages to build anew.
    pub no_cache: NoCache,
    /// Whether registries are asked again for base images.
    pub pull: bool,
    /// What the checkout may do beyond its project.
    pub allow: Allow,
    /// Whether the warnings of build checks are reported.
    pub check: bool,
    /// What is attested of every image; `None` leaves it to the compose file.
    pub provenance: Option<Attest>,
    /// Likewise of what is in it.
    pub sbom: Option<Attest>,
    /// How layers are packed.
    pub compression: Compression,
}

/// The input `allow`: what the files of the checkout may do beyond their project, in the words of `docker buildx bake`
/// (<https://docs.docker.com/reference/cli/docker/buildx/bake/#allow>).
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

/// An attestation that is asked for: BuildKit's attributes in CSV, such as `mode=max`; empty for its defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attest(pub String);

/// How the layers of an image are packed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compression {
    /// The algorithm.
    pub kind: CompressionKind,
    /// 0 to 22; `None` for BuildKit's own.
    pub level: Option<u8>,
    /// Which layers are packed so.
    pub reach: CompressionReach,
}

impl Compression {
    /// Whether it is what every engine does without a word.
    pub fn is_usual(&self) -> bool {
        self.kind == CompressionKind::Gzip && self.level.is_none()
    }
}

/// An algorithm for layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompressionKind {
    /// What every registry and engine understands.
    #[default]
    Gzip,
    /// Smaller and faster; engines from 2021 on.
    Zstd,
    /// Gzip that can be pulled lazily.
    Estargz,
    /// None.
    Uncompressed,
}

/// Which layers are packed anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompressionReach {
    /// Those that this build made.
    #[default]
    New,
    /// Those of base images too.
    All,
}

/// Network of `RUN` steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// The builder's own choice.
    Default,
    /// None.
    None,
    /// The host's; needs the entitlement `network.host`.
    Host,
}

/// What is built anew though the cache has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoCache {
    /// Nothing.
    Nothing,
    /// Everything.
    Everything,
    /// These stages.
    Stages(Vec<String>),
}
