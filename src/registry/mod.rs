//! Registries: the repositories that this process talks to, what their refusals mean, sizes of images, and the index of
//! an image that several builders built.

pub mod challenge;
pub mod client;
pub mod docker_config;
pub mod error;
pub mod index;
pub mod manifest;
pub mod permissions;
pub mod plain;
pub mod registries;
pub mod remote;
