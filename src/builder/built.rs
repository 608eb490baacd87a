//! Images that are built, and where they are.

use crate::{domain::digest::Digest, registry::remote::RawManifest};

/// An image that is built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The image's name in the plan.
    pub image: String,
    /// Where it is.
    pub content: Content,
}

/// Where a built image is.
#[derive(Clone, Debug)]
pub enum Content {
    /// In no registry: it was built only to see whether it builds, or to be loaded into the engine.
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
