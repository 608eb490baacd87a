//! A proxy before the registry without logins, on which things go wrong as a test wants.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use build_deploy::http::builder;
use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::lab;

/// What becomes of a request.
pub(crate) enum Fate {
    /// It is answered by the registry.
    Pass,
    /// It is answered by the registry, but for another path.
    Instead(String),
    /// It is answered by the registry, which does not name a digest.
    Unnamed,
    /// It is answered with this status; an overloaded server also says when to come back.
    Answer(StatusCode),
    /// The connection breaks.
    Break,
}

/// A request as the proxy saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
}

impl Seen {
    /// Whether it is about a manifest.
    pub(crate) fn is_manifest(&self) -> bool {
        self.path.contains("/manifests/")
    }
}

/// The proxy. It ends with its test.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) host: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Proxy {
    /// Starts it. `fate` decides about each request, knowing those before it.
    pub(crate) async fn start(fate: impl Fn(&Seen, &[Seen]) -> Fate + Send + Sync + 'static) -> Self {
        let address: SocketAddr = format!("{}:0", lab::var("LAB_ADDR")).parse().unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let upstream = builder().no_proxy().build().unwrap();
        let (fate, shared) = (Arc::new(fate), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (fate, seen, upstream) = (Arc::clone(&fate), Arc::clone(&shared), upstream.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (fate, seen, upstream) = (Arc::clone(&fate), Arc::clone(&seen), upstream.clone());
                    async move {
                        let asked = Seen { method: request.method().clone(), path: request.uri().path().to_owned() };
                        let decided = {
                            let mut seen = seen.lock().unwrap();
                            let decided = fate(&asked, &seen);
                            seen.push(asked);
                            decided
                        };
                        match decided {
                            Fate::Break => Err(io::Error::other("as the test wants")),
                            Fate::Answer(status) => Ok(refusal(status)),
                            Fate::Pass => Ok(forward(&upstream, request, None).await.unwrap()),
                            Fate::Unnamed => {
                                let mut answer = forward(&upstream, request, None).await.unwrap();
                                answer.headers_mut().remove("docker-content-digest");
                                Ok(answer)
                            }
                            Fate::Instead(path) => Ok(forward(&upstream, request, Some(path)).await.unwrap()),
                        }
                    }
                });
                tokio::spawn(async move {
                    // A connection that breaks is what some tests are about.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { host, seen }
    }

    /// How many requests there were of this kind.
    pub(crate) fn count(&self, kind: impl Fn(&Seen) -> bool) -> usize {
        self.seen.lock().unwrap().iter().filter(|seen| kind(seen)).count()
    }
}

fn refusal(status: StatusCode) -> Response<Full<Bytes>> {
    let body = r#"{"errors":[{"code":"UNAVAILABLE","message":"as the test wants"}]}"#;
    Response::builder()
        .status(status)
        .header(header::RETRY_AFTER, "1")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(body))
        .unwrap()
}

/// Keeps the host, which the registry puts into the addresses that it hands out.
async fn forward(
    upstream: &reqwest::Client,
    request: Request<Incoming>,
    path: Option<String>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let wanted = path.unwrap_or_else(|| parts.uri.path_and_query().unwrap().to_string());
    let body = body.collect().await.unwrap().to_bytes();
    let hop: [HeaderName; 3] = [header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH];
    let mut out = upstream.request(parts.method.clone(), format!("http://{}{wanted}", lab::plain()));
    for (name, value) in parts.headers.iter().filter(|(name, _)| !hop.contains(name)) {
        out = out.header(name, value);
    }
    let answer = out.body(body).send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    // A HEAD's length is of a body that does not come.
    let is_head = parts.method == Method::HEAD;
    for (name, value) in answer.headers() {
        if !hop.contains(name) || (is_head && name == header::CONTENT_LENGTH) {
            response = response.header(name, value);
        }
    }
    Ok(response.body(Full::from(answer.bytes().await.unwrap())).unwrap())
}
