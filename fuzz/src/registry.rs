//! What a registry says.

#[path = "../../src/registry/challenge.rs"]
pub mod challenge;
#[path = "../../src/registry/docker_config.rs"]
pub mod docker_config;
#[path = "../../src/registry/permissions.rs"]
pub mod permissions;
