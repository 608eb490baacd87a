//! A client of BuildKit: connects to a daemon, requests builds, and serves the daemon's calls during a build.
//!
//! Independent of this action's inputs, plans, compose files and events, so that it could be a separate crate;
//! `tests/architecture.rs` lists its allowed imports.
//!
//! In reading order: connections to the daemon ([`endpoint`], [`transport`], [`tls`], [`exec`]) and its control API
//! ([`client`]); the request for a build ([`build`], [`request`], [`gateway`]); the services for the daemon ([`session`],
//! [`filesync`], [`ssh`], [`export`], [`tunnel`]); the daemon's reports ([`steps`], [`caches`], [`error`], [`version`],
//! [`content`]).

pub mod build;
pub mod caches;
pub mod client;
pub mod content;
pub mod endpoint;
pub mod error;
pub mod exec;
pub mod export;
pub mod filesync;
pub mod gateway;
pub mod request;
pub mod session;
pub mod ssh;
mod stall;
pub mod steps;
mod timeouts;
pub mod tls;
pub mod transfers;
pub mod transport;
mod tunnel;
pub mod version;

pub use self::{build::Build, client::Client, endpoint::Endpoint, error::SolveError, steps::Steps};

/// Maximum size of a message in bytes: the status of a build with much output, and the graph of a large image, exceed
/// tonic's limit of 4 MiB.
const MAX_MESSAGE: usize = 64 << 20;
