//! A Discord of one channel: takes webhook calls, rejects what Discord rejects, and shows the channel.
//!
//! It speaks API v10, and to addresses without a version the older v6 in which copied addresses are answered. What a
//! call must look like is in [`rules`]; [`Fault`]s that are queued up are what goes wrong next. Every call is kept
//! with its time. [`page`] draws the channel as a page, [`terminal`] as text.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use chrono::Utc;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

mod answers;
mod channel;
mod faults;
pub mod markdown;
pub mod page;
pub mod rules;
pub mod terminal;

pub use self::channel::Message;
pub use super::fault::Fault;

use self::{
    answers::{Outcome, error, json_answer, message_object, rate_limited, raw, rejected},
    channel::{Channel, Kind},
    rules::{Dialect, Rules},
};
use super::receiver::{broken, lock, parameter};

const WEBHOOK: &str = "1330000000000000001";
const TOKEN: &str = "local-demo-token-that-opens-nothing-0123456789abcdefghijklmnopqrstuv";
const CHANNEL: &str = "1330000000000000002";
const GUILD: &str = "1330000000000000003";

/// A call as it came.
#[derive(Clone, Debug)]
pub struct Call {
    /// When.
    pub at: Instant,
    /// `POST`, `PATCH`…
    pub method: String,
    /// Path without the token.
    pub path: String,
    /// Query, as sent.
    pub query: String,
    /// The body, if it is JSON.
    pub body: Value,
    /// The status that was answered; 0 where no answer went out.
    pub status: u16,
    /// What the call did wrong, whether or not it was found out by a [`Fault`] first.
    pub wrong: Vec<String>,
}

/// The receiver. It runs until it is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    rules: Rules,
    channel: Mutex<Channel>,
    changed: watch::Sender<()>,
}

impl Receiver {
    /// Listens at `listen` (port 0 takes a free one).
    pub async fn start(listen: SocketAddr) -> std::io::Result<Self> {
        let rules = Rules::new().map_err(std::io::Error::other)?;
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (changed, _) = watch::channel(());
        let shared = Arc::new(Shared { rules, channel: Mutex::default(), changed });
        let app = Router::new()
            .fallback(|| async { error(404, 0, "404: Not Found") })
            .route("/api/{version}/webhooks/{*rest}", axum::routing::any(versioned))
            .route("/api/webhooks/{*rest}", axum::routing::any(unversioned))
            .with_state(shared.clone());
        let server = tokio::spawn(async move {
            // Ends with the task: nobody asks how.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, shared, server })
    }

    /// The webhook's address at API v10.
    pub fn url(&self) -> String {
        self.url_at(&self.address.to_string())
    }

    /// The same by another name of this machine, `host:port`.
    pub fn url_at(&self, authority: &str) -> String {
        format!("http://{authority}/api/v10/webhooks/{WEBHOOK}/{TOKEN}")
    }

    /// The address as a client shows it: without a version.
    pub fn copied_url(&self) -> String {
        format!("http://{}/api/webhooks/{WEBHOOK}/{TOKEN}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The channel's messages, oldest first.
    pub fn messages(&self) -> Vec<Message> {
        self.shared.channel().messages.clone()
    }

    /// All calls, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.channel().calls.clone()
    }

    /// Lets the next calls meet these faults, one each.
    pub fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.channel().faults.extend(faults);
    }

    /// Allows at most `calls` in any `window`, as Discord does with 5 in 2 s.
    pub fn limit(&self, calls: usize, window: Duration) {
        self.shared.channel().limit = Some((calls, window));
    }

    /// Makes it a forum: every message needs a thread.
    pub fn become_forum(&self) {
        self.shared.channel().kind = Kind::Forum;
    }

    /// Deletes a message, as someone in the channel may.
    pub fn delete(&self, id: &str) {
        self.shared.channel().messages.retain(|message| message.id != id);
    }

    /// Tells when something changed: look at it, then wait for its next change.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.shared.changed.subscribe()
    }

    /// The channel as a page of its own.
    pub fn html(&self) -> String {
        page::page(&self.messages(), Utc::now())
    }

    /// The channel as text for a terminal.
    pub fn text(&self, paint: terminal::Paint) -> String {
        let now = Utc::now();
        let messages = self.messages();
        messages.iter().map(|message| terminal::message(message, now, paint)).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn channel(&self) -> MutexGuard<'_, Channel> {
        lock(&self.channel)
    }

    fn record(&self, call: Call) {
        self.channel().calls.push(call);
        self.changed.send_replace(());
    }
}

async fn versioned(
    State(shared): State<Arc<Shared>>,
    Path((version, rest)): Path<(String, String)>,
    method: Method,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let dialect = match version.strip_prefix('v').and_then(|number| number.parse::<u32>().ok()) {
        Some(8..=10) => Dialect::Current,
        Some(6 | 7) => Dialect::Old,
        _ => return error(400, 50041, "Invalid API version provided.").1,
    };
    answer(&shared, dialect, &method, &rest, query.unwrap_or_default(), &headers, &body).await
}

async fn unversioned(
    State(shared): State<Arc<Shared>>,
    Path(rest): Path<String>,
    method: Method,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&shared, Dialect::Old, &method, &rest, query.unwrap_or_default(), &headers, &body).await
}

async fn answer(
    shared: &Shared,
    dialect: Dialect,
    method: &Method,
    rest: &str,
    query: String,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let wrong = if body.is_empty() { Vec::new() } else { shared.rules.check(method, headers, &json) };
    let mut call = Call {
        at: Instant::now(),
        method: method.to_string(),
        path: rest.replace(TOKEN, "…"),
        query: query.clone(),
        body: json.clone(),
        status: 0,
        wrong: wrong.iter().map(ToString::to_string).collect(),
    };
    let fault = shared.channel().faults.pop_front().unwrap_or(Fault::None);
    let Outcome(status, response) = match fault {
        Fault::Hang => {
            shared.record(call);
            return std::future::pending().await;
        }
        Fault::ResetBefore => Outcome(0, broken()),
        Fault::RateLimited { body, header } => rate_limited(dialect, body, header),
        Fault::Answer(status, text) => Outcome(status, raw(status, text)),
        fault => {
            if let Fault::Slow(delay) = fault {
                tokio::time::sleep(delay).await;
            }
            let limited = shared.channel().over_limit(dialect);
            let outcome = match limited {
                Some(outcome) => outcome,
                None => shared.carry_out(dialect, method, rest, &query, &json, &wrong),
            };
            if fault == Fault::ResetAfter { Outcome(0, broken()) } else { outcome }
        }
    };
    call.status = status;
    shared.record(call);
    response
}

impl Shared {
    fn carry_out(
        &self,
        dialect: Dialect,
        method: &Method,
        rest: &str,
        query: &str,
        body: &Value,
        wrong: &[rules::Wrong],
    ) -> Outcome {
        let parts: Vec<&str> = rest.split('/').collect();
        let Some((&[WEBHOOK, token], parts)) = parts.split_first_chunk::<2>() else {
            return error(404, 10015, "Unknown Webhook");
        };
        if token != TOKEN {
            return error(401, 50027, "Invalid Webhook Token");
        }
        if wrong.iter().any(|wrong| wrong.is("USER_AGENT")) {
            return error(403, 40333, "internal network error");
        }
        let parameter = |name: &str| parameter(query, name);
        let thread = parameter("thread_id").map(str::to_owned);
        let mut channel = self.channel();
        let found = |channel: &Channel, id: &str| {
            channel.messages.iter().position(|message| message.id == id && message.thread == thread)
        };
        match (method.as_str(), parts) {
            ("GET", []) => json_answer(
                200,
                &json!({ "id": WEBHOOK, "type": 1, "name": "build-deploy",
                "channel_id": CHANNEL, "guild_id": GUILD, "avatar": null, "application_id": null }),
            ),
            ("POST", []) => {
                if !wrong.is_empty() {
                    return rejected(wrong, dialect);
                }
                let thread = match channel.thread_of(body, thread) {
                    Ok(thread) => thread,
                    Err(outcome) => return outcome,
                };
                let message = channel.post(body, thread);
                if matches!(parameter("wait"), Some("1" | "true" | "True")) {
                    json_answer(200, &message_object(&message))
                } else {
                    Outcome(204, StatusCode::NO_CONTENT.into_response())
                }
            }
            (method @ ("PATCH" | "GET" | "DELETE"), ["messages", id]) => {
                let Some(at) = found(&channel, id) else { return error(404, 10008, "Unknown Message") };
                if method == "DELETE" {
                    channel.messages.remove(at);
                    return Outcome(204, StatusCode::NO_CONTENT.into_response());
                }
                if method == "PATCH" {
                    if !wrong.is_empty() {
                        return rejected(wrong, dialect);
                    }
                    channel.edit(at, body);
                }
                json_answer(200, &message_object(&channel.messages[at]))
            }
            _ => error(405, 0, "405: Method Not Allowed"),
        }
    }
}
