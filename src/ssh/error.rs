//! Why a server cannot be used.

use std::{error::Error, io, time::Duration};

use thiserror::Error;

use super::{key::KeyError, known_hosts::KnownHostsError};

/// Why a server cannot be used over SSH. Each message begins with the server it is about.
#[derive(Debug, Error)]
pub enum SshError {
    /// The list of known hosts is not valid.
    #[error("the list of known hosts is not valid")]
    KnownHosts(#[from] KnownHostsError),
    /// The private key cannot be used.
    #[error("{server}: {error}")]
    Key {
        /// The server.
        server: String,
        /// The problem.
        error: KeyError,
    },
    /// The server's key cannot be verified.
    #[error("{server}: {problem}; it offers {offered}")]
    HostKey {
        /// The server.
        server: String,
        /// What is wrong.
        problem: HostKeyProblem,
        /// Type and fingerprint of the key that the server offers.
        offered: String,
        /// The same key as a line of a `known_hosts` file.
        line: String,
    },
    /// The server offers none of the key types that are known of it.
    #[error("{server}: the server has no key of a known type; known: {known}; offered: {offered}")]
    HostKeyTypes {
        /// The server.
        server: String,
        /// The types in the list of known hosts.
        known: String,
        /// The types that the server offers.
        offered: String,
    },
    /// No connection could be made.
    #[error("{server}: cannot connect")]
    Connect {
        /// The server.
        server: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Something took too long.
    #[error("{server}: {what} timed out after {} s", limit.as_secs())]
    TimedOut {
        /// The server.
        server: String,
        /// What took too long.
        what: String,
        /// The limit.
        limit: Duration,
    },
    /// The server accepts none of the keys.
    #[error("{server}: the server does not accept the key {key} for the user `{user}`{unusable}")]
    Login {
        /// The server.
        server: String,
        /// The user.
        user: String,
        /// Type and fingerprint of each key that was tried.
        key: String,
        /// Why other keys were not tried, as the end of the message.
        unusable: String,
    },
    /// The agent cannot be used.
    #[error("{server}: cannot use the agent at {socket}")]
    Agent {
        /// The server.
        server: String,
        /// The agent's socket.
        socket: String,
        /// The reason.
        source: russh::keys::Error,
    },
    /// The server does not allow connections to a socket.
    #[error("{server}: cannot connect to {socket} on the server")]
    Socket {
        /// The server.
        server: String,
        /// The path of the socket.
        socket: String,
        /// What the server answered.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The connection was lost, or the server broke the protocol.
    #[error("{server}: the connection was lost")]
    Lost {
        /// The server.
        server: String,
        /// The reason, if one is known.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// Why the key of a server is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum HostKeyProblem {
    /// No key of the server is known.
    #[error("the server's key is unknown")]
    Unknown,
    /// Other keys of the server are known.
    #[error("the server's key differs from the one in line {0} of the known hosts")]
    Changed(usize),
    /// The key was revoked.
    #[error("the server's key is revoked by line {0} of the known hosts")]
    Revoked(usize),
    /// Only certificates could prove the server's identity.
    #[error("line {0} of the known hosts names a certificate authority, which is not supported")]
    OnlyAuthority(usize),
}

impl SshError {
    /// What to do about it, in the imperative.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::KnownHosts(_) => {
                "set `ssh-known-hosts` to the output of `ssh-keyscan HOST`, after comparing the fingerprints".to_owned()
            }
            Self::Key { error, .. } => format!("`ssh-key`: {}", error.hint()),
            Self::HostKey { problem, line, .. } => {
                let kind = line.split(' ').nth(1).unwrap_or_default();
                let file = kind.trim_start_matches("ssh-").split('-').next().unwrap_or_default();
                let compare = format!(
                    "compare the fingerprint with the output of `ssh-keygen -lf /etc/ssh/ssh_host_{file}_key.pub` on the server"
                );
                match problem {
                    HostKeyProblem::Unknown | HostKeyProblem::OnlyAuthority(_) => {
                        format!("{compare}; if they are equal, add this line to `ssh-known-hosts`: {line}")
                    }
                    HostKeyProblem::Changed(number) => format!(
                        "somebody may be intercepting the connection, or the server was set up anew; {compare}; if they are equal, \
                         replace line {number} of `ssh-known-hosts` with: {line}"
                    ),
                    HostKeyProblem::Revoked(_) => "do not use this server until its key was replaced".to_owned(),
                }
            }
            Self::HostKeyTypes { .. } => {
                "add the server's current keys to `ssh-known-hosts`; `ssh-keyscan HOST` prints them".to_owned()
            }
            Self::Agent { .. } => "check `SSH_AUTH_SOCK`, or pass a key with `ssh-key`".to_owned(),
            Self::Connect { .. } => "check the host, the port and the firewall".to_owned(),
            Self::Login { user, .. } => {
                format!("add the public key to ~/.ssh/authorized_keys of `{user}` on the server, and check `ssh-key`")
            }
            Self::Socket { .. } => {
                "add the user to the group `docker` on the server, and check `AllowStreamLocalForwarding` in sshd_config"
                    .to_owned()
            }
            Self::TimedOut { .. } | Self::Lost { .. } => return None,
        };
        Some(hint)
    }

    /// Whether a new connection may work where this one failed.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::TimedOut { .. } | Self::Lost { .. })
    }
}
