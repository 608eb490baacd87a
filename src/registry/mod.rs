//! What a registry says: of an image its digest and compressed size, and what its refusals mean; and the index of an
//! image that several builders built.

pub mod challenge;
pub mod client;
pub mod docker_config;
pub mod index;
pub mod manifest;
pub mod permissions;
pub mod plain;
pub mod remote;
