//! Registries: requests from this process, their errors and hints, image sizes, and indexes of images that several builders
//! built.

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
