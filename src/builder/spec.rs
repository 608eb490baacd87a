//! One image to build, with all paths resolved.

use std::path::Path;

use crate::{
    buildkit::{
        build::{Build, Cache, Commit, Compression, CompressionKind, Context, Dockerfile, Epoch, NoCache},
        request::ImageNames,
    },
    compose::{self, ContextSource},
    domain::{destinations::Destinations, repository::Repository},
    inputs::{
        cache::CacheSpec,
        typed::{self, CompressionScope},
    },
    plan::{ImagePlan, caches::Origin, images::Purpose},
    regular_file,
};

/// Maximum size of a Dockerfile that is read here, in bytes. The builder reads larger ones too.
pub const LARGEST_DOCKERFILE: u64 = 1 << 20;

/// One image to build.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Default))]
pub struct BuildSpec {
    /// The image's name in the plan.
    pub name: String,
    /// Whether the image was requested, or is only a base of others.
    pub purpose: Purpose,
    /// How it is built.
    pub build: Build,
    /// The Dockerfile's path in the repository, for messages and annotations; empty if it is not a file there.
    pub dockerfile_place: String,
    /// Where it is published. At least one tag if it is pushed or loaded.
    pub destinations: Destinations,
    /// Who requested its caches.
    pub cache_origin: Origin,
    /// Whether the warnings of build checks are reported.
    pub check: bool,
    /// Names that it gets in the engine, if it is loaded.
    pub local_names: Vec<String>,
    /// Names the daemon's copy of the context in all runs.
    pub shared_key: String,
}

impl BuildSpec {
    /// Resolves the paths of an image of the plan. `root` is the project's directory, absolute; `place` is the same directory
    /// relative to the repository, `.` if it is the repository itself.
    pub fn new(image: &ImagePlan, root: &Path, place: &str) -> Self {
        let build = &image.build;
        let context = context(&build.context, root);
        let dockerfile = match (&build.dockerfile_inline, &image.dockerfile, &context) {
            (Some(text), ..) => Dockerfile::Inline(text.clone()),
            // An absolute path is a local file, even if the context is remote.
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
        let commit = Some(&image.commit).filter(|commit| !commit.source.is_empty());
        let build = Build {
            named_contexts: build.additional_contexts.iter().map(|c| named_context(c, root)).collect(),
            target: image.target.clone(),
            build_args: build.args.clone(),
            platforms: image.platforms.clone(),
            labels: image.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            annotations: image.annotations.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
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
            cache_from: image.cache_from.iter().map(cache).collect(),
            cache_to: image.cache_to.iter().map(cache).collect(),
            attestations: [("provenance", &build.provenance), ("sbom", &build.sbom)]
                .into_iter()
                .filter_map(|(kind, attributes)| Some((kind, attributes.clone()?)))
                .collect(),
            commit: commit.map(|c| Commit { source: c.source.clone(), revision: c.revision.clone() }),
            compression: compression(&image.compression),
            epoch: match build.args.iter().find(|(key, _)| key == "SOURCE_DATE_EPOCH") {
                Some((_, value)) => Some(Epoch::BuildArg).filter(|_| !value.is_empty()),
                None => image.epoch.map(Epoch::Commit),
            },
            context,
            dockerfile,
        };
        Self {
            name: image.name.clone(),
            purpose: image.purpose,
            build,
            dockerfile_place,
            destinations: image.destinations.clone(),
            cache_origin: image.cache_origin,
            check: image.check,
            local_names: image.load_as.clone(),
            shared_key: format!("build-deploy:{}:{place}", image.destinations.repository),
        }
    }

    /// The names that it is exported under.
    pub fn image_names(&self) -> ImageNames {
        let tagged = self.destinations.names().map(|(repository, tag)| format!("{repository}:{tag}"));
        ImageNames {
            repositories: self.destinations.repositories().map(ToString::to_string).collect(),
            tagged: tagged.collect(),
        }
    }

    /// The same image with other build options.
    #[must_use]
    pub fn with(&self, build: Build) -> Self {
        Self { build, ..self.clone() }
    }

    /// The Dockerfile's text, if it is a file here or a part of the compose file.
    pub fn dockerfile_text(&self) -> Option<String> {
        match &self.build.dockerfile {
            Dockerfile::File { directory, name } => {
                regular_file::read_text(&directory.join(name), LARGEST_DOCKERFILE).ok()
            }
            Dockerfile::Inline(text) => Some(text.clone()),
            Dockerfile::InContext(_) => None,
        }
    }

    /// The host of the registry that a message is about: the one that the message contains, else that of the image's own
    /// repository.
    pub fn registry_in(&self, message: &str) -> &str {
        let mut all = self.destinations.repositories();
        let named = all.find(|repository| message.contains(repository.as_str())).map(Repository::host);
        let host = || self.destinations.repositories().map(Repository::host).find(|host| message.contains(host));
        named.or_else(host).unwrap_or_else(|| self.destinations.repository.host())
    }
}

fn context(text: &str, root: &Path) -> Context {
    if compose::is_remote(text) { Context::Remote(text.to_owned()) } else { Context::Directory(root.join(text)) }
}

fn named_context((name, source): &(String, ContextSource), root: &Path) -> (String, Context) {
    let context = match source {
        ContextSource::Path(path) => Context::Directory(root.join(path)),
        ContextSource::Remote(url) => Context::Remote(url.clone()),
        ContextSource::Service(image) => Context::Build(image.clone()),
    };
    (name.clone(), context)
}

fn cache(spec: &CacheSpec) -> Cache {
    Cache { kind: spec.kind.clone(), attributes: spec.attributes.clone() }
}

fn compression(input: &typed::Compression) -> Compression {
    let kind = match input.kind {
        typed::CompressionKind::Gzip => CompressionKind::Gzip,
        typed::CompressionKind::Zstd => CompressionKind::Zstd,
        typed::CompressionKind::Estargz => CompressionKind::Estargz,
        typed::CompressionKind::Uncompressed => CompressionKind::Uncompressed,
    };
    Compression { kind, level: input.level, force: input.scope == CompressionScope::All }
}

#[cfg(test)]
mod tests {
    use super::{BuildSpec, Destinations, Repository};

    #[test]
    fn the_registry_that_a_message_is_about_is_found() {
        let spec = BuildSpec {
            destinations: Destinations {
                copies: ["docker.io/acme/app", "quay.io/acme/app"].map(|name| Repository::parse(name).unwrap()).into(),
                ..Destinations::default()
            },
            ..BuildSpec::default()
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
            assert_eq!(spec.registry_in(message), want, "{message}");
        }
    }
}
