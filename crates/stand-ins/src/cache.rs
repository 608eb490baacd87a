//! A stand-in for GitHub's cache service, version 2: the part that BuildKit speaks to.
//!
//! Written after the callers: `github.com/tonistiigi/go-actions-cache` (the service's Twirp methods and the claims of its
//! tokens) and `actions/toolkit`'s cache package; storage is Azure's block blobs, of which only
//! `Put Blob`, `Put Block`, `Put Block List` and `Get Blob` are used
//! (<https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api>).
//!
//! As on GitHub, entries belong to a branch: a job reads those of each scope in its token, in their order, by key and
//! then by prefix, the newest first; it writes into the scope that it may write; an entry is never overwritten.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{post, put},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

/// The service. It runs until it is dropped.
#[derive(Debug)]
pub struct CacheServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

/// A call as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `GetCacheEntryDownloadURL`, `CreateCacheEntry`, `FinalizeCacheEntryUpload`, `upload` or `download`.
    pub method: String,
    /// The entry's key.
    pub key: String,
    /// The status that was answered.
    pub status: u16,
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    /// What stands for the signature of all tokens and addresses.
    seal: String,
    store: Mutex<Store>,
}

#[derive(Debug, Default)]
struct Store {
    entries: Vec<Entry>,
    calls: Vec<Call>,
    fault: Option<StatusCode>,
}

#[derive(Debug)]
struct Entry {
    scope: String,
    key: String,
    version: String,
    blocks: HashMap<String, Bytes>,
    content: Vec<Bytes>,
    complete: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Grant {
    scope: String,
    permission: u32,
}

#[derive(Debug, Deserialize)]
struct Claims {
    ac: String,
}

#[derive(Debug, Deserialize)]
struct Lookup {
    key: String,
    #[serde(default)]
    restore_keys: Vec<String>,
    #[serde(default)]
    version: String,
}

#[derive(Debug, Deserialize)]
struct Finalization {
    key: String,
    #[serde(deserialize_with = "number")]
    size_bytes: usize,
    version: String,
}

/// 64-bit numbers may come as text, as Protobuf's JSON has them.
fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse().map_err(serde::de::Error::custom)
}

impl CacheServer {
    /// Listens at `listen` (port 0 takes a free one).
    pub async fn start(listen: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let seal = format!("{:032x}", rand::random::<u128>());
        let shared = Arc::new(Shared { address, seal, store: Mutex::default() });
        let app = Router::new()
            .route("/twirp/github.actions.results.api.v1.CacheService/{method}", post(service))
            .route("/blobs/{number}", put(upload).get(download))
            .layer(DefaultBodyLimit::disable())
            .with_state(shared.clone());
        let server = tokio::spawn(async move {
            // Ends with the task: nobody asks how.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, shared, server })
    }

    /// What `ACTIONS_RESULTS_URL` is to be.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// A token (`ACTIONS_RUNTIME_TOKEN`) that grants these scopes: full names of refs, and 1 to read, 3 to write too.
    pub fn token(&self, grants: &[(&str, u32)]) -> String {
        let grants: Vec<Value> =
            grants.iter().map(|(scope, permission)| json!({"Scope": scope, "Permission": permission})).collect();
        // Past and future enough for any clock.
        let claims = json!({"ac": Value::from(grants).to_string(), "nbf": 1_000_000_000_u64, "exp": 9_000_000_000_u64});
        let header = URL_SAFE_NO_PAD.encode(json!({"typ": "JWT", "alg": "HS256"}).to_string());
        format!("{header}.{}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()), self.shared.seal)
    }

    /// From now on every call is answered with this status; `None` ends it.
    pub fn fail(&self, status: Option<u16>) {
        self.shared.store().fault = status.and_then(|status| StatusCode::from_u16(status).ok());
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.store().calls.clone()
    }

    /// Scope and key of every entry that is complete.
    pub fn entries(&self) -> Vec<(String, String)> {
        let store = self.shared.store();
        let complete = store.entries.iter().filter(|entry| entry.complete);
        complete.map(|entry| (entry.scope.clone(), entry.key.clone())).collect()
    }
}

impl Drop for CacheServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a request's token grants; `None` if it is none of ours.
    fn grants(&self, headers: &HeaderMap) -> Option<Vec<Grant>> {
        let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
        let mut parts = token.split('.');
        let (_, payload, seal) = (parts.next()?, parts.next()?, parts.next()?);
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        serde_json::from_str(&claims.ac).ok().filter(|_| seal == self.seal)
    }

    fn blob(&self, number: usize) -> String {
        format!("http://{}/blobs/{number}?sv=2025-01-05&sig={}", self.address, self.seal)
    }
}

impl Store {
    fn record(&mut self, method: &str, key: &str, response: &Response) {
        let status = response.status().as_u16();
        self.calls.push(Call { method: method.to_owned(), key: key.to_owned(), status });
    }

    /// The entry that a job with these grants finds: in the order of its scopes the key itself, then the newest that
    /// begins with one of the other keys.
    fn find(&self, grants: &[Grant], lookup: &Lookup) -> Option<usize> {
        grants.iter().filter(|grant| grant.permission & 1 != 0).find_map(|grant| {
            let newest = |fits: &dyn Fn(&str) -> bool| {
                let visible = |entry: &Entry| {
                    entry.complete && entry.scope == grant.scope && entry.version == lookup.version && fits(&entry.key)
                };
                self.entries.iter().rposition(visible)
            };
            let prefixed = || lookup.restore_keys.iter().find_map(|prefix| newest(&|key| key.starts_with(prefix)));
            newest(&|key| key == lookup.key).or_else(prefixed)
        })
    }
}

async fn service(
    State(shared): State<Arc<Shared>>,
    Path(method): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let key = serde_json::from_slice::<Lookup>(&body).map(|lookup| lookup.key).unwrap_or_default();
    let mut store = shared.store();
    let response = match (store.fault, shared.grants(&headers)) {
        (Some(status), _) => twirp_error(status, "internal", "out of order"),
        (None, None) => twirp_error(StatusCode::UNAUTHORIZED, "unauthenticated", "no valid token"),
        (None, Some(grants)) => answer(&shared, &mut store, &method, &grants, &body),
    };
    store.record(&method, &key, &response);
    response
}

fn answer(shared: &Shared, store: &mut Store, method: &str, grants: &[Grant], body: &[u8]) -> Response {
    let malformed = || twirp_error(StatusCode::BAD_REQUEST, "malformed", "the body is not what the method takes");
    let writable = grants.iter().find(|grant| grant.permission & 2 != 0).map(|grant| grant.scope.clone());
    match method {
        "GetCacheEntryDownloadURL" => {
            let Ok(lookup) = serde_json::from_slice::<Lookup>(body) else { return malformed() };
            let found = store.find(grants, &lookup).and_then(|n| Some((n, store.entries.get(n)?.key.clone())));
            json_answer(&match found {
                Some((number, key)) => {
                    json!({"ok": true, "signed_download_url": shared.blob(number), "matched_key": key})
                }
                None => json!({"ok": false, "signed_download_url": "", "matched_key": ""}),
            })
        }
        "CreateCacheEntry" => {
            let Ok(Lookup { key, version, .. }) = serde_json::from_slice(body) else { return malformed() };
            let Some(scope) = writable else {
                let words = "cache write denied: token has no writable scopes";
                return twirp_error(StatusCode::FORBIDDEN, "permission_denied", words);
            };
            if store.entries.iter().any(|e| (&e.scope, &e.key, &e.version) == (&scope, &key, &version)) {
                let words = "cache entry with the same key, version, and scope already exists";
                return twirp_error(StatusCode::CONFLICT, "already_exists", words);
            }
            let (blocks, content) = (HashMap::new(), Vec::new());
            store.entries.push(Entry { scope, key, version, blocks, content, complete: false });
            json_answer(&json!({"ok": true, "signed_upload_url": shared.blob(store.entries.len() - 1)}))
        }
        "FinalizeCacheEntryUpload" => {
            let Ok(wanted) = serde_json::from_slice::<Finalization>(body) else { return malformed() };
            let fits =
                |e: &Entry| Some(&e.scope) == writable.as_ref() && e.key == wanted.key && e.version == wanted.version;
            let place = store.entries.iter().position(fits);
            let Some((number, entry)) = place.and_then(|place| Some((place, store.entries.get_mut(place)?))) else {
                return twirp_error(StatusCode::NOT_FOUND, "not_found", "there is no such entry");
            };
            if entry.content.iter().map(Bytes::len).sum::<usize>() != wanted.size_bytes {
                return twirp_error(StatusCode::BAD_REQUEST, "invalid_argument", "the size is another");
            }
            entry.complete = true;
            json_answer(&json!({"ok": true, "entry_id": number.to_string()}))
        }
        _ => twirp_error(StatusCode::NOT_FOUND, "bad_route", "no such method"),
    }
}

/// `Put Blob`, `Put Block` and `Put Block List`.
async fn upload(
    State(shared): State<Arc<Shared>>,
    Path(number): Path<usize>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut store = shared.store();
    let fault = store.fault;
    let Some(entry) = store.entries.get_mut(number).filter(|_| query.get("sig") == Some(&shared.seal)) else {
        return azure(StatusCode::FORBIDDEN, Vec::new());
    };
    let key = entry.key.clone();
    let status = match (fault, query.get("comp").map(String::as_str), query.get("blockid")) {
        (Some(status), ..) => status,
        (None, None, _) if headers.get("x-ms-blob-type").is_some_and(|kind| kind == "BlockBlob") => {
            entry.content = vec![body];
            StatusCode::CREATED
        }
        (None, Some("block"), Some(id)) => {
            entry.blocks.insert(id.clone(), body);
            StatusCode::CREATED
        }
        (None, Some("blocklist"), _) => {
            let list = String::from_utf8_lossy(&body).into_owned();
            let ids = list.split("<Latest>").skip(1).filter_map(|rest| rest.split("</Latest>").next());
            match ids.map(|id| entry.blocks.get(id).cloned()).collect::<Option<Vec<_>>>() {
                Some(content) => {
                    entry.content = content;
                    StatusCode::CREATED
                }
                None => StatusCode::BAD_REQUEST,
            }
        }
        _ => StatusCode::BAD_REQUEST,
    };
    let response = azure(status, Vec::new());
    store.record("upload", &key, &response);
    response
}

/// `Get Blob`.
async fn download(
    State(shared): State<Arc<Shared>>,
    Path(number): Path<usize>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let mut store = shared.store();
    let fault = store.fault;
    let entry = store.entries.get(number).filter(|entry| entry.complete && query.get("sig") == Some(&shared.seal));
    let Some(entry) = entry else { return azure(StatusCode::FORBIDDEN, Vec::new()) };
    let (key, content) = (entry.key.clone(), entry.content.concat());
    let range = headers.get("x-ms-range").or_else(|| headers.get(header::RANGE)).and_then(|value| value.to_str().ok());
    let from = range.and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse::<usize>().ok());
    let mut response = match (fault, from) {
        (Some(status), _) => azure(status, Vec::new()),
        (None, Some(from)) if from >= content.len() => azure(StatusCode::RANGE_NOT_SATISFIABLE, Vec::new()),
        (None, Some(from)) => {
            let told = format!("bytes {from}-{}/{}", content.len() - 1, content.len());
            let mut response = azure(StatusCode::PARTIAL_CONTENT, content.into_iter().skip(from).collect());
            if let Ok(told) = HeaderValue::try_from(told) {
                response.headers_mut().insert(header::CONTENT_RANGE, told);
            }
            response
        }
        (None, None) => azure(StatusCode::OK, content),
    };
    response.headers_mut().insert("x-ms-blob-type", HeaderValue::from_static("BlockBlob"));
    store.record("download", &key, &response);
    response
}

fn json_answer(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn twirp_error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, json_answer(&json!({"code": code, "msg": message}))).into_response()
}

/// An answer of Azure's storage, without whose request id callers of the service stumble.
fn azure(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [("x-ms-request-id", "1"), ("x-ms-version", "2025-01-05"), ("etag", "\"1\"")], body).into_response()
}
