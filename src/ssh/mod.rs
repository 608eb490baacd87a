//! A small SSH client: strict host keys, public key authentication, commands, and connections to a socket of the server.
//!
//! It knows nothing of deployments. No `ssh` binary is needed; the protocol is the crate `russh`.

mod auth;
mod client;
mod command;
mod error;
mod exec;
mod key;
mod known_hosts;

pub use self::{
    client::{Connection, Identity, Server, Stream},
    command::quote,
    error::SshError,
    exec::{Command, ExitStatus, Output, Process},
    known_hosts::{KnownHosts, KnownHostsError},
};
