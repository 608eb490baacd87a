//! A registry in memory: manifests, blobs and tags, as the distribution specification has them, and faults on demand.
//!
//! It refuses what a real one refuses: a manifest whose digest is not the one in the path, and one that is not JSON.

use std::{
    collections::HashMap,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, Response, StatusCode, header},
    response::IntoResponse as _,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::receiver::lock;

/// What becomes of a request instead of its usual answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status; nothing is stored.
    Status(u16),
    /// The same, with a `Retry-After` of so many seconds.
    Busy(u16, u64),
    /// The manifest is stored, but the answer is this status.
    Lost(u16),
    /// The answer does not name a digest.
    Silent,
    /// The answer names another digest.
    Lie,
    /// The answer is about this manifest instead.
    Other(&'static str),
    /// The last byte of the answer is wrong.
    Damaged,
    /// There is no answer.
    Stall,
}

/// A request as the registry saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `GET`, `HEAD`, `PUT`…
    pub method: Method,
    /// The repository's name.
    pub repository: String,
    /// A tag or a digest.
    pub reference: String,
}

type Decide = dyn Fn(&Seen, usize) -> Option<Fault> + Send + Sync;

struct Shared {
    inner: Mutex<Inner>,
    decide: Box<Decide>,
}

#[derive(Default)]
struct Inner {
    manifests: HashMap<(String, String), (String, Vec<u8>)>,
    tags: HashMap<(String, String), String>,
    /// User and password, encoded as in the header.
    login: Option<String>,
    seen: Vec<Seen>,
}

/// The registry. It runs until it is dropped.
pub struct Registry {
    /// Where it listens.
    pub host: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Registry {
    /// Starts one without faults.
    pub async fn start() -> io::Result<Self> {
        Self::with(|_, _| None).await
    }

    /// Starts one. `decide` is asked about each request, with the number of equal ones before it.
    pub async fn with(decide: impl Fn(&Seen, usize) -> Option<Fault> + Send + Sync + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let host = listener.local_addr()?.to_string();
        let shared = Arc::new(Shared { inner: Mutex::default(), decide: Box::new(decide) });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let server = tokio::spawn(async move {
            // Ends with the task: nobody asks how.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { host, shared, server })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.shared.inner)
    }

    /// Stores a manifest, as a push by digest does, and returns its digest.
    pub fn upload(&self, repository: &str, body: &str) -> String {
        let digest = digest(body.as_bytes());
        let key = (repository.to_owned(), digest.clone());
        let media_type = "application/vnd.oci.image.manifest.v1+json".to_owned();
        self.inner().manifests.insert(key, (media_type, body.as_bytes().to_vec()));
        digest
    }

    /// Points a tag to a digest.
    pub fn tag(&self, repository: &str, tag: &str, digest: &str) {
        self.inner().tags.insert((repository.to_owned(), tag.to_owned()), digest.to_owned());
    }

    /// What a tag points to.
    pub fn tagged(&self, repository: &str, tag: &str) -> Option<String> {
        self.inner().tags.get(&(repository.to_owned(), tag.to_owned())).cloned()
    }

    /// Refuses requests without this login from now on.
    pub fn require(&self, user: &str, password: &str) {
        self.inner().login = Some(STANDARD.encode(format!("{user}:{password}")));
    }

    /// The tags of a repository.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let inner = self.inner();
        let mut tags: Vec<String> =
            inner.tags.keys().filter(|(name, _)| name == repository).map(|(_, tag)| tag.clone()).collect();
        tags.sort();
        tags
    }

    /// The manifest with this digest, as JSON.
    pub fn manifest(&self, repository: &str, digest: &str) -> Option<serde_json::Value> {
        let inner = self.inner();
        let (_, body) = inner.manifests.get(&(repository.to_owned(), digest.to_owned()))?;
        serde_json::from_slice(body).ok()
    }

    /// How many requests there were with this method.
    pub fn count(&self, method: &Method) -> usize {
        self.count_of(|seen| seen.method == *method)
    }

    /// How many requests there were that `kind` fits.
    pub fn count_of(&self, kind: impl Fn(&Seen) -> bool) -> usize {
        self.inner().seen.iter().filter(|seen| kind(seen)).count()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("host", &self.host).finish_non_exhaustive()
    }
}

/// The digest of bytes, as a registry writes it.
pub fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold("sha256:".to_owned(), |digest, byte| digest + &format!("{byte:02x}"))
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let credentials = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let credentials = credentials.and_then(|value| value.strip_prefix("Basic "));
    if lock(&shared.inner).login.as_deref().is_some_and(|login| credentials != Some(login)) {
        let mut refusal = refusal(401, None);
        refusal.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"test\""));
        return refusal;
    }
    if path == "/v2/" {
        return StatusCode::OK.into_response();
    }
    let parts = path.strip_prefix("/v2/");
    // Blobs are kept beside the manifests, which they are told from by nobody who knows their digest.
    let parts = parts.and_then(|rest| rest.split_once("/manifests/").or_else(|| rest.split_once("/blobs/")));
    let Some((repository, reference)) = parts else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let seen = Seen { method: request.method().clone(), repository: repository.into(), reference: reference.into() };
    let media_type = request.headers().get(header::CONTENT_TYPE).cloned();
    let Ok(body) = to_bytes(request.into_body(), LARGEST_MANIFEST).await else { return refusal(413, None) };
    let body = body.to_vec();
    let before = {
        let mut inner = lock(&shared.inner);
        inner.seen.push(seen.clone());
        inner.seen.iter().filter(|one| **one == seen).count() - 1
    };
    let fault = (shared.decide)(&seen, before);
    match fault {
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::Status(status)) => return refusal(status, None),
        Some(Fault::Busy(status, seconds)) => return refusal(status, Some(seconds)),
        Some(Fault::Other(body)) => return found("application/json", body.as_bytes(), seen.method == Method::HEAD),
        Some(Fault::Lost(_) | Fault::Silent | Fault::Lie | Fault::Damaged) | None => {}
    }
    let usual = {
        let mut inner = lock(&shared.inner);
        if seen.method == Method::PUT { put(&mut inner, &seen, media_type, body) } else { get(&inner, &seen) }
    };
    match fault {
        Some(Fault::Damaged) => damaged(usual).await,
        Some(Fault::Lost(status)) => refusal(status, None),
        Some(Fault::Silent) => without_digest(usual),
        Some(Fault::Lie) => {
            let mut lie = without_digest(usual);
            lie.headers_mut().insert(DIGEST, value(&digest(b"another image")));
            lie
        }
        _ => usual,
    }
}

const DIGEST: &str = "docker-content-digest";
/// What registries accept.
const LARGEST_MANIFEST: usize = 4 << 20;

fn put(inner: &mut Inner, seen: &Seen, media_type: Option<HeaderValue>, body: Vec<u8>) -> Response<Body> {
    let digest = digest(&body);
    let is_digest = seen.reference.starts_with("sha256:");
    let media_type = media_type.and_then(|media_type| Some(media_type.to_str().ok()?.to_owned()));
    let is_json = serde_json::from_slice::<serde_json::Value>(&body).is_ok();
    let (Some(media_type), true) = (media_type, is_json && (!is_digest || seen.reference == digest)) else {
        return refusal(400, None);
    };
    inner.manifests.insert((seen.repository.clone(), digest.clone()), (media_type, body));
    if !is_digest {
        inner.tags.insert((seen.repository.clone(), seen.reference.clone()), digest.clone());
    }
    (StatusCode::CREATED, [(DIGEST, digest)]).into_response()
}

fn get(inner: &Inner, seen: &Seen) -> Response<Body> {
    let key = (seen.repository.clone(), seen.reference.clone());
    let digest = inner.tags.get(&key).unwrap_or(&seen.reference).clone();
    let Some((media_type, body)) = inner.manifests.get(&(seen.repository.clone(), digest.clone())) else {
        return refusal(404, None);
    };
    found(media_type, body, seen.method == Method::HEAD)
}

fn found(media_type: &str, body: &[u8], only_headers: bool) -> Response<Body> {
    let mut answer = Response::new(Body::from(if only_headers { Vec::new() } else { body.to_vec() }));
    answer.headers_mut().insert(DIGEST, value(&digest(body)));
    answer.headers_mut().insert(header::CONTENT_TYPE, value(media_type));
    answer
}

async fn damaged(answer: Response<Body>) -> Response<Body> {
    let (parts, body) = answer.into_parts();
    let mut body = to_bytes(body, LARGEST_MANIFEST).await.unwrap_or_default().to_vec();
    if let Some(last) = body.last_mut() {
        *last ^= 1;
    }
    Response::from_parts(parts, Body::from(body))
}

fn without_digest(mut answer: Response<Body>) -> Response<Body> {
    answer.headers_mut().remove(DIGEST);
    answer
}

fn refusal(status: u16, retry_after: Option<u64>) -> Response<Body> {
    let mut answer = Response::new(Body::from(r#"{"errors":[{"code":"TEST","message":"as the test wants"}]}"#));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}

/// A header's value; an empty one where a text cannot be one.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
