//! What a registry says.

#[path = "../../src/registry/challenge.rs"]
pub mod challenge;
#[path = "../../src/registry/docker_config.rs"]
pub mod docker_config;
#[path = "../../src/registry/index.rs"]
pub mod index;
#[path = "../../src/registry/manifest.rs"]
pub mod manifest;
#[path = "../../src/registry/permissions.rs"]
pub mod permissions;

/// The part of the client that an index is made of.
pub mod remote {
    use bytes::Bytes;

    use crate::domain::digest::Digest;

    /// A manifest or index in a registry.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RawManifest {
        /// Its digest.
        pub digest: Digest,
        /// Its media type.
        pub media_type: String,
        /// Its bytes.
        pub body: Bytes,
    }
}
