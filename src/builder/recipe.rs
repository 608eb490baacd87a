//! What one image is built from, with every path resolved: the input of a build.

use std::path::{Path, PathBuf};

use crate::{
    compose::{self, ContextSource},
    domain::{destinations::Destinations, repository::Repository},
    inputs::typed::{CacheSpec, Compression},
    plan::{ImagePlan, caches::Origin, images::Purpose, origin::Commit},
};

/// Bytes of a Dockerfile beyond which it is not read here; the builder reads it all the same.
pub const LARGEST_DOCKERFILE: u64 = 1 << 20;

/// What stands for the address of the engine's host in `add_hosts`.
const HOST_GATEWAY: &str = "=host-gateway";

/// One image to build.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Default))]
pub struct Recipe {
    /// The image's name in the plan.
    pub name: String,
    /// Whether it is asked for, or only what others are built upon.
    pub purpose: Purpose,
    /// The build context.
    pub context: Context,
    /// The Dockerfile.
    pub dockerfile: Dockerfile,
    /// The Dockerfile's path in the repository, for messages and annotations; empty if it is not a file there.
    pub dockerfile_place: String,
    /// Named contexts (`FROM name`, `COPY --from=name`).
    pub named_contexts: Vec<(String, Context)>,
    /// The stage to build; `None` for the last.
    pub target: Option<String>,
    /// Build arguments.
    pub build_args: Vec<(String, String)>,
    /// Platforms; empty for the engine's own.
    pub platforms: Vec<String>,
    /// Labels of the image's configuration.
    pub labels: Vec<(String, String)>,
    /// Annotations, by BuildKit's level and name: `manifest:key`.
    pub annotations: Vec<(String, String)>,
    /// Where it is published. At least one tag if the image is pushed or loaded.
    pub destinations: Destinations,
    /// Network of `RUN` steps: `host` or `none`; `None` for the default.
    pub network: Option<String>,
    /// Further `/etc/hosts` entries of `RUN` steps, `name=ip`.
    pub add_hosts: Vec<String>,
    /// Bytes of `/dev/shm`.
    pub shm_size: Option<u64>,
    /// Limits such as `nofile=1024:2048`.
    pub ulimits: Vec<String>,
    /// Cgroup that the containers of `RUN` steps are put below.
    pub cgroup_parent: Option<String>,
    /// Entitlements that the Dockerfile may use, such as `network.host`.
    pub entitlements: Vec<String>,
    /// Which stages ignore the cache.
    pub no_cache: NoCache,
    /// Whether the registries are asked for newer base images.
    pub pull: bool,
    /// Caches to read.
    pub cache_from: Vec<CacheSpec>,
    /// Caches to write.
    pub cache_to: Vec<CacheSpec>,
    /// Who wants these caches.
    pub cache_origin: Origin,
    /// Attestations by kind (`provenance`, `sbom`), with BuildKit's attributes.
    pub attestations: Vec<(&'static str, String)>,
    /// Whether the warnings of build checks are reported.
    pub check: bool,
    /// The commit that the provenance names.
    pub commit: Commit,
    /// How layers are packed.
    pub compression: Compression,
    /// The time that stands for all times of the build, in seconds since 1970.
    pub epoch: Option<Epoch>,
    /// Names the daemon's own copy of the context over runs.
    pub shared_key: String,
}

/// The time that stands for all times of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epoch {
    /// That of the commit. It marks the image only: BuildKit would make a part of the cache's keys of one that it is
    /// told as a build argument, and with each commit every `COPY` and `WORKDIR` would be new.
    Commit(i64),
    /// The user's, a build argument already.
    Written,
}

/// Where a context comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Context {
    /// A local directory, absolute.
    Directory(PathBuf),
    /// Something that the daemon fetches: a Git or HTTP URL, `docker-image://…`.
    Remote(String),
    /// Another image of the run, by its name in the plan.
    Image(String),
}

impl Default for Context {
    fn default() -> Self {
        Self::Directory(PathBuf::new())
    }
}

/// Where the Dockerfile comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dockerfile {
    /// A local file: its directory, absolute, and its name.
    File {
        /// The directory, absolute.
        directory: PathBuf,
        /// The file's name in it.
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
    /// None does.
    #[default]
    Never,
    /// All do.
    All,
    /// These stages do.
    Stages(Vec<String>),
}

impl Recipe {
    /// Resolves an image of the plan. `root` is the project's directory, absolute; `place` is the same relative to the
    /// repository, `.` if it is the repository itself.
    pub fn new(image: &ImagePlan, root: &Path, place: &str) -> Self {
        let build = &image.build;
        let context = context(&build.context, root);
        let dockerfile = match (&build.dockerfile_inline, &image.dockerfile, &context) {
            (Some(text), ..) => Dockerfile::Inline(text.clone()),
            // An absolute path means a file here, also where the context is elsewhere.
            (None, Some(path), context) if matches!(context, Context::Directory(_)) || path.starts_with('/') => {
                let path = root.join(path);
                Dockerfile::File {
                    directory: path.parent().unwrap_or(root).to_owned(),
                    name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                }
            }
            (None, path, _) => Dockerfile::InContext(path.clone().unwrap_or_else(|| "Dockerfile".to_owned())),
        };
        let dockerfile_place = match (&dockerfile, &image.dockerfile) {
            (Dockerfile::File { .. }, Some(path)) => compose::join(place, path),
            _ => String::new(),
        };
        Self {
            name: image.name.clone(),
            purpose: image.purpose,
            named_contexts: build.additional_contexts.iter().map(|c| named_context(c, root)).collect(),
            target: image.target.clone(),
            build_args: build.args.clone(),
            platforms: image.platforms.clone(),
            labels: image.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            annotations: image.annotations.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            destinations: image.destinations.clone(),
            network: build.network.clone().filter(|network| network != "default"),
            add_hosts: build.extra_hosts.iter().map(|(host, address)| format!("{host}={address}")).collect(),
            shm_size: build.shm_size,
            ulimits: build.ulimits.iter().map(|l| format!("{}={}:{}", l.name, l.soft, l.hard)).collect(),
            cgroup_parent: build.cgroup_parent.clone(),
            entitlements: build.entitlements.clone(),
            no_cache: match (build.no_cache, build.no_cache_filter.as_slice()) {
                (true, _) => NoCache::All,
                (false, []) => NoCache::Never,
                (false, stages) => NoCache::Stages(stages.to_vec()),
            },
            pull: build.pull,
            cache_from: image.cache_from.clone(),
            cache_to: image.cache_to.clone(),
            cache_origin: image.cache_origin,
            attestations: [("provenance", &build.provenance), ("sbom", &build.sbom)]
                .into_iter()
                .filter_map(|(kind, attributes)| Some((kind, attributes.clone()?)))
                .collect(),
            check: image.check,
            commit: image.commit.clone(),
            compression: image.compression.clone(),
            epoch: match build.args.iter().find(|(key, _)| key == "SOURCE_DATE_EPOCH") {
                Some((_, value)) => Some(Epoch::Written).filter(|_| !value.is_empty()),
                None => image.epoch.map(Epoch::Commit),
            },
            shared_key: format!("build-deploy:{}:{place}", image.destinations.repository),
            context,
            dockerfile,
            dockerfile_place,
        }
    }

    /// Whether it reads or writes any cache but the builder's own.
    pub fn has_caches(&self) -> bool {
        !self.cache_from.is_empty() || !self.cache_to.is_empty()
    }

    /// The same with the builder's own cache alone.
    #[must_use]
    pub fn without_caches(&self) -> Self {
        Self { cache_from: Vec::new(), cache_to: Vec::new(), ..self.clone() }
    }

    /// The images of the run that it is built upon.
    pub fn bases(&self) -> impl Iterator<Item = &str> {
        self.named_contexts.iter().filter_map(|(_, context)| match context {
            Context::Image(name) => Some(name.as_str()),
            Context::Directory(_) | Context::Remote(_) => None,
        })
    }

    /// Whether `RUN` steps are to reach the engine's host by a name.
    pub fn names_host(&self) -> bool {
        self.add_hosts.iter().any(|host| host.ends_with(HOST_GATEWAY))
    }

    /// Puts the address of the engine's host where its name stands for it.
    pub fn resolve_host(&mut self, address: &str) {
        for host in self.add_hosts.iter_mut().filter(|host| host.ends_with(HOST_GATEWAY)) {
            *host = format!("{}={address}", host.trim_end_matches(HOST_GATEWAY));
        }
    }

    /// The host of the registry that a message is about: one that it names, else that of the image's own repository.
    pub fn registry_in(&self, message: &str) -> &str {
        let mut all = self.destinations.repositories();
        let named = all.find(|repository| message.contains(repository.as_str())).map(Repository::host);
        let host = || self.destinations.repositories().map(Repository::host).find(|host| message.contains(host));
        named.or_else(host).unwrap_or_else(|| self.destinations.repository.host())
    }
}

/// The registry's host in a repository's name.
pub fn host_of(repository: &str) -> &str {
    repository.split('/').next().unwrap_or_default()
}

fn context(text: &str, root: &Path) -> Context {
    if compose::is_remote(text) { Context::Remote(text.to_owned()) } else { Context::Directory(root.join(text)) }
}

fn named_context((name, source): &(String, ContextSource), root: &Path) -> (String, Context) {
    let context = match source {
        ContextSource::Path(path) => Context::Directory(root.join(path)),
        ContextSource::Remote(url) => Context::Remote(url.clone()),
        ContextSource::Service(image) => Context::Image(image.clone()),
    };
    (name.clone(), context)
}

#[cfg(test)]
mod tests {
    use super::{Destinations, Recipe, Repository};

    #[test]
    fn the_registry_that_a_message_is_about_is_found() {
        let recipe = Recipe {
            destinations: Destinations {
                copies: ["docker.io/acme/app", "quay.io/acme/app"].map(|name| Repository::parse(name).unwrap()).into(),
                ..Destinations::default()
            },
            ..Recipe::default()
        };
        for (message, want) in [
            (
                "failed to push docker.io/acme/app:main: unexpected status from https://auth.docker.io/token",
                "docker.io",
            ),
            ("failed to push quay.io/acme/app:1: 401", "quay.io"),
            ("HEAD https://quay.io/v2/: EOF", "quay.io"),
            ("denied", "ghcr.io"),
        ] {
            assert_eq!(recipe.registry_in(message), want, "{message}");
        }
    }
}
