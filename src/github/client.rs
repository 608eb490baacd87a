//! The client of GitHub's API: octocrab on top of the shared HTTP client, so that proxies, certificates and limits apply.
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

/// The version of the API.
const VERSION: (HeaderName, &str) = (HeaderName::from_static("x-github-api-version"), "2022-11-28");

/// Maximum size of an answer in bytes. A page of 100 long comments, or of 100 jobs with all their steps, is smaller.
const LARGEST_ANSWER: usize = 8 << 20;
/// Maximum size of an error in bytes.
const LARGEST_ERROR: usize = 64 << 10;
/// Maximum length of a shown error message in characters. A proxy may answer with a whole page.
const LONGEST_MESSAGE: usize = 300;

/// Why a call to GitHub failed.
#[derive(Debug, Error)]
pub enum ApiError {
    /// The URL of the API is invalid.
    #[error("`GITHUB_API_URL`: `{0}` is not a valid URL")]
    Url(String),
    /// GitHub rejected the call.
    #[error("GitHub rejected the request for {path}: {message}")]
    Refused {
        /// The path of the request.
        path: String,
        /// The HTTP status.
        status: u16,
        /// GitHub's error message.
        message: String,
    },
    /// GitHub could not be reached, or the answer is not from GitHub's API.
    #[error("the request to GitHub for {path} failed: {reason}")]
    Unreachable {
        /// The path of the request.
        path: String,
        /// The cause.
        reason: String,
    },
    /// A list has more items than the limit.
    #[error("GitHub returned more than {limit} items for {path}")]
    TooMany {
        /// The path of the request.
        path: String,
        /// The limit.
        limit: usize,
    },
    /// No answer in time. Contains the subject of the request, such as `the tags`.
    #[error("the request to GitHub {0} timed out")]
    TimedOut(String),
}

impl ApiError {
    /// Whether the token is invalid or lacks a permission. GitHub answers 404 for resources that the token cannot read.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { status: 401 | 403 | 404, .. })
    }

    /// Whether the same call may succeed later.
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

/// A client for one repository.
#[derive(Clone, Debug)]
pub struct Client {
    octocrab: Octocrab,
    repository: String,
}

impl Client {
    /// Creates a client for `owner/repo`. `api` is the value of `GITHUB_API_URL`.
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

    /// Sends a GET request for `path`, relative to the repository.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, ApiError> {
        let path = self.path(path);
        let uri = if query.is_empty() { path.clone() } else { format!("{path}?{}", encoded(query)) };
        read(&path, self.octocrab._get(uri).await).await
    }

    /// Sends a POST request, without retries, since it creates something.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ApiError> {
        let path = self.path(path);
        read(&path, self.octocrab._post(path.as_str(), Some(body)).await).await
    }

    /// Sends a PATCH request.
    pub async fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ApiError> {
        let path = self.path(path);
        read(&path, self.octocrab._patch(path.as_str(), Some(body)).await).await
    }

    fn path(&self, below: &str) -> String {
        format!("{}{below}", self.repository)
    }
}

/// Percent-encodes the text as a path segment.
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

/// Encodes the query of a URL.
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
                || shortened(source.status_code, &source.message),
                |errors| {
                    let details = errors.iter().map(ToString::to_string);
                    let all = iter::once(source.message.clone()).chain(details).collect::<Vec<_>>().join(" ");
                    shortened(source.status_code, &all)
                },
            ),
        },
        other => ApiError::Unreachable { path, reason: reason(other) },
    }
}

/// The message, shortened; only the status if the message is an HTML page.
fn shortened(status: StatusCode, message: &str) -> String {
    if message.trim_start().starts_with('<') {
        return status.to_string();
    }
    match message.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

/// The innermost cause, which is the most specific one.
fn reason(error: &octocrab::Error) -> String {
    error.source().map_or_else(|| "no answer".to_owned(), |source| transport::with_hint(innermost(source).to_string()))
}

fn innermost<'a>(mut cause: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
}
