//! Why a registry did not do as asked, and whether it may do so a moment later.

use std::time::Duration;

use reqwest::StatusCode;
use thiserror::Error;

use crate::retry::{Retry, Transient};

/// Why a registry did not do as asked.
#[derive(Debug, Error)]
pub enum RemoteError {
    /// It answered with an error.
    #[error("{host} answered {status}{}", told(.message))]
    Refused {
        /// The registry.
        host: String,
        /// Its answer.
        status: StatusCode,
        /// Its words, or none.
        message: String,
        /// How long it asks to be left alone (`Retry-After`).
        retry_after: Option<Duration>,
    },
    /// It could not be asked.
    #[error("{host} cannot be reached from this step: {reason}")]
    Unreachable {
        /// The registry.
        host: String,
        /// Why.
        reason: String,
        /// Whether it is a matter of trust, which does not pass: the certificate.
        untrusted: bool,
        /// Whether no connection was made.
        connecting: bool,
    },
    /// It answered that what was asked for is elsewhere. The address may hold a signature, so that it is not shown.
    #[error("{host} sent a redirect to another server")]
    Elsewhere {
        /// The registry.
        host: String,
        /// The address.
        place: String,
    },
    /// Its answer does not follow the specification.
    #[error("{host} sent an unexpected answer: {what}")]
    Odd {
        /// The registry.
        host: String,
        /// What is unexpected.
        what: String,
    },
}

fn told(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl Transient for RemoteError {
    fn retry(&self) -> Retry {
        match self {
            Self::Refused { status, retry_after, .. }
                if status.is_server_error()
                    || matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) =>
            {
                retry_after.map_or(Retry::Later, Retry::After)
            }
            Self::Unreachable { untrusted: false, .. } => Retry::Later,
            Self::Refused { .. } | Self::Unreachable { .. } | Self::Elsewhere { .. } | Self::Odd { .. } => Retry::Never,
        }
    }
}
