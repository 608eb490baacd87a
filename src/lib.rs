//! `build-deploy`: builds, pushes, announces and deploys the images of a compose project.
//!
//! The code in reading order. A module imports only from those above it; `pipeline` alone knows them all.

pub mod domain;
pub mod events;
pub mod notify;
#[cfg(feature = "demo")]
pub mod demo;
