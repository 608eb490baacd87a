//! A registry in memory: manifests and tags, as the distribution specification has them, and faults on demand.
//!
//! It refuses what a real one refuses: a manifest whose digest is not the one in the path, and one that is not JSON.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Method, Response, StatusCode, header},
    response::IntoResponse as _,
};
use build_deploy::domain::digest::Digest;
use tokio::net::TcpListener;

/// What becomes of a request instead of its usual answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
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
    /// There is no answer.
    Stall,
}

/// A request as the registry saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) repository: String,
    pub(crate) reference: String,
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
    seen: Vec<Seen>,
}

/// The registry. It ends with its test.
pub(crate) struct Registry {
    /// Where it listens.
    pub(crate) host: String,
    shared: Arc<Shared>,
}

impl Registry {
    /// Starts one without faults.
    pub(crate) async fn start() -> Self {
        Self::with(|_, _| None).await
    }

    /// Starts one. `decide` is asked about each request, with the number of equal ones before it.
    pub(crate) async fn with(decide: impl Fn(&Seen, usize) -> Option<Fault> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared { inner: Mutex::default(), decide: Box::new(decide) });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { host, shared }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.shared.inner.lock().unwrap()
    }

    /// Stores a manifest, as a push by digest does.
    pub(crate) fn upload(&self, repository: &str, body: &str) -> Digest {
        let digest = Digest::of(body.as_bytes());
        let key = (repository.to_owned(), digest.to_string());
        let media_type = "application/vnd.oci.image.manifest.v1+json".to_owned();
        self.inner().manifests.insert(key, (media_type, body.as_bytes().to_vec()));
        digest
    }

    /// Points a tag to a digest.
    pub(crate) fn tag(&self, repository: &str, tag: &str, digest: &Digest) {
        self.inner().tags.insert((repository.to_owned(), tag.to_owned()), digest.to_string());
    }

    /// What a tag points to.
    pub(crate) fn tagged(&self, repository: &str, tag: &str) -> Option<Digest> {
        self.inner().tags.get(&(repository.to_owned(), tag.to_owned())).map(|digest| digest.parse().unwrap())
    }

    /// How many requests there were of this kind.
    pub(crate) fn count(&self, method: &Method) -> usize {
        self.inner().seen.iter().filter(|seen| seen.method == *method).count()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let Some((repository, reference)) = path.strip_prefix("/v2/").and_then(|rest| rest.split_once("/manifests/"))
    else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let seen = Seen { method: request.method().clone(), repository: repository.into(), reference: reference.into() };
    let media_type = request.headers().get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap().to_owned());
    let body = to_bytes(request.into_body(), 4 << 20).await.unwrap().to_vec();
    let before = {
        let mut inner = shared.inner.lock().unwrap();
        inner.seen.push(seen.clone());
        inner.seen.iter().filter(|one| **one == seen).count() - 1
    };
    let fault = (shared.decide)(&seen, before);
    match fault {
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::Status(status)) => return refusal(status, None),
        Some(Fault::Busy(status, seconds)) => return refusal(status, Some(seconds)),
        Some(Fault::Lost(_) | Fault::Silent | Fault::Lie) | None => {}
    }
    let mut inner = shared.inner.lock().unwrap();
    let usual = if seen.method == Method::PUT { put(&mut inner, &seen, media_type, body) } else { get(&inner, &seen) };
    match fault {
        Some(Fault::Lost(status)) => refusal(status, None),
        Some(Fault::Silent) => without_digest(usual),
        Some(Fault::Lie) => {
            let mut lie = without_digest(usual);
            let other = Digest::of(b"another image").to_string();
            lie.headers_mut().insert("docker-content-digest", other.parse().unwrap());
            lie
        }
        _ => usual,
    }
}

fn put(inner: &mut Inner, seen: &Seen, media_type: Option<String>, body: Vec<u8>) -> Response<Body> {
    let digest = Digest::of(&body).to_string();
    let is_digest = seen.reference.starts_with("sha256:");
    if (is_digest && seen.reference != digest)
        || media_type.is_none()
        || serde_json::from_slice::<serde_json::Value>(&body).is_err()
    {
        return refusal(400, None);
    }
    inner.manifests.insert((seen.repository.clone(), digest.clone()), (media_type.unwrap_or_default(), body));
    if !is_digest {
        inner.tags.insert((seen.repository.clone(), seen.reference.clone()), digest.clone());
    }
    Response::builder().status(201).header("docker-content-digest", digest).body(Body::empty()).unwrap()
}

fn get(inner: &Inner, seen: &Seen) -> Response<Body> {
    let key = (seen.repository.clone(), seen.reference.clone());
    let digest = inner.tags.get(&key).unwrap_or(&seen.reference).clone();
    let Some((media_type, body)) = inner.manifests.get(&(seen.repository.clone(), digest.clone())) else {
        return refusal(404, None);
    };
    let answer = Response::builder().header("docker-content-digest", digest).header(header::CONTENT_TYPE, media_type);
    answer.body(if seen.method == Method::HEAD { Body::empty() } else { Body::from(body.clone()) }).unwrap()
}

fn without_digest(mut answer: Response<Body>) -> Response<Body> {
    answer.headers_mut().remove("docker-content-digest");
    answer
}

fn refusal(status: u16, retry_after: Option<u64>) -> Response<Body> {
    let mut answer = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    if let Some(seconds) = retry_after {
        answer = answer.header(header::RETRY_AFTER, seconds);
    }
    answer.body(Body::from(r#"{"errors":[{"code":"TEST","message":"as the test wants"}]}"#)).unwrap()
}
