//! A client of BuildKit: reaches a daemon, asks it to build, and serves what it needs meanwhile.
//!
//! Knows nothing of this action's inputs, plans, compose files and events, so that it could be a crate of its own;
//! `tests/architecture.rs` lists what it may import.
//!
//! In reading order: where the daemon is ([`endpoint`], [`transport`], [`tls`], [`exec`]) and its control API
//! ([`client`]); what is built ([`build`], [`request`], [`gateway`]); what the daemon is served ([`session`],
//! [`filesync`], [`ssh`], [`export`], [`tunnel`]); what it reports ([`steps`], [`caches`], [`error`], [`version`],
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

/// Most bytes of a message: the status of a build that logs much, and the graph of a large image, exceed tonic's limit of
/// 4 MiB.
const MAX_MESSAGE: usize = 64 << 20;
