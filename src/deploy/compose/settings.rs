//! The settings of a target with Docker Compose.

use std::path::Path;

use thiserror::Error;

use super::{archive, commands::DIRECTORY};
use crate::{
    domain::credentials::Credentials,
    ssh::{Server, quote},
};

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
    /// The files that belong to the release. They are put into the directory before the switch, and the former ones are put
    /// back with a rollback.
    pub sync: Vec<SyncedFile>,
    /// Whether releases of this target have files, also if this run has none of them.
    pub has_files: bool,
    /// How containers are replaced.
    pub strategy: Strategy,
    /// The number of releases to keep on the server, 1 or more.
    pub keep: usize,
    /// Credentials of the registries. They are used for pulls and are not stored on the server.
    pub credentials: Credentials,
}

/// The command of OpenSSH that logs in to a server.
pub(super) fn login_by_hand(server: &Server) -> String {
    let mut words = vec!["ssh".to_owned()];
    if let Some(jump) = &server.jump {
        let host = if jump.host.contains(':') { format!("[{}]", jump.host) } else { jump.host.clone() };
        words.extend(["-J".to_owned(), format!("{}@{host}:{}", jump.user, jump.port)]);
    }
    if server.port != 22 {
        words.extend(["-p".to_owned(), server.port.to_string()]);
    }
    words.push(format!("{}@{}", server.user, server.host));
    quote(words)
}

/// How containers are replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The old container is stopped, then the new one is started.
    #[default]
    Recreate,
    /// The new one is started beside the old one, which is stopped once the new one is up. Services with published ports or
    /// a container name are replaced as with `Recreate`.
    Rollout,
}

/// A file that belongs to the release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SyncedFile {
    path: String,
    content: Vec<u8>,
    is_executable: bool,
}

/// The path cannot be copied to a server.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{path}`: {problem}")]
pub struct InvalidPath {
    /// The path.
    pub path: String,
    /// The problem.
    pub problem: &'static str,
}

impl SyncedFile {
    /// Creates a file. The path is relative to the project's directory.
    ///
    /// # Errors
    /// The path leaves the directory, is that of our own files, has a line break, or is too long.
    pub fn new(path: &str, content: Vec<u8>, is_executable: bool) -> Result<Self, InvalidPath> {
        let wrong = |problem| Err(InvalidPath { path: path.to_owned(), problem });
        let mut parts = path.split('/');
        if Path::new(path).is_absolute() || path.is_empty() || parts.any(|part| ["", ".", ".."].contains(&part)) {
            return wrong("the path must be relative, without `.` and `..`");
        }
        if path == DIRECTORY || path.starts_with(&format!("{DIRECTORY}/")) {
            return wrong("the directory .build-deploy belongs to this action");
        }
        if path.contains(char::is_control) {
            return wrong("the path contains a control character");
        }
        if archive::split(path).is_none() {
            return wrong("the path is too long");
        }
        Ok(Self { path: path.to_owned(), content, is_executable })
    }

    /// The path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The content.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// Whether it can be executed.
    pub fn is_executable(&self) -> bool {
        self.is_executable
    }
}

#[cfg(test)]
mod tests {
    use super::{SyncedFile, login_by_hand};
    use crate::ssh::{KnownHosts, Server};

    #[test]
    fn commands_that_log_in() {
        let server = |host: &str, port, jump| Server {
            host: host.into(),
            port,
            user: "deploy".into(),
            identities: Vec::new(),
            agent: None,
            known_hosts: KnownHosts::default(),
            jump,
        };
        let jump = |host, port| Some(Box::new(server(host, port, None)));
        for (server, want) in [
            (server("shop.example", 22, None), "ssh deploy@shop.example"),
            (server("::1", 2222, None), "ssh -p 2222 deploy@::1"),
            (server("10.0.0.5", 22, jump("bastion", 22)), "ssh -J deploy@bastion:22 deploy@10.0.0.5"),
            (server("10.0.0.5", 23, jump("::1", 24)), "ssh -J 'deploy@[::1]:24' -p 23 deploy@10.0.0.5"),
        ] {
            assert_eq!(login_by_hand(&server), want);
        }
    }

    #[test]
    fn paths_stay_in_the_directory() {
        for good in ["compose.yml", ".env", "a/b c/d.conf", "..a/b", ".build-deployed"] {
            assert!(SyncedFile::new(good, vec![], false).is_ok(), "{good}");
        }
        let long = "x".repeat(101);
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "./a", "a//b", "a/", ".build-deploy/lock", "a\nb", &long] {
            assert!(SyncedFile::new(bad, vec![], false).is_err(), "{bad}");
        }
    }
}
