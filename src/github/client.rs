//! The one client of GitHub's API: octocrab on top of our own HTTP client, so that proxies, certificates and limits
//! are the same as everywhere.
//!
//! API: <https://docs.github.com/en/rest>.

use std::{error::Error, fmt::Write as _, iter};

use bytes::Bytes;
use http::{HeaderName, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited, combinators::BoxBody};
use octocrab::Octocrab;
use reqwest::Url;
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::{
    domain::secret::Secret,
    http as transport,
    retry::{Retry, Transient},
};

/// The version of the API that is spoken.
const VERSION: (HeaderName, &str) = (HeaderName::from_static("x-github-api-version"), "2022-11-28");

/// Bytes of an answer that are read: a page of 100 long comments, or of 100 jobs with all their steps, is smaller.
const LARGEST_ANSWER: usize = 8 << 20;
/// The same of an answer that is an error.
const LARGEST_ERROR: usize = 64 << 10;
/// Characters of an error's words that are shown: what stands in front of GitHub may answer with a page.
const LONGEST_MESSAGE: usize = 300;

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

impl Transient for ApiError {
    fn retry(&self) -> Retry {
        if self.is_temporary() { Retry::Later } else { Retry::Never }
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
        let uri = if query.is_empty() { path.clone() } else { format!("{path}?{}", encoded(query)) };
        read(&path, self.octocrab._get(uri).await).await
    }

    /// Makes something below `path`, which is not tried twice.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ApiError> {
        let path = self.path(path);
        read(&path, self.octocrab._post(path.as_str(), Some(body)).await).await
    }

    /// Changes what is at `path`.
    pub async fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ApiError> {
        let path = self.path(path);
        read(&path, self.octocrab._patch(path.as_str(), Some(body)).await).await
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

/// The query of an address.
fn encoded(query: &[(&str, String)]) -> String {
    let url = Url::parse_with_params("http://query/", query).ok();
    url.and_then(|url| url.query().map(str::to_owned)).unwrap_or_default()
}

type Answer = Response<BoxBody<Bytes, octocrab::Error>>;

/// Reads an answer, which octocrab's own ways do without a bound.
async fn read<T: DeserializeOwned>(path: &str, answer: octocrab::Result<Answer>) -> Result<T, ApiError> {
    let unreachable = |reason: String| ApiError::Unreachable { path: path.to_owned(), reason };
    let (head, body) = answer.map_err(|error| refused(path, &error))?.into_parts();
    let limit = if head.status.is_success() { LARGEST_ANSWER } else { LARGEST_ERROR };
    let body = match Limited::new(body, limit).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) if !head.status.is_success() => Bytes::new(),
        Err(error) => return Err(unreachable(innermost(&*error).to_string())),
    };
    if !head.status.is_success() {
        let body = Full::new(body).map_err(|never| match never {}).boxed();
        let error = octocrab::map_github_error(Response::from_parts(head, body)).await;
        return Err(error.err().map_or_else(|| unreachable("no answer".to_owned()), |error| refused(path, &error)));
    }
    serde_json::from_slice(&body).map_err(|error| unreachable(error.to_string()))
}

fn refused(path: &str, error: &octocrab::Error) -> ApiError {
    let path = path.to_owned();
    match error {
        octocrab::Error::GitHub { source, .. } => ApiError::Refused {
            path,
            status: source.status_code.as_u16(),
            message: source.errors.as_ref().map_or_else(
                || shown(source.status_code, &source.message),
                |errors| {
                    let details = errors.iter().map(ToString::to_string);
                    let all = iter::once(source.message.clone()).chain(details).collect::<Vec<_>>().join(" ");
                    shown(source.status_code, &all)
                },
            ),
        },
        other => ApiError::Unreachable { path, reason: reason(other) },
    }
}

/// The words of an error, as far as they are words.
fn shown(status: StatusCode, message: &str) -> String {
    if message.trim_start().starts_with('<') {
        return status.to_string();
    }
    match message.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

/// The innermost cause, which is the one that tells something.
fn reason(error: &octocrab::Error) -> String {
    error.source().map_or_else(|| "no answer".to_owned(), |source| innermost(source).to_string())
}

fn innermost<'a>(mut cause: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
}
