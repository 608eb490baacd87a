//! One repository of a registry that this process talks to: its manifests are read and written.
//!
//! Protocol: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>, tokens as in
//! <https://distribution.github.io/distribution/spec/auth/token/>. The engine may reach a registry that this process,
//! which runs in a container, does not: one on the runner's own host, or one whose CA only the engine knows.

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
/// No manifest or index is larger.
const MAX_MANIFEST: usize = 4 << 20;
/// No token, and no error, is larger.
const MAX_ANSWER: usize = 256 << 10;

/// A manifest or index as the registry has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawManifest {
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

/// What is done with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// It is only read.
    Pull,
    /// It is written too. A token for this is asked for at once, so that a write needs no second one.
    Push,
}

/// What of a repository a request is about.
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

/// An image's configuration, as far as labels go.
#[derive(Default, Deserialize)]
struct Config {
    config: Option<Labels>,
}

#[derive(Deserialize)]
struct Labels {
    #[serde(rename = "Labels")]
    labels: Option<HashMap<String, String>>,
}

/// A repository of a registry. Requests may be sent at the same time; they share one token.
#[derive(Debug)]
pub struct Remote {
    http: Client,
    host: String,
    path: String,
    login: Option<Login>,
    access: Access,
    /// Lets only so many requests of a run be under way at a time.
    gate: Arc<Semaphore>,
    /// What the registry wanted to be shown, once it said so.
    authorization: tokio::sync::Mutex<Option<HeaderValue>>,
    /// `https` once the registry answered by it, `http` once one beside us turned out not to speak TLS.
    scheme: Mutex<Option<&'static str>>,
}

/// The host that speaks for a registry: Docker Hub's API has one of its own.
pub fn endpoint(host: &str) -> &str {
    if host == "docker.io" { "registry-1.docker.io" } else { host }
}

impl Remote {
    /// The repository `host/path`; `None` if that is not one.
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

    /// The digest that `reference` (a tag or a digest) is served under; `None` if there is no such thing.
    pub async fn digest(&self, reference: &str) -> Result<Option<Digest>, RemoteError> {
        let response = match self.send(Kind::Manifests, Method::HEAD, reference, None).await {
            Err(RemoteError::Refused { status: StatusCode::NOT_FOUND, .. }) => return Ok(None),
            answer => answer?,
        };
        match named_digest(&response) {
            Some(digest) => Ok(Some(digest)),
            // A registry need not say it, but its bytes do.
            None => Ok(self.manifest(reference).await?.map(|stored| stored.digest)),
        }
    }

    /// A manifest or index; `None` if there is no such thing.
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
            let what = format!("the bytes of {reference} have the digest {digest}");
            return Err(RemoteError::Damaged { host: self.host.clone(), what });
        }
        Ok(Some(RawManifest { digest, media_type, body }))
    }

    /// A label of the image `digest`; of an index, of its first image. `None` if it has no such label.
    pub async fn label(&self, digest: &Digest, name: &str) -> Result<Option<String>, RemoteError> {
        let Some(mut stored) = self.manifest(digest.as_str()).await? else { return Ok(None) };
        if let Some(first) = parsed(&stored).children().next() {
            let Some(child) = self.manifest(first).await? else { return Ok(None) };
            stored = child;
        }
        let Some(config) = parsed(&stored).config().map(str::to_owned) else { return Ok(None) };
        let response = match self.send(Kind::Blobs, Method::GET, &config, None).await {
            Ok(response) => response,
            Err(RemoteError::Elsewhere { place, .. }) => {
                // What is kept elsewhere needs no login, and gets none.
                let elsewhere =
                    self.http.get(place).send().await.map_err(|error| self.unreachable(&error.without_url()))?;
                self.checked(elsewhere).await?
            }
            Err(error) => return Err(error),
        };
        let body = self.body(response, MAX_MANIFEST).await?;
        let config: Config = serde_json::from_slice(&body).unwrap_or_default();
        Ok(config.config.and_then(|config| config.labels?.remove(name)))
    }

    /// Stores a manifest or index under a tag or its digest. Returns the digest that the registry says it has now, if
    /// it says one.
    pub async fn put(&self, reference: &str, manifest: &RawManifest) -> Result<Option<Digest>, RemoteError> {
        let body = Some((manifest.media_type.as_str(), &manifest.body));
        let response = self.send(Kind::Manifests, Method::PUT, reference, body).await?;
        Ok(named_digest(&response))
    }

    /// Sends a request, and once more with what a first answer asks for. An answer that is no success is an error.
    async fn send(
        &self,
        kind: Kind,
        method: Method,
        reference: &str,
        body: Option<(&str, &Bytes)>,
    ) -> Result<Response, RemoteError> {
        let _turn = self.gate.acquire().await.map_err(|_| self.odd("no request may be sent any more".to_owned()))?;
        let shown = self.authorization.lock().await.clone();
        let response = self.send_once((kind, &method), reference, body, shown.as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return self.checked(response).await;
        }
        // Some send one header for each way, those that we do not speak included.
        let headers = response.headers().get_all(header::WWW_AUTHENTICATE).into_iter();
        let challenge = Challenge::best(headers.filter_map(|value| value.to_str().ok()));
        let Some(challenge) = challenge else { return self.checked(response).await };
        let authorization = {
            let mut known = self.authorization.lock().await;
            // Another request may have got a token meanwhile.
            if *known == shown {
                let Some(answer) = self.answer(&challenge).await? else { return self.checked(response).await };
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
            // Only where nothing ever spoke TLS, and no credential was sent.
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

    /// What to show a registry that asks like this; `None` if we have nothing to show.
    async fn answer(&self, challenge: &Challenge) -> Result<Option<HeaderValue>, RemoteError> {
        let text = match challenge {
            Challenge::Basic => match &self.login {
                Some(login) => login.basic(),
                None => return Ok(None),
            },
            Challenge::Bearer { realm, query } => {
                // A token server without TLS would be sent the password in clear.
                if !realm.starts_with("https://") && *lock(&self.scheme) != Some("http") {
                    return Err(self.odd(format!("its token server {realm} speaks no TLS")));
                }
                let request = self.token_request(realm, &self.scoped(query))?;
                let response = request.send().await.map_err(|error| self.unreachable(&error))?;
                let body = self.body(self.checked(response).await?, MAX_ANSWER).await?;
                let answer = serde_json::from_slice::<TokenAnswer>(&body).ok();
                let token = answer.and_then(|answer| answer.token.or(answer.access_token));
                format!("Bearer {}", token.ok_or_else(|| self.odd("its token server sent no token".to_owned()))?)
            }
        };
        let invalid = |_| self.odd("its token cannot be sent in a header".to_owned());
        let mut value = HeaderValue::try_from(text).map_err(invalid)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// What to ask a token server for. A read is answered with the scope of a read, which a write later would find too
    /// small.
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

    /// Asks a token server: an identity token is sent as `OAuth2` has it
    /// (<https://distribution.github.io/distribution/spec/auth/oauth/>), anything else with `GET`.
    fn token_request(&self, realm: &str, query: &[(String, String)]) -> Result<RequestBuilder, RemoteError> {
        if let Some(token) = self.login.as_ref().and_then(Login::identity_token) {
            let fixed =
                [("grant_type", "refresh_token"), ("client_id", "build-deploy"), ("refresh_token", token.expose())];
            let asked = query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            return Ok(self.http.post(realm).form(&fixed.into_iter().chain(asked).collect::<Vec<_>>()));
        }
        let url = Url::parse_with_params(realm, query).map_err(|error| self.odd(format!("{realm}: {error}")))?;
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
            let place = response.headers().get(header::LOCATION).and_then(|place| place.to_str().ok());
            let place = place.filter(|place| place.starts_with("https://")).map(str::to_owned);
            if let Some(place) = place {
                return Err(RemoteError::Elsewhere { host: self.host.clone(), place });
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
        // The innermost of the nested causes is the one that says something.
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

    /// The body of an answer, of at most `most` bytes.
    async fn body(&self, response: Response, most: usize) -> Result<Bytes, RemoteError> {
        bounded_body(response, most).await.map_err(|error| match error {
            BodyError::TooLarge(_) => self.odd(error.to_string()),
            BodyError::Broken(error) => self.unreachable(&error),
        })
    }

    fn odd(&self, what: String) -> RemoteError {
        RemoteError::Odd { host: self.host.clone(), what }
    }
}

/// What a manifest or index lists; nothing if it is not JSON.
fn parsed(stored: &RawManifest) -> Manifest {
    serde_json::from_slice(&stored.body).unwrap_or_default()
}

/// The digest that an answer names.
fn named_digest(response: &Response) -> Option<Digest> {
    response.headers().get("docker-content-digest")?.to_str().ok()?.parse().ok()
}

/// No holder of these locks can panic, and a value is whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
