//! The options of one build, as the Dockerfile frontend and the exporters understand them. Pure.

use std::{fmt, path::PathBuf};

/// The placeholder for the address of the engine's host in [`Build::add_hosts`].
const HOST_GATEWAY: &str = "=host-gateway";

/// One build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// The build context.
    pub context: Context,
    /// The Dockerfile.
    pub dockerfile: Dockerfile,
    /// Named contexts (`FROM name`, `COPY --from=name`).
    pub named_contexts: Vec<(String, Context)>,
    /// The stage to build; `None` for the last.
    pub target: Option<String>,
    /// Build arguments.
    pub build_args: Vec<(String, String)>,
    /// Platforms; empty for the daemon's own.
    pub platforms: Vec<String>,
    /// Labels of the image's configuration.
    pub labels: Vec<(String, String)>,
    /// Annotations, by BuildKit's level and name: `manifest:key`.
    pub annotations: Vec<(String, String)>,
    /// Network of `RUN` steps: `host` or `none`; `None` for the default.
    pub network: Option<String>,
    /// Additional `/etc/hosts` entries of `RUN` steps, `name=ip`.
    pub add_hosts: Vec<String>,
    /// Bytes of `/dev/shm`.
    pub shm_size: Option<u64>,
    /// Limits such as `nofile=1024:2048`.
    pub ulimits: Vec<String>,
    /// The parent cgroup of the containers of `RUN` steps.
    pub cgroup_parent: Option<String>,
    /// Entitlements that the Dockerfile may use, such as `network.host`.
    pub entitlements: Vec<String>,
    /// Which stages ignore the cache.
    pub no_cache: NoCache,
    /// Whether to ask the registries for newer base images.
    pub pull: bool,
    /// Caches to read.
    pub cache_from: Vec<Cache>,
    /// Caches to write.
    pub cache_to: Vec<Cache>,
    /// Attestations by kind (`provenance`, `sbom`), with BuildKit's attributes.
    pub attestations: Vec<(&'static str, String)>,
    /// The commit that the provenance names.
    pub commit: Option<Commit>,
    /// How layers are compressed.
    pub compression: Compression,
    /// The time that all timestamps of the build are set to.
    pub epoch: Option<Epoch>,
}

/// A source commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The address of its repository.
    pub source: String,
    /// Its hash.
    pub revision: String,
}

/// A cache besides the daemon's own. Its `Debug` shows no values, since attributes may be credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Cache {
    /// BuildKit's type, such as `registry` or `gha`.
    pub kind: String,
    /// BuildKit's attributes of this type.
    pub attributes: Vec<(String, String)>,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.attributes.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Cache").field("kind", &self.kind).field("attributes", &names).finish()
    }
}

impl Cache {
    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Sets an attribute.
    pub fn set(&mut self, name: &str, value: &str) {
        self.attributes.retain(|(known, _)| known != name);
        self.attributes.push((name.to_owned(), value.to_owned()));
    }
}

/// How layers are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compression {
    /// The algorithm.
    pub kind: CompressionKind,
    /// The algorithm's level; `None` for its default.
    pub level: Option<u8>,
    /// Whether layers that exist already, such as those of base images, are compressed again.
    pub force: bool,
}

/// An algorithm that layers are compressed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompressionKind {
    /// gzip, which every tool reads.
    #[default]
    Gzip,
    /// zstd.
    Zstd,
    /// gzip that can be read lazily.
    Estargz,
    /// None.
    Uncompressed,
}

/// The time that all timestamps of a build are set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epoch {
    /// The time of the commit, in seconds since 1970. Only the exporter gets it: as a build argument it would be a part
    /// of the cache's keys, and each commit would invalidate every `COPY` and `WORKDIR`.
    Commit(i64),
    /// A time that the build arguments set.
    BuildArg,
}

/// Where a context comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Context {
    /// A local directory, absolute.
    Directory(PathBuf),
    /// Something that the daemon fetches: a Git or HTTP URL, `docker-image://…`.
    Remote(String),
    /// The result of another build, by its name in [`super::gateway::LinkedBuilds`].
    Build(String),
}

impl Default for Context {
    fn default() -> Self {
        Self::Directory(PathBuf::new())
    }
}

/// Where the Dockerfile comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dockerfile {
    /// A local file.
    File {
        /// Its directory, absolute.
        directory: PathBuf,
        /// Its name in the directory.
        name: String,
    },
    /// Its text.
    Inline(String),
    /// A path inside a remote context.
    InContext(String),
}

impl Default for Dockerfile {
    fn default() -> Self {
        Self::InContext("Dockerfile".to_owned())
    }
}

/// Which stages ignore the build cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NoCache {
    /// None.
    #[default]
    Never,
    /// All.
    All,
    /// These stages.
    Stages(Vec<String>),
}

impl Build {
    /// The builds whose results are contexts of this one.
    pub fn bases(&self) -> impl Iterator<Item = &str> {
        self.named_contexts.iter().filter_map(|(_, context)| match context {
            Context::Build(name) => Some(name.as_str()),
            Context::Directory(_) | Context::Remote(_) => None,
        })
    }

    /// Whether it reads or writes any cache besides the daemon's own.
    pub fn has_caches(&self) -> bool {
        !self.cache_from.is_empty() || !self.cache_to.is_empty()
    }

    /// The same build with the daemon's own cache alone.
    #[must_use]
    pub fn without_caches(&self) -> Self {
        Self { cache_from: Vec::new(), cache_to: Vec::new(), ..self.clone() }
    }

    /// Whether `RUN` steps need the address of the engine's host (`host-gateway`).
    pub fn needs_host_gateway(&self) -> bool {
        self.add_hosts.iter().any(|host| host.ends_with(HOST_GATEWAY))
    }

    /// Replaces `host-gateway` by the address of the engine's host.
    pub fn set_host_gateway(&mut self, address: &str) {
        for host in self.add_hosts.iter_mut().filter(|host| host.ends_with(HOST_GATEWAY)) {
            *host = format!("{}={address}", host.trim_end_matches(HOST_GATEWAY));
        }
    }
}
