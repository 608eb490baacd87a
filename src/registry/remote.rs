//! Reads and writes the manifests of one repository of a registry.
//!
//! Protocol: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>, tokens as in
//! <https://distribution.github.io/distribution/spec/auth/token/>. The engine may be able to reach
//! registries that this process, which runs in a container, cannot: on the runner's host, or with a CA that only the engine
//! trusts.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use chrono::Utc;
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode, Url,
    header::{self, HeaderValue},
};
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::error::retry_after;
pub use super::error::{Outage, RemoteError};
use super::{challenge::Challenge, manifest::Manifest, plain::may_be_plain};
use crate::{
    domain::{credentials::Login, digest::Digest},
    http::{BodyError, bounded_body},
};

const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
                      application/vnd.docker.distribution.manifest.v2+json, \
                      application/vnd.docker.distribution.manifest.list.v2+json";
/// Maximum size of a manifest or index in bytes.
const MAX_MANIFEST: usize = 4 << 20;
/// Maximum size of a token or error in bytes.
const MAX_ANSWER: usize = 256 << 10;

/// A manifest or index in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawManifest {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its bytes.
    pub body: Bytes,
}

/// Servers use either name; some, such as Docker Hub, send both.
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

/// The required access to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Read only.
    Pull,
    /// Read and write. The first token already includes write access, so that a write needs no second one.
    Push,
}

/// The kind of object of a request.
#[derive(Clone, Copy)]
enum Kind {
    Manifests,
    Blobs,
}

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Self::Manifests => "manifests",
            Self::Blobs => "blobs",
        }
    }
}

/// The labels in an image's configuration.
#[derive(Default, Deserialize)]
struct Config {
    config: Option<Labels>,
}

#[derive(Deserialize)]
struct Labels {
    #[serde(rename = "Labels")]
    labels: Option<HashMap<String, String>>,
}

/// A repository of a registry. Concurrent requests share one token.
#[derive(Debug)]
pub struct Remote {
    http: Client,
    host: String,
    path: String,
    login: Option<Login>,
    access: Access,
    /// Limits the concurrent requests of a run.
    gate: Arc<Semaphore>,
    /// The credentials to send, once the registry has asked for them.
    authorization: tokio::sync::Mutex<Option<HeaderValue>>,
    /// `https` once the registry has answered over TLS; `http` once a local one turned out not to support it.
    scheme: Mutex<Option<&'static str>>,
}

/// The API host of a registry; Docker Hub's differs from its name.
pub fn endpoint(host: &str) -> &str {
    if host == "docker.io" { "registry-1.docker.io" } else { host }
}

impl Remote {
    /// The repository `host/path`; `None` if the name is invalid.
    pub fn new(
        http: Client,
        repository: &str,
        login: Option<Login>,
        access: Access,
        gate: Arc<Semaphore>,
    ) -> Option<Self> {
        let (host, path) = repository.split_once('/')?;
        let (host, path) = (endpoint(host).to_owned(), path.to_owned());
        let (authorization, scheme) = (tokio::sync::Mutex::new(None), Mutex::new(None));
        Some(Self { http, host, path, login, access, gate, authorization, scheme })
    }

    /// The digest of `reference`, a tag or digest; `None` if it does not exist.
    pub async fn digest(&self, reference: &str) -> Result<Option<Digest>, RemoteError> {
        let response = match self.send(Kind::Manifests, Method::HEAD, reference, None).await {
            Err(RemoteError::Refused { status: StatusCode::NOT_FOUND, .. }) => return Ok(None),
            answer => answer?,
        };
        match named_digest(&response) {
            Some(digest) => Ok(Some(digest)),
            // The header is optional: compute the digest of the content.
            None => Ok(self.manifest(reference).await?.map(|stored| stored.digest)),
        }
    }

    /// Fetches a manifest or index; `None` if it does not exist.
    pub async fn manifest(&self, reference: &str) -> Result<Option<RawManifest>, RemoteError> {
        let response = match self.send(Kind::Manifests, Method::GET, reference, None).await {
            Err(RemoteError::Refused { status: StatusCode::NOT_FOUND, .. }) => return Ok(None),
            answer => answer?,
        };
        let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned();
        let body = self.body(response, MAX_MANIFEST).await?;
        let digest = Digest::of(&body);
        if reference.starts_with("sha256:") && reference != digest.as_str() {
            let what = format!("the content of {reference} has the digest {digest}");
            return Err(RemoteError::Damaged { host: self.host.clone(), what });
        }
        Ok(Some(RawManifest { digest, media_type, body }))
    }

    /// Reads a label of the image `digest`; for an index, of its first image. `None` if the label is missing.
    pub async fn label(&self, digest: &Digest, name: &str) -> Result<Option<String>, RemoteError> {
        let Some(mut stored) = self.manifest(digest.as_str()).await? else { return Ok(None) };
        if let Some(first) = parsed(&stored).children().next() {
            let Some(child) = self.manifest(first).await? else { return Ok(None) };
            stored = child;
        }
        let Some(config) = parsed(&stored).config().map(str::to_owned) else { return Ok(None) };
        let response = match self.send(Kind::Blobs, Method::GET, &config, None).await {
            Ok(response) => response,
            Err(RemoteError::Redirect { url, .. }) => {
                // Blob storage requires no login; the credentials of the registry are not sent there.
                let redirected =
                    self.http.get(url).send().await.map_err(|error| self.unreachable(&error.without_url()))?;
                self.checked(redirected).await?
            }
            Err(error) => return Err(error),
        };
        let body = self.body(response, MAX_MANIFEST).await?;
        let config: Config = serde_json::from_slice(&body).unwrap_or_default();
        Ok(config.config.and_then(|config| config.labels?.remove(name)))
    }

    /// Stores a manifest or index under a tag or its digest. Returns the digest in the answer of the registry, if any.
    pub async fn put(&self, reference: &str, manifest: &RawManifest) -> Result<Option<Digest>, RemoteError> {
        let body = Some((manifest.media_type.as_str(), &manifest.body));
        let response = self.send(Kind::Manifests, Method::PUT, reference, body).await?;
        Ok(named_digest(&response))
    }

    /// Sends a request, and once more with credentials if the registry asks for them. Answers other than success are errors.
    async fn send(
        &self,
        kind: Kind,
        method: Method,
        reference: &str,
        body: Option<(&str, &Bytes)>,
    ) -> Result<Response, RemoteError> {
        let _permit = self.gate.acquire().await.map_err(|_| self.unexpected("the client was closed".to_owned()))?;
        let sent = self.authorization.lock().await.clone();
        let response = self.send_once((kind, &method), reference, body, sent.as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return self.checked(response).await;
        }
        // Some registries send one header per scheme, including unsupported ones.
        let headers = response.headers().get_all(header::WWW_AUTHENTICATE).into_iter();
        let challenge = Challenge::best(headers.filter_map(|value| value.to_str().ok()));
        let Some(challenge) = challenge else { return self.checked(response).await };
        let authorization = {
            let mut known = self.authorization.lock().await;
            // Another request may have obtained a token in the meantime.
            if *known == sent {
                let Some(answer) = self.credentials(&challenge).await? else { return self.checked(response).await };
                *known = Some(answer);
            }
            known.clone()
        };
        self.checked(self.send_once((kind, &method), reference, body, authorization.as_ref()).await?).await
    }

    async fn send_once(
        &self,
        (kind, method): (Kind, &Method),
        reference: &str,
        body: Option<(&str, &Bytes)>,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, RemoteError> {
        let request = |scheme: &str| {
            let url = format!("{scheme}://{}/v2/{}/{}/{reference}", self.host, self.path, kind.path());
            let mut request = self.http.request(method.clone(), url);
            if let Some(authorization) = authorization {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            match body {
                Some((media_type, body)) => request.header(header::CONTENT_TYPE, media_type).body(body.clone()),
                None => request.header(header::ACCEPT, ACCEPT),
            }
        };
        let send = |request: RequestBuilder| async { request.send().await.map_err(|error| self.unreachable(&error)) };
        let scheme = *lock(&self.scheme);
        let first = send(request(scheme.unwrap_or("https"))).await;
        match first {
            // Only if TLS never worked and no credentials were sent.
            Err(RemoteError::Unreachable { outage: Outage::NoConnection, .. })
                if scheme.is_none() && authorization.is_none() && may_be_plain(&self.host) =>
            {
                match send(request("http")).await {
                    Ok(response) => {
                        *lock(&self.scheme) = Some("http");
                        Ok(response)
                    }
                    Err(_) => first,
                }
            }
            Ok(response) => {
                lock(&self.scheme).get_or_insert("https");
                Ok(response)
            }
            Err(error) => Err(error),
        }
    }

    /// The credentials for a challenge; `None` if there are none.
    async fn credentials(&self, challenge: &Challenge) -> Result<Option<HeaderValue>, RemoteError> {
        let text = match challenge {
            Challenge::Basic => match &self.login {
                Some(login) => login.basic(),
                None => return Ok(None),
            },
            Challenge::Bearer { realm, query } => {
                // Without TLS, the password would be sent in plain text.
                if !realm.starts_with("https://") && *lock(&self.scheme) != Some("http") {
                    return Err(self.unexpected(format!("its token server {realm} does not use https")));
                }
                let request = self.token_request(realm, &self.scoped(query))?;
                let response = request.send().await.map_err(|error| self.unreachable(&error))?;
                let body = self.body(self.checked(response).await?, MAX_ANSWER).await?;
                let answer = serde_json::from_slice::<TokenAnswer>(&body).ok();
                let token = answer.and_then(|answer| answer.token.or(answer.access_token));
                format!("Bearer {}", token.ok_or_else(|| self.unexpected("its token server sent no token".to_owned()))?)
            }
        };
        let invalid = |_| self.unexpected("its token contains characters that are invalid in a header".to_owned());
        let mut value = HeaderValue::try_from(text).map_err(invalid)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// The query for the token server. Adds write access to the scope if needed, since a challenge for a read names read
    /// access only.
    fn scoped(&self, query: &[(String, String)]) -> Vec<(String, String)> {
        let own = format!("repository:{}:pull", self.path);
        let scope = |value: &String| match self.access {
            Access::Push if *value == own => format!("{own},push"),
            Access::Push | Access::Pull => value.clone(),
        };
        query
            .iter()
            .map(|(name, value)| (name.clone(), if name == "scope" { scope(value) } else { value.clone() }))
            .collect()
    }

    /// The request to the token server: an `OAuth2` request for an identity token
    /// (<https://distribution.github.io/distribution/spec/auth/oauth/>), otherwise `GET`.
    fn token_request(&self, realm: &str, query: &[(String, String)]) -> Result<RequestBuilder, RemoteError> {
        if let Some(token) = self.login.as_ref().and_then(Login::identity_token) {
            let fixed =
                [("grant_type", "refresh_token"), ("client_id", "build-deploy"), ("refresh_token", token.expose())];
            let parameters = query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            return Ok(self.http.post(realm).form(&fixed.into_iter().chain(parameters).collect::<Vec<_>>()));
        }
        let url = Url::parse_with_params(realm, query).map_err(|error| self.unexpected(format!("{realm}: {error}")))?;
        let request = self.http.get(url);
        Ok(match &self.login {
            Some(login) => request.header(header::AUTHORIZATION, login.basic()),
            None => request,
        })
    }

    async fn checked(&self, response: Response) -> Result<Response, RemoteError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if status.is_redirection() {
            let url = response.headers().get(header::LOCATION).and_then(|url| url.to_str().ok());
            let url = url.filter(|url| url.starts_with("https://")).map(str::to_owned);
            if let Some(url) = url {
                return Err(RemoteError::Redirect { host: self.host.clone(), url });
            }
        }
        let retry_after = retry_after(response.headers(), Utc::now());
        let body = self.body(response, MAX_ANSWER).await.unwrap_or_default();
        let message = serde_json::from_slice::<ErrorAnswer>(&body).ok().and_then(|answer| {
            let item = answer.errors.into_iter().next()?;
            Some(if item.message.is_empty() { item.code } else { format!("{}: {}", item.code, item.message) })
        });
        let message = message.unwrap_or_default().to_lowercase();
        Err(RemoteError::Refused { host: self.host.clone(), status, message, retry_after })
    }

    fn unreachable(&self, error: &reqwest::Error) -> RemoteError {
        // The innermost cause is the most specific one.
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let reason = cause.to_string();
        let outage = match (error.is_connect(), error.is_timeout()) {
            (true, _) if reason.contains("certificate") => Outage::Untrusted,
            (true, _) => Outage::NoConnection,
            (false, true) => Outage::TimedOut,
            (false, false) => Outage::Broken,
        };
        RemoteError::Unreachable { host: self.host.clone(), reason, outage }
    }

    /// The body of an answer, at most `most` bytes.
    async fn body(&self, response: Response, most: usize) -> Result<Bytes, RemoteError> {
        bounded_body(response, most).await.map_err(|error| match error {
            BodyError::TooLarge(_) => self.unexpected(error.to_string()),
            BodyError::Broken(error) => self.unreachable(&error),
        })
    }

    fn unexpected(&self, problem: String) -> RemoteError {
        RemoteError::Unexpected { host: self.host.clone(), problem }
    }
}

/// Parses a manifest or index; empty if it is invalid.
fn parsed(stored: &RawManifest) -> Manifest {
    serde_json::from_slice(&stored.body).unwrap_or_default()
}

/// The digest in the header of an answer.
fn named_digest(response: &Response) -> Option<Digest> {
    response.headers().get("docker-content-digest")?.to_str().ok()?.parse().ok()
}

/// Locks the mutex, even if it is poisoned: its value is always valid.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
