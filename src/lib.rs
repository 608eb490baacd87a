//! `build-deploy`: builds, pushes, announces and deploys the images of a compose project.
//!
//! The code in reading order. A module imports only from those above it; `pipeline` alone knows them all.

pub mod aws;
pub mod beside;
pub mod boundary;
pub mod builder;
pub mod buildkit;
pub mod cancel;
pub mod commands;
pub mod compose;
pub mod compose_files;
pub mod domain;
pub mod environ;
pub mod events;
pub mod github;
pub mod http;
pub mod inputs;
pub mod notify;
pub mod pipeline;
pub mod plan;
pub mod preflight;
pub mod publish;
pub mod registry;
pub mod regular_file;
pub mod report;
pub mod reporter;
pub mod retry;
pub mod signals;
pub mod tags;
