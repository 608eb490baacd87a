//! A client of BuildKit: how a daemon is reached, what it is asked to build, and what it is served meanwhile.
//!
//! Knows nothing of plans, inputs or compose files; `tests/architecture.rs` says what it may import.

pub mod exec;
pub mod filesync;
pub mod ssh;
pub mod tls;
pub mod transport;
pub mod tunnel;

/// Most bytes of a message of the daemon: the status of a build that logs much, or the definition of a large image, is
/// larger than tonic's 4 MiB.
pub(crate) const MAX_MESSAGE: usize = 64 << 20;
