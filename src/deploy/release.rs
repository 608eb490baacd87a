//! What is deployed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{deploy::Pin, digest::Digest};

/// A release: images by digest, and where they come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its id: letters, digits, `-`, `_` and `.`, not with a dot in front. Unique among the releases of a target, such as
    /// number and attempt of the run.
    pub id: String,
    /// The commit that it was built from.
    pub commit: String,
    /// Who deploys it.
    pub actor: String,
    /// Where the run can be looked at.
    pub run_url: String,
    /// What the services are to run.
    pub content: Content,
}

/// What the services are to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// These images, in the services that are matched with them.
    Images(Vec<Image>),
    /// An earlier release, whose services are known.
    Services(BTreeMap<String, ServiceImage>),
}

/// An image of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its name in the plan of the run.
    pub name: String,
    /// `registry/path`.
    pub repository: String,
    /// Its digest.
    pub digest: Digest,
    /// The services of the checkout's compose files that run it.
    #[serde(default)]
    pub services: Vec<String>,
}

/// The image of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceImage {
    /// The image's name.
    pub image: String,
    /// The image.
    pub pin: Pin,
}

impl Image {
    /// The image by its digest.
    pub fn pin(&self) -> Pin {
        Pin { reference: format!("{}@{}", self.repository, self.digest), digest: self.digest.clone() }
    }
}
