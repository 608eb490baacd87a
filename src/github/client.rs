//! The one client of GitHub's API, on top of the HTTP client of all modules: proxies, certificates and limits are the
//! same everywhere.
//!
//! API: <https://docs.github.com/en/rest>.

use std::{error::Error, fmt::Write as _, iter};

use http::{
    HeaderName, HeaderValue, Method, StatusCode,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, USER_AGENT},
};
use reqwest::{RequestBuilder, Url};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use thiserror::Error;

use crate::{
    domain::secret::Secret,
    http::{self as transport, BodyError, bounded_body},
};

/// The version of the API that is spoken.
const VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-github-api-version"), HeaderValue::from_static("2022-11-28"));
/// GitHub refuses calls without a name.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("build-deploy/", env!("CARGO_PKG_VERSION")));

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

/// One repository as the API knows it.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    /// Without a slash at its end.
    api: String,
    repository: String,
}

impl Client {
    /// A client for `owner/repo` at the API's address, `GITHUB_API_URL`.
    pub fn new(api: &str, token: &Secret, owner: &str, repo: &str) -> Result<Self, ApiError> {
        let url = Url::parse(api).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        url.ok_or_else(|| ApiError::Url(api.to_owned()))?;
        let unreachable = |reason: String| ApiError::Unreachable { path: api.to_owned(), reason };
        let bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()));
        let mut bearer = bearer.map_err(|_| unreachable("the token is not a header's value".to_owned()))?;
        bearer.set_sensitive(true);
        let accept = HeaderValue::from_static("application/vnd.github+json");
        let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer), (ACCEPT, accept), (USER_AGENT, AGENT), VERSION]);
        let http = transport::builder().default_headers(headers).build();
        let http = http.map_err(|error| unreachable(error.to_string()))?;
        let repository = format!("/repos/{owner}/{repo}");
        Ok(Self { http, api: api.trim_end_matches('/').to_owned(), repository })
    }

    /// What is at `path`, below the repository.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, ApiError> {
        let path = self.path(path);
        let uri = if query.is_empty() { path.clone() } else { format!("{path}?{}", encoded(query)) };
        read(&path, self.request(Method::GET, &uri)).await
    }

    /// Makes something below `path`, which is not tried twice.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ApiError> {
        let path = self.path(path);
        read(&path, self.request(Method::POST, &path).json(body)).await
    }

    /// Changes what is at `path`.
    pub async fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ApiError> {
        let path = self.path(path);
        read(&path, self.request(Method::PATCH, &path).json(body)).await
    }

    fn request(&self, method: Method, uri: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{uri}", self.api))
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

/// Sends a call and reads the answer.
async fn read<T: DeserializeOwned>(path: &str, call: RequestBuilder) -> Result<T, ApiError> {
    let unreachable = |reason: String| ApiError::Unreachable { path: path.to_owned(), reason };
    let answer = call.send().await.map_err(|error| unreachable(innermost(&error).to_string()))?;
    let status = answer.status();
    if !status.is_success() {
        // What cannot be read of an error says no more than its status.
        let body = bounded_body(answer, LARGEST_ERROR).await.unwrap_or_default();
        let message = refusal(status, &body);
        return Err(ApiError::Refused { path: path.to_owned(), status: status.as_u16(), message });
    }
    let body = bounded_body(answer, LARGEST_ANSWER).await.map_err(|error| match error {
        BodyError::TooLarge(_) => unreachable(error.to_string()),
        BodyError::Broken(error) => unreachable(innermost(&error).to_string()),
    })?;
    serde_json::from_slice(&body).map_err(|error| unreachable(error.to_string()))
}

/// An error as the API sends it.
#[derive(Deserialize)]
struct Refusal {
    message: String,
    #[serde(default)]
    errors: Vec<Value>,
}

/// What an error says: GitHub's words, or the text of whatever answered instead.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    if let Ok(Refusal { message, errors }) = serde_json::from_slice(body) {
        let details = errors.iter().map(ToString::to_string);
        return shown(status, &iter::once(message).chain(details).collect::<Vec<_>>().join(" "));
    }
    match String::from_utf8_lossy(body).trim() {
        "" => status.canonical_reason().unwrap_or("Unknown HTTP Error").to_owned(),
        text => shown(status, text),
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
fn innermost<'a>(mut cause: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
}
