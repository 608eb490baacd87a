//! The capabilities of a BuildKit daemon, by its image store and its version. Pure.
//!
//! Daemons do not report this correctly: an engine advertises cache types that it does not implement
//! (<https://docs.docker.com/build/builders/drivers/#feature-comparison>).

use super::spec::BuildSpec;
use crate::{
    buildkit::{build::Cache, version::Version},
    plan::{
        ImagePlan,
        builder::{Requirement, requirements},
        caches::Origin,
    },
};

/// Where a daemon stores images, which determines most of its capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// In the containerd image store of an engine: it pushes, exports caches and builds for several platforms.
    Containerd,
    /// In the classic (graph driver) store of an engine: it only loads images, and the engine pushes them.
    Classic,
    /// Nowhere, since it runs outside an engine. It supports everything except loading images into the engine itself.
    Standalone,
}

/// The capabilities of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Where it stores images.
    pub store: Store,
    /// Its version; `None` if it is unknown, or was not needed.
    pub version: Option<Version>,
}

/// The first BuildKit that supports version 2 of GitHub's cache service. Version 1 is shut down.
pub const GITHUB_CACHE: Version = (0, 20);

impl Capabilities {
    /// Whether it meets a requirement.
    pub fn meets(self, requirement: &Requirement) -> bool {
        match requirement {
            Requirement::Platforms(_) | Requirement::Attestation(_) | Requirement::Compression => {
                self.store != Store::Classic
            }
            Requirement::CacheExport(kind) => self.writes(kind),
            Requirement::CacheImport(kind) => self.reads(kind),
        }
    }

    fn writes(self, kind: &str) -> bool {
        match self.store {
            Store::Classic => kind == "inline",
            Store::Containerd | Store::Standalone => kind == "inline" || self.reads(kind),
        }
    }

    fn reads(self, kind: &str) -> bool {
        match (self.store, kind) {
            (_, "registry") => true,
            (Store::Classic, _) => false,
            // An unknown version is assumed to be new.
            (_, "gha") => self.version.is_none_or(|version| version >= GITHUB_CACHE),
            (Store::Containerd, _) => false,
            (Store::Standalone, kind) => matches!(kind, "s3" | "azblob"),
        }
    }

    /// Returns a requirement that it does not meet, and the name of the image with that requirement. Requirements about
    /// caches come last, since a build can continue without caches.
    pub fn missing(self, images: &[ImagePlan]) -> Option<(&str, Requirement)> {
        let all = images
            .iter()
            .flat_map(|image| requirements(image).into_iter().map(|requirement| (image.name.as_str(), requirement)));
        all.filter(|(_, requirement)| !self.meets(requirement))
            .min_by_key(|(_, requirement)| requirement.is_about_cache())
    }

    /// Removes the caches that it does not support, and returns those that the user asked for.
    pub fn remove_unsupported_caches(self, spec: &mut BuildSpec) -> Vec<Cache> {
        let mut removed: Vec<Cache> = Vec::new();
        let mut remove = |list: &mut Vec<Cache>, supports: &dyn Fn(&str) -> bool| {
            removed.extend(list.extract_if(.., |cache| !supports(&cache.kind)));
        };
        remove(&mut spec.build.cache_from, &|kind| self.reads(kind));
        remove(&mut spec.build.cache_to, &|kind| self.writes(kind));
        if spec.cache_origin == Origin::Offered { Vec::new() } else { removed }
    }
}

/// The BuildKit in a Docker engine of this version, accurate enough to know whether it supports GitHub's cache.
pub fn version_in_engine(engine: &str) -> Option<Version> {
    let major: u64 = engine.trim_start_matches('v').split('.').next()?.parse().ok()?;
    Some(match major {
        ..23 => (0, 8),
        23..27 => (0, 10),
        27 => (0, 14),
        28.. => GITHUB_CACHE,
    })
}

#[cfg(test)]
mod tests {
    use super::{Capabilities, Store, version_in_engine};
    use crate::{
        builder::spec::BuildSpec,
        buildkit::build::{Build, Cache},
        plan::{builder::Requirement, caches::Origin},
    };

    #[test]
    fn engines_have_a_buildkit_of_their_age() {
        assert!(version_in_engine("28.5.2+dfsg4") >= Some((0, 20)) && version_in_engine("27.5.1") < Some((0, 20)));
        assert_eq!(version_in_engine("dev"), None);
    }

    #[test]
    fn capabilities_follow_from_store_and_version() {
        let of = |store, version| Capabilities { store, version };
        let all = |store, version| {
            let writes = ["inline", "registry", "gha", "s3"].map(|kind| Requirement::CacheExport(kind.into()));
            let requirements = writes.into_iter().chain([Requirement::Platforms(2)]);
            requirements
                .map(|requirement| u8::from(of(store, version).meets(&requirement)).to_string())
                .collect::<String>()
        };
        assert_eq!(all(Store::Classic, Some((0, 25))), "10000");
        assert_eq!(all(Store::Containerd, Some((0, 25))), "11101");
        assert_eq!(all(Store::Containerd, Some((0, 14))), "11001");
        assert_eq!(all(Store::Containerd, None), "11101");
        assert_eq!(all(Store::Standalone, None), "11111");
    }

    #[test]
    fn unsupported_caches_are_removed() {
        let cache = |kind: &str| Cache { kind: kind.into(), attributes: Vec::new() };
        let build = Build {
            cache_from: vec![cache("registry"), cache("gha")],
            cache_to: vec![cache("inline"), cache("gha")],
            ..Build::default()
        };
        let spec = BuildSpec { build, ..BuildSpec::default() };
        let classic = Capabilities { store: Store::Classic, version: None };
        let mut asked = spec.clone();
        assert_eq!(classic.remove_unsupported_caches(&mut asked).len(), 2);
        assert_eq!((asked.build.cache_from, asked.build.cache_to), (vec![cache("registry")], vec![cache("inline")]));
        let mut offered = BuildSpec { cache_origin: Origin::Offered, ..spec };
        assert_eq!(classic.remove_unsupported_caches(&mut offered), []);
        assert_eq!(offered.build.cache_to.len(), 1);
    }
}
