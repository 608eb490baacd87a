//! One repository of a registry that we speak to ourselves: manifests are read, and written.
//!
//! Protocol: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>, tokens as in
//! <https://distribution.github.io/distribution/spec/auth/token/>. A registry on the runner's own host is within the
//! engine's reach and not within ours: where there is an engine, it is asked instead.

use std::sync::Mutex;

use bytes::Bytes;
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode, Url,
    header::{self, HeaderValue},
};
use serde::Deserialize;
use thiserror::Error;

use super::{challenge::Challenge, plain::may_be_plain};
use crate::{
    domain::{credentials::Login, digest::Digest},
    http::{BodyError, bounded_body},
};

const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
                      application/vnd.docker.distribution.manifest.v2+json, \
                      application/vnd.docker.distribution.manifest.list.v2+json";
/// No manifest or index is larger.
const MAX_MANIFEST: usize = 4 << 20;
/// No token, and no error, is larger.
const MAX_ANSWER: usize = 256 << 10;

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
    },
    /// It could not be asked.
    #[error("{host} cannot be reached from this step: {reason}")]
    Unreachable {
        /// The registry.
        host: String,
        /// Why.
        reason: String,
    },
    /// Its answer makes no sense.
    #[error("{host} gave an odd answer: {what}")]
    Odd {
        /// The registry.
        host: String,
        /// What is odd.
        what: String,
    },
}

fn told(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl RemoteError {
    /// Whether the same request may well succeed a moment later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Refused { status, .. } => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Unreachable { .. } => true,
            Self::Odd { .. } => false,
        }
    }
}

/// A manifest or index as the registry has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its bytes.
    pub body: Bytes,
}

/// Both names are in use, and some servers, Docker Hub's among them, send both.
#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    errors: Vec<ErrorItem>,
}

#[derive(Deserialize)]
struct ErrorItem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// A repository of a registry.
pub struct Remote<'a> {
    http: &'a Client,
    host: String,
    path: &'a str,
    login: Option<&'a Login>,
    /// What the registry wanted to be shown, once it said so.
    authorization: Mutex<Option<HeaderValue>>,
    /// `http` once a registry beside us turned out not to speak TLS.
    scheme: Mutex<&'static str>,
}

/// The host that speaks for a registry: Docker Hub's API has one of its own.
pub fn endpoint(host: &str) -> &str {
    if host == "docker.io" { "registry-1.docker.io" } else { host }
}

impl<'a> Remote<'a> {
    /// The repository `host/path`; `None` if that is none.
    pub fn new(http: &'a Client, repository: &'a str, login: Option<&'a Login>) -> Option<Self> {
        let (host, path) = repository.split_once('/')?;
        let host = endpoint(host);
        let (authorization, scheme) = (Mutex::new(None), Mutex::new("https"));
        Some(Self { http, host: host.to_owned(), path, login, authorization, scheme })
    }

    /// The digest that `reference` (a tag or a digest) is served under; `None` if there is no such thing.
    pub async fn digest(&self, reference: &str) -> Result<Option<Digest>, RemoteError> {
        let response = match self.send(Method::HEAD, reference, None).await {
            Err(RemoteError::Refused { status: StatusCode::NOT_FOUND, .. }) => return Ok(None),
            answer => answer?,
        };
        let told = response.headers().get("docker-content-digest").and_then(|value| value.to_str().ok()?.parse().ok());
        match told {
            Some(digest) => Ok(Some(digest)),
            // A registry need not say it, but its bytes do.
            None => Ok(self.manifest(reference).await?.map(|stored| stored.digest)),
        }
    }

    /// A manifest or index; `None` if there is no such thing.
    pub async fn manifest(&self, reference: &str) -> Result<Option<Stored>, RemoteError> {
        let response = match self.send(Method::GET, reference, None).await {
            Err(RemoteError::Refused { status: StatusCode::NOT_FOUND, .. }) => return Ok(None),
            answer => answer?,
        };
        let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned();
        let body = bounded_body(response, MAX_MANIFEST).await.map_err(|error| match error {
            BodyError::TooLarge(_) => self.odd(format!("{reference} is too large for a manifest")),
            BodyError::Broken(error) => self.unreachable(&error),
        })?;
        let digest = Digest::of(&body);
        if reference.starts_with("sha256:") && reference != digest.as_str() {
            return Err(self.odd(format!("{reference} has other bytes than its digest says")));
        }
        Ok(Some(Stored { digest, media_type, body }))
    }

    /// Stores a manifest or index under a tag or its digest.
    pub async fn put(&self, reference: &str, media_type: &str, body: &Bytes) -> Result<(), RemoteError> {
        self.send(Method::PUT, reference, Some((media_type, body))).await.map(drop)
    }

    /// Sends a request, and once more with what a first answer asks for. An answer that is no success is an error.
    async fn send(
        &self,
        method: Method,
        reference: &str,
        body: Option<(&str, &Bytes)>,
    ) -> Result<Response, RemoteError> {
        let response = self.send_once(&method, reference, body).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return self.checked(response).await;
        }
        // Some send one header for each way, those that we do not speak included.
        let headers = response.headers().get_all(header::WWW_AUTHENTICATE).into_iter();
        let challenge = Challenge::best(headers.filter_map(|value| value.to_str().ok()));
        let Some(challenge) = challenge else { return self.checked(response).await };
        let Some(authorization) = self.answer(&challenge).await? else { return self.checked(response).await };
        *lock(&self.authorization) = Some(authorization);
        self.checked(self.send_once(&method, reference, body).await?).await
    }

    async fn send_once(
        &self,
        method: &Method,
        reference: &str,
        body: Option<(&str, &Bytes)>,
    ) -> Result<Response, RemoteError> {
        let request = |scheme: &str| {
            let url = format!("{scheme}://{}/v2/{}/manifests/{reference}", self.host, self.path);
            let mut request = self.http.request(method.clone(), url);
            if let Some(authorization) = lock(&self.authorization).clone() {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            match body {
                Some((media_type, body)) => request.header(header::CONTENT_TYPE, media_type).body(body.clone()),
                None => request.header(header::ACCEPT, ACCEPT),
            }
        };
        let send = |request: RequestBuilder| async { request.send().await.map_err(|error| self.unreachable(&error)) };
        let scheme = *lock(&self.scheme);
        match send(request(scheme)).await {
            Err(first) if scheme == "https" && may_be_plain(&self.host) => match send(request("http")).await {
                Ok(response) => {
                    *lock(&self.scheme) = "http";
                    Ok(response)
                }
                Err(_) => Err(first),
            },
            answer => answer,
        }
    }

    /// What to show a registry that asks like this; `None` if we have nothing to show.
    async fn answer(&self, challenge: &Challenge) -> Result<Option<HeaderValue>, RemoteError> {
        let text = match challenge {
            Challenge::Basic => match self.login {
                Some(login) => login.basic(),
                None => return Ok(None),
            },
            Challenge::Bearer { realm, query } => {
                // A token server without TLS would be sent the password in clear.
                if !realm.starts_with("https://") && *lock(&self.scheme) != "http" {
                    return Err(self.odd(format!("its token server {realm} speaks no TLS")));
                }
                let request = self.token_request(realm, query)?;
                let response = request.send().await.map_err(|error| self.unreachable(&error))?;
                let body = bounded_body(self.checked(response).await?, MAX_ANSWER).await.unwrap_or_default();
                let answer = serde_json::from_slice::<TokenAnswer>(&body).ok();
                let token = answer.and_then(|answer| answer.token.or(answer.access_token));
                format!("Bearer {}", token.ok_or_else(|| self.odd("a token answer without a token".to_owned()))?)
            }
        };
        let mut value = HeaderValue::try_from(text).map_err(|_| self.odd("a token that is none".to_owned()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// Asks a token server: an identity token is sent as `OAuth2` has it
    /// (<https://distribution.github.io/distribution/spec/auth/oauth/>), anything else with `GET`.
    fn token_request(&self, realm: &str, query: &[(String, String)]) -> Result<RequestBuilder, RemoteError> {
        if let Some(token) = self.login.and_then(Login::identity_token) {
            let fixed =
                [("grant_type", "refresh_token"), ("client_id", "build-deploy"), ("refresh_token", token.expose())];
            let asked = query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            return Ok(self.http.post(realm).form(&fixed.into_iter().chain(asked).collect::<Vec<_>>()));
        }
        let url = Url::parse_with_params(realm, query).map_err(|error| self.odd(format!("{realm}: {error}")))?;
        let request = self.http.get(url);
        Ok(match self.login {
            Some(login) => request.header(header::AUTHORIZATION, login.basic()),
            None => request,
        })
    }

    async fn checked(&self, response: Response) -> Result<Response, RemoteError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = bounded_body(response, MAX_ANSWER).await.unwrap_or_default();
        let message = serde_json::from_slice::<ErrorAnswer>(&body).ok().and_then(|answer| {
            let item = answer.errors.into_iter().next()?;
            Some(if item.message.is_empty() { item.code } else { format!("{}: {}", item.code, item.message) })
        });
        let message = message.unwrap_or_default().to_lowercase();
        Err(RemoteError::Refused { host: self.host.clone(), status, message })
    }

    fn unreachable(&self, error: &reqwest::Error) -> RemoteError {
        // The innermost of the nested causes is the one that says something.
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        RemoteError::Unreachable { host: self.host.clone(), reason: cause.to_string() }
    }

    fn odd(&self, what: String) -> RemoteError {
        RemoteError::Odd { host: self.host.clone(), what }
    }
}

/// No holder of these locks can panic, and a value is whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
