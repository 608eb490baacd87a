//! A server that stands in for a chat service: keeps every call, and lets calls go wrong as it is told.
//!
//! What a call does and what is wrong with it is for its [`Desk`] to say.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use super::fault::Fault;

/// A call as it came.
#[derive(Clone, Debug)]
pub struct Call {
    /// When.
    pub at: Instant,
    /// `POST`, `GET`…
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// The body, if it is JSON.
    pub body: Value,
    /// Bytes of the body.
    pub size: usize,
    /// The status that was answered; 0 where no answer went out.
    pub status: u16,
    /// What the call did wrong, whether or not it was found out by a [`Fault`] first.
    pub wrong: Vec<String>,
}

impl Call {
    /// A header's value, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: String,
    /// The header `Retry-After`.
    pub retry_after: Option<String>,
}

impl Answer {
    /// An answer.
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, body: body.into(), retry_after: None }
    }

    /// An answer to too many calls. Slack and Azure send whole seconds; tests have less time.
    pub fn too_many(body: impl Into<String>, seconds: Option<f64>) -> Self {
        Self { retry_after: seconds.map(|seconds| seconds.to_string()), ..Self::new(429, body) }
    }
}

/// Where the calls of one service are handled.
pub trait Desk: Send + Sync + 'static {
    /// What is wrong with a call.
    fn check(&self, call: &Call) -> Vec<String>;

    /// Does what a call wants, unless something is wrong with it, and answers.
    fn handle(&self, call: &Call) -> Answer;

    /// What the service says to too many calls. `body` is for those that name the seconds to wait in their body too.
    fn too_many(&self, call: &Call, body: Option<f64>, header: Option<f64>) -> Answer;
}

/// The server. It runs until it is dropped.
#[derive(Debug)]
pub struct Receiver<D> {
    address: SocketAddr,
    shared: Arc<Shared<D>>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared<D> {
    desk: D,
    calls: Mutex<Vec<Call>>,
    faults: Mutex<VecDeque<Fault>>,
    changed: watch::Sender<()>,
}

impl<D: Desk> Receiver<D> {
    /// Listens at `listen` (port 0 takes a free one).
    pub async fn start(listen: SocketAddr, desk: D) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (changed, _) = watch::channel(());
        let shared = Arc::new(Shared { desk, calls: Mutex::default(), faults: Mutex::default(), changed });
        let state = shared.clone();
        let app = Router::new().fallback(async move |method: axum::http::Method, uri: Uri, headers, body: Bytes| {
            let call = Call {
                at: Instant::now(),
                method: method.to_string(),
                path: uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
                headers,
                body: serde_json::from_slice(&body).unwrap_or_default(),
                size: body.len(),
                status: 0,
                wrong: Vec::new(),
            };
            state.answer(call).await
        });
        let server = tokio::spawn(async move {
            // Ends with the task: nobody asks how.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, shared, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the calls are handled.
    pub fn desk(&self) -> &D {
        &self.shared.desk
    }

    /// All calls, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.shared.calls).clone()
    }

    /// Lets the next calls meet these faults, one each.
    pub fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.shared.faults).extend(faults);
    }

    /// Lets the next calls go well again.
    pub fn heal(&self) {
        lock(&self.shared.faults).clear();
    }

    /// Tells when something changed: look at it, then wait for its next change.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.shared.changed.subscribe()
    }
}

impl<D> Drop for Receiver<D> {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl<D: Desk> Shared<D> {
    async fn answer(&self, mut call: Call) -> Response {
        call.wrong = self.desk.check(&call);
        let fault = lock(&self.faults).pop_front().unwrap_or(Fault::None);
        let (status, response) = match fault {
            Fault::Hang => {
                self.record(call);
                return std::future::pending().await;
            }
            Fault::ResetBefore => (0, broken()),
            Fault::Endless => (200, endless()),
            Fault::RateLimited { body, header } => (429, respond(self.desk.too_many(&call, body, header))),
            Fault::Answer(status, body) => (status, respond(Answer::new(status, body))),
            fault => {
                if let Fault::Slow(delay) = fault {
                    tokio::time::sleep(delay).await;
                }
                let answer = self.desk.handle(&call);
                if fault == Fault::ResetAfter { (0, broken()) } else { (answer.status, respond(answer)) }
            }
        };
        call.status = status;
        self.record(call);
        response
    }

    fn record(&self, call: Call) {
        lock(&self.calls).push(call);
        self.changed.send_replace(());
    }
}

/// A handler that panicked left nothing half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A parameter of a query, as sent.
pub(super) fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn respond(Answer { status, body, retry_after }: Answer) -> Response {
    let kind = match body.chars().next() {
        Some('<') => "text/html",
        Some('{') => "application/json",
        _ => "text/plain",
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
    if let Some(value) = retry_after.and_then(|value| value.parse().ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

/// An answer whose body goes on for as long as it is read.
pub(super) fn endless() -> Response {
    let chunk = Bytes::from(vec![b' '; 64 << 10]);
    Response::new(Body::from_stream(futures_util::stream::repeat(chunk).map(Ok::<_, io::Error>)))
}

/// An answer whose body breaks off, and the connection with it.
fn broken() -> Response {
    let error = futures_util::stream::once(async { Err::<Bytes, _>(io::Error::other("reset")) });
    Response::new(Body::from_stream(error))
}
