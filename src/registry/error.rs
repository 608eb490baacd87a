//! Errors of requests to a registry, and whether to retry.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{
    StatusCode,
    header::{self, HeaderMap},
};
use thiserror::Error;

use crate::{
    http::UNTRUSTED,
    retry::{Retry, Transient},
};

/// Why a request to a registry failed.
#[derive(Debug, Error)]
pub enum RemoteError {
    /// The registry answered with an error.
    #[error("{host} answered {status}{}", suffix(.message))]
    Refused {
        /// The registry.
        host: String,
        /// The HTTP status.
        status: StatusCode,
        /// The error message, if there is one.
        message: String,
        /// The pause that the registry asks for (`Retry-After`).
        retry_after: Option<Duration>,
    },
    /// There was no answer.
    #[error("{}", outage.words(host, reason))]
    Unreachable {
        /// The registry.
        host: String,
        /// The cause.
        reason: String,
        /// What failed.
        outage: Outage,
    },
    /// The data does not match its digest: it was damaged on the way or in the registry.
    #[error("{host} sent damaged data: {what}")]
    Damaged {
        /// The registry.
        host: String,
        /// The damaged object.
        what: String,
    },
    /// The registry redirected to another server. The URL is not shown, since it may contain a signature.
    #[error("{host} redirected to another server")]
    Redirect {
        /// The registry.
        host: String,
        /// The URL.
        url: String,
    },
    /// The answer violates the specification.
    #[error("{host} sent an unexpected answer: {problem}")]
    Unexpected {
        /// The registry.
        host: String,
        /// The problem.
        problem: String,
    },
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// The certificate is not trusted; a retry would fail too.
    Untrusted,
    /// The connection could not be established.
    NoConnection,
    /// The connection was lost.
    Broken,
    /// The request timed out.
    TimedOut,
}

impl Outage {
    /// The error message for `host`.
    pub fn words(self, host: &str, reason: &str) -> String {
        match self {
            Self::Untrusted | Self::NoConnection => format!("failed to reach {host} from this step: {reason}"),
            Self::Broken => format!("the connection to {host} broke: {reason}"),
            Self::TimedOut => format!("{host} did not answer in time"),
        }
    }

    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Untrusted => UNTRUSTED,
            Self::NoConnection | Self::Broken => "check the runner's network and run the job again",
            Self::TimedOut => "run the job again",
        }
    }
}

fn suffix(message: &str) -> String {
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
            Self::Unreachable { outage, .. } if *outage != Outage::Untrusted => Retry::Later,
            Self::Damaged { .. } => Retry::Later,
            Self::Unreachable { .. } | Self::Refused { .. } | Self::Redirect { .. } | Self::Unexpected { .. } => {
                Retry::Never
            }
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
