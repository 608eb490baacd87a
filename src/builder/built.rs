//! Built images and their locations.

use crate::{domain::digest::Digest, registry::remote::RawManifest};

/// A built image.
#[derive(Clone, Debug)]
pub struct Built {
    /// The image's name in the plan.
    pub image: String,
    /// Its location.
    pub content: Content,
}

/// The location of a built image.
#[derive(Clone, Debug)]
pub enum Content {
    /// In no registry: it was built only to check that it builds, or to be loaded into the engine.
    Unpublished,
    /// In all of its repositories, under this digest.
    Uploaded {
        /// The digest of its manifest or index.
        digest: Digest,
        /// Its manifest or index, if it could be read back.
        manifest: Option<RawManifest>,
    },
    /// In the classic image store of the engine, which uploads it together with its first tag.
    InEngine,
}
