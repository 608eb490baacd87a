//! `build-deploy`: builds, pushes, announces and deploys the images of a compose project.
//!
//! The code in reading order. A module imports only from those above it; `pipeline` alone knows them all.

pub mod build;
pub mod compose;
pub mod compose_files;
pub mod domain;
pub mod events;
pub mod github;
pub mod inputs;
pub mod plan;
pub mod report;
