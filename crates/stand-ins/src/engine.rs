//! A Docker engine with BuildKit inside, on a Unix socket: the calls of both that the action uses, without containers.
//!
//! It refuses what a real one refuses and uses its words. A Dockerfile is executed by [`shell`], which knows a few
//! commands; files, secrets and credentials come through the session of the caller, as they do for BuildKit; images are
//! small manifests that go to a registry over HTTP. What goes wrong is decided by a function that is asked about each
//! call and each step ([`Seen`], [`Fault`]).

mod api;
mod build;
mod content;
mod control;
mod dockerfile;
mod errors;
mod export;
mod files;
mod gateway;
mod job;
mod push;
mod session;
mod shell;
mod state;

use std::{fmt, io, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version, header};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{net::UnixListener, task::JoinHandle};
use tonic::body::Body;
use tower::Service as _;

use self::state::State;
pub use self::state::{Build, BuildEnd};

/// Where an engine keeps its images, and who pushes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// In containerd: BuildKit pushes.
    Containerd,
    /// In the classic store: BuildKit cannot push, the engine can.
    Classic,
}

/// What kind of engine it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Its image store.
    pub store: Store,
    /// Its version.
    pub version: String,
    /// The newest version of its API.
    pub api: String,
    /// The version of its BuildKit, if that tells it.
    pub buildkit: Option<String>,
    /// How often the caller's sessions are asked whether they live.
    pub health: Duration,
    /// Whether it has the paths `/grpc` and `/session`. It serves gRPC on its socket in any case.
    pub upgrades: bool,
}

impl Setup {
    /// A present engine with the containerd image store.
    pub fn containerd() -> Self {
        Self {
            store: Store::Containerd,
            version: "29.0.0".to_owned(),
            api: "1.52".to_owned(),
            buildkit: Some("v0.25.2".to_owned()),
            health: Duration::from_secs(5),
            upgrades: true,
        }
    }

    /// A future engine, without the paths that version 1.53 of the API deprecates.
    pub fn future() -> Self {
        Self { version: "30.0.0".to_owned(), api: "1.60".to_owned(), upgrades: false, ..Self::containerd() }
    }

    /// The same with the classic image store.
    pub fn classic() -> Self {
        Self { store: Store::Classic, ..Self::containerd() }
    }

    /// Docker 20.10.
    pub fn old() -> Self {
        Self { version: "20.10.24".to_owned(), api: "1.41".to_owned(), buildkit: None, ..Self::classic() }
    }
}

/// What happens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A call of the engine's API; the path is without its version.
    Call {
        /// `GET`, `POST`…
        method: Method,
        /// The path, such as `/auth`.
        path: String,
    },
    /// A call of BuildKit's API, such as `Solve`.
    Rpc(&'static str),
    /// A step of a Dockerfile is executed.
    Step(String),
    /// An image is pushed to this repository.
    Push(String),
}

impl Seen {
    /// A call of the engine's API.
    pub fn call(method: Method, path: &str) -> Self {
        Self::Call { method, path: path.to_owned() }
    }
}

/// What goes wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The engine's API answers with this status and message.
    Answer(u16, String),
    /// BuildKit fails with this message.
    Fail(String),
    /// Nothing happens any more.
    Stall,
    /// The connection of the caller's session breaks.
    EndSession,
    /// Every connection breaks: the engine has ended.
    End,
}

type Decide = dyn Fn(&Seen, usize) -> Option<Fault> + Send + Sync;

/// The engine. It runs until it is dropped.
pub struct Engine {
    state: Arc<State>,
    server: JoinHandle<()>,
}

impl Engine {
    /// Listens on a new socket at `path`, without faults.
    pub fn start(path: &Path, setup: Setup) -> io::Result<Self> {
        Self::with(path, setup, |_, _| None)
    }

    /// The same. `decide` is asked about everything that happens, with the number of equal things before it.
    pub fn with(
        path: &Path,
        setup: Setup,
        decide: impl Fn(&Seen, usize) -> Option<Fault> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        let state = Arc::new(State::new(setup, Box::new(decide)));
        let accepting = state.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = accepting.clone();
                let service = service_fn(move |request| any(state.clone(), request));
                accepting.spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    // A caller that goes away is what some tests are about.
                    let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { state, server })
    }

    /// All builds, oldest first.
    pub fn builds(&self) -> Vec<Build> {
        self.state.builds()
    }

    /// Names in the image store.
    pub fn images(&self) -> Vec<String> {
        self.state.images()
    }

    /// How many things happened that `kind` fits.
    pub fn count(&self, kind: impl Fn(&Seen) -> bool) -> usize {
        self.state.seen().iter().filter(|seen| kind(seen)).count()
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        self.state.sessions.count()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.server.abort();
        self.state.break_connections();
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

type Answer = Response<Full<Bytes>>;

/// Serves gRPC over HTTP/2, and the engine's API over HTTP/1.1.
async fn any(state: Arc<State>, request: Request<Incoming>) -> io::Result<Response<Body>> {
    if request.version() == Version::HTTP_2 {
        return match control::routes(&state).call(request).await {
            Ok(answer) => Ok(answer.map(Body::new)),
            Err(never) => match never {},
        };
    }
    Ok(serve(state, request).await?.map(Body::new))
}

async fn serve(state: Arc<State>, request: Request<Incoming>) -> io::Result<Answer> {
    let path = unversioned(request.uri().path()).to_owned();
    match state.fault(&Seen::Call { method: request.method().clone(), path: path.clone() }) {
        None => {}
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::Answer(status, message)) => return Ok(api::refusal(status, &message)),
        Some(Fault::Fail(_) | Fault::EndSession | Fault::End) => return Err(io::Error::other("as the test wants")),
    }
    match (request.method(), path.as_str()) {
        (&Method::POST, "/grpc" | "/session") if state.setup.upgrades => Ok(upgrade(&state, &path, request)),
        _ => Ok(api::answer(&state, &path, request).await),
    }
}

/// `/v1.52/info` is `/info`.
fn unversioned(path: &str) -> &str {
    let version = path.strip_prefix("/v1.").and_then(|rest| rest.split_once('/'));
    match version {
        Some((minor, rest)) if minor.bytes().all(|byte| byte.is_ascii_digit()) => &path[path.len() - rest.len() - 1..],
        _ => path,
    }
}

/// Hands out a raw stream of HTTP/2: one on which we are the server (`/grpc`), or one on which the caller is.
fn upgrade(state: &Arc<State>, path: &str, mut request: Request<Incoming>) -> Answer {
    let named = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !named(header::CONNECTION).eq_ignore_ascii_case("upgrade") || named(header::UPGRADE) != "h2c" {
        return api::refusal(400, "no upgrade to h2c");
    }
    let offer = (path == "/session").then(|| session::Offer::of_headers(request.headers()));
    let upgraded = hyper::upgrade::on(&mut request);
    let owner = state.clone();
    state.spawn(async move {
        let Ok(stream) = upgraded.await else { return };
        match offer {
            Some(offer) => owner.sessions.serve(offer, TokioIo::new(stream), owner.setup.health).await,
            None => control::serve(owner, stream).await,
        }
    });
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let (connection, protocol) = (header::HeaderValue::from_static("Upgrade"), header::HeaderValue::from_static("h2c"));
    answer.headers_mut().extend([(header::CONNECTION, connection), (header::UPGRADE, protocol)]);
    answer
}

#[cfg(test)]
mod tests {
    use super::unversioned;

    #[test]
    fn versions_are_cut_off() {
        assert_eq!(unversioned("/v1.52/images/x/push"), "/images/x/push");
        assert_eq!(unversioned("/version"), "/version");
        assert_eq!(unversioned("/v1.x/info"), "/v1.x/info");
    }
}
