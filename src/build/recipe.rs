//! What one image is built from, with every path resolved: the input of a build.

use std::path::{Path, PathBuf};

use crate::{
    compose::{self, ContextSource},
    inputs::typed::CacheSpec,
    plan::ImagePlan,
};

/// One image to build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipe {
    /// The image's name in the plan.
    pub name: String,
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
    /// `registry/path`.
    pub repository: String,
    /// Tags in it. At least one if the image is pushed or loaded.
    pub tags: Vec<String>,
    /// Network of `RUN` steps: `host` or `none`; `None` for the default.
    pub network: Option<String>,
    /// Further `/etc/hosts` entries of `RUN` steps, `name=ip`.
    pub add_hosts: Vec<String>,
    /// Bytes of `/dev/shm`.
    pub shm_size: Option<u64>,
    /// Limits such as `nofile=1024:2048`.
    pub ulimits: Vec<String>,
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
    /// Names the daemon's own copy of the context over runs.
    pub shared_key: String,
}

/// Where a context comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Context {
    /// A local directory, absolute.
    Directory(PathBuf),
    /// Something that the daemon fetches: a Git or HTTP URL, `docker-image://…`.
    Remote(String),
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
            (None, Some(path), Context::Directory(_)) => {
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
            named_contexts: build.additional_contexts.iter().filter_map(|c| named_context(c, root)).collect(),
            target: image.target.clone(),
            build_args: build.args.clone(),
            platforms: image.platforms.clone(),
            labels: image.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            annotations: image.annotations.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            repository: image.repository.to_string(),
            tags: image.tags.iter().map(ToString::to_string).collect(),
            network: build.network.clone().filter(|network| network != "default"),
            add_hosts: build.extra_hosts.iter().map(|(host, address)| format!("{host}={address}")).collect(),
            shm_size: build.shm_size,
            ulimits: build.ulimits.iter().map(|l| format!("{}={}:{}", l.name, l.soft, l.hard)).collect(),
            entitlements: build.entitlements.clone(),
            no_cache: match (build.no_cache, build.no_cache_filter.as_slice()) {
                (true, _) => NoCache::All,
                (false, []) => NoCache::Never,
                (false, stages) => NoCache::Stages(stages.to_vec()),
            },
            pull: build.pull,
            cache_from: image.cache_from.clone(),
            cache_to: image.cache_to.clone(),
            shared_key: format!("build-deploy:{}:{place}", image.repository),
            context,
            dockerfile,
            dockerfile_place,
        }
    }

    /// The image's names in full, `repository:tag`.
    pub fn references(&self) -> impl Iterator<Item = String> + '_ {
        self.tags.iter().map(|tag| format!("{}:{tag}", self.repository))
    }

    /// The host of the registry.
    pub fn registry(&self) -> &str {
        self.repository.split('/').next().unwrap_or_default()
    }
}

fn context(text: &str, root: &Path) -> Context {
    if compose::is_remote(text) { Context::Remote(text.to_owned()) } else { Context::Directory(root.join(text)) }
}

/// A context that is another service's image never comes here: the plan refuses it.
fn named_context((name, source): &(String, ContextSource), root: &Path) -> Option<(String, Context)> {
    let context = match source {
        ContextSource::Path(path) => Context::Directory(root.join(path)),
        ContextSource::Remote(url) => Context::Remote(url.clone()),
        ContextSource::Service(_) => return None,
    };
    Some((name.clone(), context))
}
