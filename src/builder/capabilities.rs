//! What a BuildKit can do, which depends on where it lives and how old it is. Pure.
//!
//! A daemon's own word is not to be had: an engine advertises kinds of cache that it has no code for
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

/// Where a BuildKit keeps its images, which decides most of what it can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// The containerd image store of an engine: BuildKit pushes, exports caches and builds for many platforms.
    Containerd,
    /// The classic (graph driver) store of an engine: BuildKit only loads, and the engine pushes.
    Classic,
    /// None: a BuildKit without an engine around it. It does everything but leave an image in the engine.
    Standalone,
}

/// What a BuildKit can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Where it keeps images.
    pub store: Store,
    /// Its version; `None` if it is not known, or was of no interest.
    pub version: Option<Version>,
}

/// The first BuildKit that speaks version 2 of GitHub's cache service. Version 1 is shut down.
pub const GITHUB_CACHE: Version = (0, 20);

impl Capabilities {
    /// Whether it can do this.
    pub fn can(self, requirement: &Requirement) -> bool {
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
            // A version that is not told is taken for a new one.
            (_, "gha") => self.version.is_none_or(|version| version >= GITHUB_CACHE),
            (Store::Containerd, _) => false,
            (Store::Standalone, kind) => matches!(kind, "s3" | "azblob"),
        }
    }

    /// What it cannot do of what the images ask for, and an image that asks. It is about a cache, which a build can do
    /// without, only if nothing else is missing.
    pub fn missing(self, images: &[ImagePlan]) -> Option<(&str, Requirement)> {
        let all = images
            .iter()
            .flat_map(|image| requirements(image).into_iter().map(|requirement| (image.name.as_str(), requirement)));
        all.filter(|(_, requirement)| !self.can(requirement))
            .min_by_key(|(_, requirement)| requirement.is_about_cache())
    }

    /// Leaves the caches out that it cannot read or write, and returns those that the user asked for: a cache fails no
    /// build.
    pub fn fit_caches(self, spec: &mut BuildSpec) -> Vec<Cache> {
        let mut left_out: Vec<Cache> = Vec::new();
        let mut fit = |list: &mut Vec<Cache>, able: &dyn Fn(&str) -> bool| {
            left_out.extend(list.extract_if(.., |cache| !able(&cache.kind)));
        };
        fit(&mut spec.build.cache_from, &|kind| self.reads(kind));
        fit(&mut spec.build.cache_to, &|kind| self.writes(kind));
        if spec.cache_origin == Origin::Offered { Vec::new() } else { left_out }
    }
}

/// The BuildKit inside a Docker engine of this version, as far as it matters here.
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
    fn who_can_do_what() {
        let of = |store, version| Capabilities { store, version };
        let all = |store, version| {
            let writes = ["inline", "registry", "gha", "s3"].map(|kind| Requirement::CacheExport(kind.into()));
            let requirements = writes.into_iter().chain([Requirement::Platforms(2)]);
            requirements
                .map(|requirement| u8::from(of(store, version).can(&requirement)).to_string())
                .collect::<String>()
        };
        assert_eq!(all(Store::Classic, Some((0, 25))), "10000");
        assert_eq!(all(Store::Containerd, Some((0, 25))), "11101");
        assert_eq!(all(Store::Containerd, Some((0, 14))), "11001");
        assert_eq!(all(Store::Containerd, None), "11101");
        assert_eq!(all(Store::Standalone, None), "11111");
    }

    #[test]
    fn caches_that_cannot_be_had_are_left_out() {
        let cache = |kind: &str| Cache { kind: kind.into(), attributes: Vec::new() };
        let build = Build {
            cache_from: vec![cache("registry"), cache("gha")],
            cache_to: vec![cache("inline"), cache("gha")],
            ..Build::default()
        };
        let spec = BuildSpec { build, ..BuildSpec::default() };
        let classic = Capabilities { store: Store::Classic, version: None };
        let mut asked = spec.clone();
        assert_eq!(classic.fit_caches(&mut asked).len(), 2);
        assert_eq!((asked.build.cache_from, asked.build.cache_to), (vec![cache("registry")], vec![cache("inline")]));
        let mut offered = BuildSpec { cache_origin: Origin::Offered, ..spec };
        assert_eq!(classic.fit_caches(&mut offered), []);
        assert_eq!(offered.build.cache_to.len(), 1);
    }
}
