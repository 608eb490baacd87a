//! What the images ask of a builder, and so which one is wanted. Pure.

use std::fmt;

use serde::Serialize;

use super::{ImagePlan, caches::Origin};
use crate::inputs::builder::BuilderInput;

/// Something that not every engine's BuildKit can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// To build for so many platforms at once.
    Platforms(usize),
    /// To write a cache of this type.
    CacheExport(String),
    /// To read a cache of this type.
    CacheImport(String),
    /// To attest: `provenance`, `sbom`.
    Attestation(&'static str),
    /// To pack layers in another way than gzip's usual one.
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

/// What an image asks beyond what every engine can do. What is only offered is not asked for.
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

/// The builder, as far as it is known before an engine was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BuilderPlan {
    /// `engine`, `container`, `endpoints`, or `auto` where the engine's kind decides.
    pub kind: &'static str,
    /// Why, in a few words.
    pub reason: String,
}

impl BuilderPlan {
    /// What `input` means for these images.
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
