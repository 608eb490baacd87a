//! Why a registry did not do as asked, and whether it may do so a moment later.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{
    StatusCode,
    header::{self, HeaderMap},
};
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
    /// No answer came.
    #[error("{}", outage.words(host, reason))]
    Unreachable {
        /// The registry.
        host: String,
        /// Why.
        reason: String,
        /// At which point.
        outage: Outage,
    },
    /// Its answer is not what its digest says: broken on the way, or in the registry.
    #[error("{host} sent damaged data: {what}")]
    Damaged {
        /// The registry.
        host: String,
        /// What is damaged.
        what: String,
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

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// The certificate is not trusted, which does not pass.
    Untrusted,
    /// No connection was made.
    NoConnection,
    /// The connection broke.
    Broken,
    /// The time was over.
    TimedOut,
}

impl Outage {
    /// The outage of `host` in words.
    pub fn words(self, host: &str, reason: &str) -> String {
        match self {
            Self::Untrusted | Self::NoConnection => format!("{host} cannot be reached from this step: {reason}"),
            Self::Broken => format!("the connection to {host} broke: {reason}"),
            Self::TimedOut => format!("{host} did not answer in time"),
        }
    }
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
            Self::Unreachable { outage: Outage::Untrusted, .. } => Retry::Never,
            Self::Unreachable { .. } | Self::Damaged { .. } => Retry::Later,
            Self::Refused { .. } | Self::Elsewhere { .. } | Self::Odd { .. } => Retry::Never,
        }
    }
}

/// The pause that a server asks for, in seconds or as a date (RFC 9110, section 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some((date.with_timezone(&Utc) - now).to_std().unwrap_or_default())
}
