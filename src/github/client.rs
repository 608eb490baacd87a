//! The one client of GitHub's API: octocrab on top of our own HTTP client, so that proxies, certificates and limits
//! are the same as everywhere.
//!
//! API: <https://docs.github.com/en/rest>.

use std::{error::Error as _, fmt::Write as _, iter};

use http::HeaderName;
use octocrab::Octocrab;
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::{domain::secret::Secret, http as transport};

/// The version of the API that is spoken.
const VERSION: (HeaderName, &str) = (HeaderName::from_static("x-github-api-version"), "2022-11-28");

/// Why GitHub did not answer.
#[derive(Debug, Error)]
pub enum ApiError {
    /// The address is wrong.
    #[error("GITHUB_API_URL `{0}` is no URL")]
    Url(String),
    /// It refused.
    #[error("ask GitHub for {path}: {message}")]
    Refused {
        /// What was asked for.
        path: String,
        /// The HTTP status.
        status: u16,
        /// In GitHub's words.
        message: String,
    },
    /// It could not be reached, or what answered is not GitHub's API.
    #[error("ask GitHub for {path}: {reason}")]
    Unreachable {
        /// What was asked for.
        path: String,
        /// Why.
        reason: String,
    },
    /// A list is longer than what is read of it.
    #[error("GitHub lists more than {limit} items for {path}")]
    TooMany {
        /// What was asked for.
        path: String,
        /// How many are read.
        limit: usize,
    },
    /// It is too slow.
    #[error("GitHub did not answer {0} in time")]
    TimedOut(String),
}

impl ApiError {
    /// Whether the token may not do it: a permission that the job did not give, a token that is none. An API that hides
    /// what it refuses says 404.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { status: 401 | 403 | 404, .. })
    }

    /// Whether the same call may succeed a moment later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status >= 500,
            Self::Unreachable { .. } | Self::TimedOut(_) => true,
            Self::Url(_) | Self::TooMany { .. } => false,
        }
    }
}

/// One repository as the API knows it.
#[derive(Clone, Debug)]
pub struct Client {
    octocrab: Octocrab,
    repository: String,
}

impl Client {
    /// A client for `owner/repo` at the API's address, `GITHUB_API_URL`.
    pub fn new(api: &str, token: &Secret, owner: &str, repo: &str) -> Result<Self, ApiError> {
        let unreachable = |reason: String| ApiError::Unreachable { path: api.to_owned(), reason };
        let http = transport::builder().build().map_err(|error| unreachable(error.to_string()))?;
        let (name, version) = VERSION;
        let octocrab = Octocrab::builder()
            .base_uri(api)
            .map_err(|_| ApiError::Url(api.to_owned()))?
            .add_header(name, version.to_owned())
            .personal_token(token.expose().to_owned())
            .build_with_reqwest(http)
            .map_err(|error| unreachable(reason(&error)))?;
        Ok(Self { octocrab, repository: format!("/repos/{owner}/{repo}") })
    }

    /// What is at `path`, below the repository.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, ApiError> {
        let path = self.path(path);
        // An empty query would still leave its mark.
        self.octocrab.get(&path, (!query.is_empty()).then_some(&query)).await.map_err(|error| refused(&path, &error))
    }

    /// Makes something below `path`, which is not tried twice.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ApiError> {
        let path = self.path(path);
        self.octocrab.post(&path, Some(body)).await.map_err(|error| refused(&path, &error))
    }

    /// Changes what is at `path`.
    pub async fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ApiError> {
        let path = self.path(path);
        self.octocrab.patch(&path, Some(body)).await.map_err(|error| refused(&path, &error))
    }

    fn path(&self, below: &str) -> String {
        format!("{}{below}", self.repository)
    }
}

/// The text as one segment of a path.
pub(super) fn percent_encoded(text: &str) -> String {
    let mut segment = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    segment
}

fn refused(path: &str, error: &octocrab::Error) -> ApiError {
    let path = path.to_owned();
    match error {
        octocrab::Error::GitHub { source, .. } => ApiError::Refused {
            path,
            status: source.status_code.as_u16(),
            message: source.errors.as_ref().map_or_else(
                || source.message.clone(),
                |errors| {
                    let details = errors.iter().map(ToString::to_string);
                    iter::once(source.message.clone()).chain(details).collect::<Vec<_>>().join(" ")
                },
            ),
        },
        other => ApiError::Unreachable { path, reason: reason(other) },
    }
}

/// The innermost cause, which is the one that tells something.
fn reason(error: &octocrab::Error) -> String {
    let mut cause = error.source();
    while let Some(inner) = cause.and_then(|cause| cause.source()) {
        cause = Some(inner);
    }
    cause.map_or_else(|| "no answer".to_owned(), ToString::to_string)
}
