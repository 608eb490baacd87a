//! Determines the requirements of the images on a builder, and so the kind of builder. Pure.

use std::fmt;

use serde::Serialize;

use super::{ImagePlan, caches::Origin};
use crate::inputs::builder::BuilderInput;

/// A feature that the BuildKit of some engines does not support.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Building for this many platforms at once.
    Platforms(usize),
    /// Writing a cache of this type.
    CacheExport(String),
    /// Reading a cache of this type.
    CacheImport(String),
    /// An attestation: `provenance` or `sbom`.
    Attestation(&'static str),
    /// Compressing layers other than with gzip's default level.
    Compression,
}

impl Requirement {
    /// Whether it is about a cache.
    pub fn is_about_cache(&self) -> bool {
        matches!(self, Self::CacheExport(_) | Self::CacheImport(_))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platforms(count) => write!(f, "is built for {count} platforms"),
            Self::CacheExport(kind) => write!(f, "writes a cache of type {kind}"),
            Self::CacheImport(kind) => write!(f, "reads a cache of type {kind}"),
            Self::Attestation(kind) => write!(f, "has the attestation `{kind}`"),
            Self::Compression => f.write_str("asks for a `compression`"),
        }
    }
}

/// Returns an image's requirements that not every engine meets. Caches of `cache: auto` are optional, so they add none.
pub fn requirements(image: &ImagePlan) -> Vec<Requirement> {
    let mut requirements = Vec::new();
    if image.platforms.len() > 1 {
        requirements.push(Requirement::Platforms(image.platforms.len()));
    }
    let attestations = [("provenance", &image.build.provenance), ("sbom", &image.build.sbom)];
    requirements.extend(
        attestations.iter().filter(|(_, asked)| asked.is_some()).map(|(kind, _)| Requirement::Attestation(kind)),
    );
    if !image.compression.is_usual() {
        requirements.push(Requirement::Compression);
    }
    if image.cache_origin == Origin::Asked {
        let written = image.cache_to.iter().filter(|cache| cache.kind != "inline");
        requirements.extend(written.map(|cache| Requirement::CacheExport(cache.kind.clone())));
        let read = image.cache_from.iter().filter(|cache| cache.kind != "registry");
        requirements.extend(read.map(|cache| Requirement::CacheImport(cache.kind.clone())));
    }
    requirements
}

/// The builder, as far as it is known before an engine is contacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BuilderPlan {
    /// `engine`, `container`, `endpoints`, or `auto` if the engine's capabilities decide.
    pub kind: &'static str,
    /// The reason, in a few words.
    pub reason: String,
}

impl BuilderPlan {
    /// Resolves the input `builder` for these images.
    pub(super) fn new(input: &BuilderInput, images: &[ImagePlan]) -> Self {
        let given = |kind| Self { kind, reason: "the input `builder`".to_owned() };
        match input {
            BuilderInput::Engine => given("engine"),
            BuilderInput::Container => given("container"),
            BuilderInput::Endpoints(list) => {
                let names: Vec<String> = list.iter().map(|endpoint| endpoint.address.to_string()).collect();
                Self { kind: "endpoints", reason: names.join(", ") }
            }
            BuilderInput::Auto => {
                let asked = images.iter().find_map(|image| Some((image, requirements(image).into_iter().next()?)));
                match asked {
                    None => Self { kind: "engine", reason: "nothing asks for more".to_owned() },
                    Some((image, requirement)) => Self {
                        kind: "auto",
                        reason: format!(
                            "the engine if it supports this, otherwise a container: {} {requirement}",
                            image.name
                        ),
                    },
                }
            }
        }
    }
}
