//! What a registry says: of an image its compressed size (best effort, nothing depends on it), and what its refusals mean.

pub mod challenge;
pub mod client;
pub mod docker_config;
pub mod manifest;
pub mod permissions;
