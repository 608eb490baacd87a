//! The parts of a compose project that builds need.

use std::collections::BTreeMap;

use crate::yaml;

/// A project after its compose files are merged.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    /// Its name: `COMPOSE_PROJECT_NAME`, or else `name` of the files, or else the request's default.
    pub name: String,
    /// The services that the profiles activate: first the services of the files, in their order, then included ones.
    pub services: Vec<Service>,
    /// The other services, in the same order.
    pub disabled: Vec<Service>,
    /// Its compose files, in the order in which they are merged, without included ones.
    pub files: Vec<String>,
    /// Warnings for the user.
    pub warnings: Vec<String>,
    /// Notices for the user.
    pub notices: Vec<String>,
    /// Values that use a variable that counts as empty.
    pub unset: Vec<EmptyVariable>,
}

/// A variable that counts as empty in a value of a compose file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmptyVariable {
    /// The position of the value.
    pub at: yaml::Position,
    /// The variable's name.
    pub name: String,
    /// Whether it is hidden from compose files. Otherwise it is not set.
    pub is_hidden: bool,
}

/// A service of the project.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// `image`, with its variables replaced.
    pub image: Option<String>,
    /// `platform`, on which it runs.
    pub platform: Option<String>,
    /// The profiles that activate it. If empty, it is always active.
    pub profiles: Vec<String>,
    /// `build`, if its image is built.
    pub build: Option<Build>,
}

/// The build options of an image (<https://github.com/compose-spec/compose-spec/blob/main/build.md>). Paths are relative
/// to the working directory and normalized, unless stated otherwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Build {
    /// The context: a path, or a URL or git address ([`super::is_remote`]).
    pub context: String,
    /// Dockerfile, relative to the context. `None` means `Dockerfile`, or `dockerfile_inline` if that is set.
    pub dockerfile: Option<String>,
    /// The Dockerfile's text.
    pub dockerfile_inline: Option<String>,
    /// Build arguments, in the order of the files.
    pub args: Vec<(String, String)>,
    /// The stage to build; `None` means the last one.
    pub target: Option<String>,
    /// Additional contexts by name.
    pub additional_contexts: Vec<(String, ContextSource)>,
    /// Labels of the image.
    pub labels: Vec<(String, String)>,
    /// Tags, as full references.
    pub tags: Vec<String>,
    /// Platforms such as `linux/arm64`. If empty, the engine's platform.
    pub platforms: Vec<String>,
    /// Cache sources in BuildKit's CSV syntax, or a bare image reference.
    pub cache_from: Vec<String>,
    /// Cache destinations in the same syntax.
    pub cache_to: Vec<String>,
    /// Network mode of `RUN`: `default`, `none`, `host`.
    pub network: Option<String>,
    /// Bytes of `/dev/shm`.
    pub shm_size: Option<u64>,
    /// Resource limits of `RUN`.
    pub ulimits: Vec<Ulimit>,
    /// Parent cgroup of `RUN` containers. Compose has no key for it.
    pub cgroup_parent: Option<String>,
    /// Host names and addresses for `/etc/hosts`. A host may have several addresses.
    pub extra_hosts: Vec<(String, String)>,
    /// Secrets that the build may mount.
    pub secrets: Vec<BuildSecret>,
    /// SSH agents and keys that the build may use.
    pub ssh: Vec<SshKey>,
    /// Whether to build without any cache.
    pub no_cache: bool,
    /// Stages to build without cache.
    pub no_cache_filter: Vec<String>,
    /// Whether to ask registries for newer base images.
    pub pull: bool,
    /// BuildKit entitlements such as `network.host`; `privileged: true` is `security.insecure`.
    pub entitlements: Vec<String>,
    /// `provenance`: BuildKit attributes, or `true` or `false`.
    pub provenance: Option<String>,
    /// `sbom`: BuildKit attributes, or `true` or `false`.
    pub sbom: Option<String>,
    /// Positions of the values that can give access to something outside the project.
    pub positions: BTreeMap<Access, KeyPosition>,
}

/// A value of a build that can give access to something outside the project.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// The build context.
    Context,
    /// The Dockerfile.
    Dockerfile,
    /// The additional context with this name.
    NamedContext(String),
    /// The secret with this id.
    Secret(String),
    /// The SSH agent or key with this id.
    Ssh(String),
    /// An entitlement.
    Entitlement(String),
    /// A cache to read, as written.
    CacheFrom(String),
    /// A cache to write, as written.
    CacheTo(String),
}

/// A value's position in the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPosition {
    /// File, line and column.
    pub at: yaml::Position,
    /// The key's path, such as `services.web.build.network`.
    pub key: String,
}

/// The source of a named context.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContextSource {
    /// A directory.
    Path(String),
    /// `docker-image://…`, a URL, or a Git address.
    Remote(String),
    /// The image of another service (`service:name`).
    Service(String),
}

/// A limit on a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ulimit {
    /// Such as `nofile`.
    pub name: String,
    /// Soft limit; -1 for none.
    pub soft: i64,
    /// Hard limit; -1 for none.
    pub hard: i64,
}

/// A secret that a build may mount.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildSecret {
    /// The id in `RUN --mount=type=secret,id=…`.
    pub id: String,
    /// The source of its value.
    pub source: SecretSource,
}

/// The source of a secret's value. Never contains the value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretSource {
    /// A file.
    File(String),
    /// An environment variable.
    Environment(String),
    /// Not set in the files (`external: true`); it comes from the input `secrets`.
    External,
}

/// An SSH agent or key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SshKey {
    /// The id in `RUN --mount=type=ssh,id=…`.
    pub id: String,
    /// A key file or an agent's socket; `None` means the agent of `SSH_AUTH_SOCK`.
    pub path: Option<String>,
}
