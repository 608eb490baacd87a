//! The settings of a target with Docker Compose.

use crate::{domain::credentials::Credentials, ssh::Server};

/// A project of Docker Compose on a server.
#[derive(Clone, Debug)]
pub struct ComposeSettings {
    /// The target's name, for people.
    pub name: String,
    /// The server, and how to log in to it.
    pub server: Server,
    /// The project's directory on the server, absolute.
    pub path: String,
    /// The project's name; Compose's default if `None`.
    pub project: Option<String>,
    /// The compose files, relative to the directory; Compose's default if empty.
    pub files: Vec<String>,
    /// The number of releases to keep on the server, 1 or more.
    pub keep: usize,
    /// Credentials of the registries. They are used for pulls and are not stored on the server.
    pub credentials: Credentials,
}
