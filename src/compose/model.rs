//! A compose project, as far as builds are concerned.

use std::collections::BTreeMap;

use super::yaml::At;

/// What the compose files of a project come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    /// Its name: `COMPOSE_PROJECT_NAME`, else the files' `name:`, else the one that the request hands in.
    pub name: String,
    /// The services that the profiles switch on: first those of the files, in their order, then included ones.
    pub services: Vec<Service>,
    /// The services that they leave off, in the same order.
    pub disabled: Vec<Service>,
    /// What the user should know, each in one sentence.
    pub warnings: Vec<String>,
}

/// A service of the project.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// `image:`, interpolated.
    pub image: Option<String>,
    /// `platform:`, which it runs on.
    pub platform: Option<String>,
    /// The profiles that switch it on; none means that it always is.
    pub profiles: Vec<String>,
    /// How its image is built, if it is.
    pub build: Option<Build>,
}

/// How an image is built (<https://github.com/compose-spec/compose-spec/blob/main/build.md>). Paths are relative
/// to the working directory and normalised, but where it says otherwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Build {
    /// The context: a path, or a URL or git address ([`super::is_remote`]).
    pub context: String,
    /// Dockerfile, relative to the context. `None` means `Dockerfile`, or `dockerfile_inline`.
    pub dockerfile: Option<String>,
    /// The Dockerfile's text.
    pub dockerfile_inline: Option<String>,
    /// Build arguments, resolved, in the files' order.
    pub args: Vec<(String, String)>,
    /// The stage to build; `None` means the last.
    pub target: Option<String>,
    /// Further contexts by name.
    pub additional_contexts: Vec<(String, ContextSource)>,
    /// Labels of the image.
    pub labels: Vec<(String, String)>,
    /// Tags, as full references.
    pub tags: Vec<String>,
    /// Platforms such as `linux/arm64`; none means the engine's.
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
    /// Cgroup that the containers of `RUN` are put below; no key of Compose's says it.
    pub cgroup_parent: Option<String>,
    /// Host names and addresses for `/etc/hosts`; a host may come more than once.
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
    /// `provenance:`, as BuildKit attributes or `true`/`false`.
    pub provenance: Option<String>,
    /// `sbom:`, likewise.
    pub sbom: Option<String>,
    /// Where the files say what can reach beyond the project.
    pub positions: BTreeMap<Access, Position>,
}

/// A value of a build that can reach beyond the project.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// The build context.
    Context,
    /// The Dockerfile.
    Dockerfile,
    /// The additional context of this name.
    NamedContext(String),
    /// The secret of this id.
    Secret(String),
    /// The SSH agent or key of this id.
    Ssh(String),
    /// This entitlement.
    Entitlement(String),
    /// A cache that is read, as it is written.
    CacheFrom(String),
    /// A cache that is written, as it is written.
    CacheTo(String),
}

/// A value's position in the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// File, line and column.
    pub at: At,
    /// The key's path, such as `services.web.build.network`.
    pub key: String,
}

/// What a named context is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContextSource {
    /// A directory.
    Path(String),
    /// `docker-image://…`, a URL, or a git address.
    Remote(String),
    /// The image of another service (`service:name`).
    Service(String),
}

/// A limit on a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ulimit {
    /// Such as `nofile`.
    pub name: String,
    /// Soft limit; -1 means none.
    pub soft: i64,
    /// Hard limit; -1 means none.
    pub hard: i64,
}

/// A secret that a build may mount.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildSecret {
    /// The id in `RUN --mount=type=secret,id=…`.
    pub id: String,
    /// Where its value comes from.
    pub source: SecretSource,
}

/// Where a secret's value comes from. Never holds the value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretSource {
    /// A file.
    File(String),
    /// A variable of the environment.
    Environment(String),
    /// The files do not say (`external: true`); the input `secrets` brings it.
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
