//! A Discord of one channel: takes webhook calls, rejects what Discord rejects, and shows the channel.
//!
//! It speaks API v10, and to addresses without a version the older v6 in which copied addresses are answered. What a
//! call must look like is in [`rules`]; [`Fault`]s that are queued up are what goes wrong next. Every call is kept
//! with its time. [`page`] draws the channel as a page, [`terminal`] as text.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

mod answers;
mod fault;
pub mod markdown;
pub mod page;
pub mod rules;
pub mod terminal;

pub use self::fault::Fault;

use self::{
    answers::{Outcome, broken, error, json_answer, message_object, rate_limited, raw, rejected},
    rules::{Dialect, Rules},
};

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

/// A message as the channel has it.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// Who it is from.
    pub author: String,
    /// The author's picture, if it brought one.
    pub avatar_url: Option<String>,
    /// When it came.
    pub at: DateTime<Utc>,
    /// Whether it was edited.
    pub edited: Option<DateTime<Utc>>,
    /// The thread it is in.
    pub thread: Option<String>,
    /// Text and embeds, now.
    pub body: Value,
}

impl Message {
    /// The first embed.
    pub fn embed(&self) -> &Value {
        self.body.pointer("/embeds/0").unwrap_or(&Value::Null)
    }
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

#[derive(Debug, Default)]
struct Channel {
    messages: Vec<Message>,
    calls: Vec<Call>,
    faults: VecDeque<Fault>,
    limit: Option<(usize, Duration)>,
    last_id: u64,
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
        // A handler that panicked left nothing half done.
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
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
        let parameter = |name: &str| {
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value)
        };
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
                let message = channel.post(body, thread.clone());
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

impl Channel {
    fn post(&mut self, body: &Value, thread: Option<String>) -> Message {
        let now = Utc::now();
        // Milliseconds since Discord's epoch, then a counter.
        let id = u64::try_from(now.timestamp_millis() - 1_420_070_400_000).unwrap_or_default() << 22;
        self.last_id = id.max(self.last_id + 1);
        let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
        let message = Message {
            id: self.last_id.to_string(),
            author: text("username").unwrap_or_else(|| "build-deploy".to_owned()),
            avatar_url: text("avatar_url"),
            at: now,
            edited: None,
            thread,
            body: body.clone(),
        };
        self.messages.push(message.clone());
        message
    }

    fn edit(&mut self, at: usize, body: &Value) {
        let message = &mut self.messages[at];
        for (key, value) in body.as_object().into_iter().flatten() {
            message.body[key] = value.clone();
        }
        message.edited = Some(Utc::now());
    }

    /// 429 if too many calls of the window that ends now were let through.
    fn over_limit(&self, dialect: Dialect) -> Option<Outcome> {
        let (limit, window) = self.limit?;
        let mut recent: Vec<_> = self.calls.iter().filter(|c| c.status != 429 && c.at.elapsed() < window).collect();
        recent.sort_by_key(|call| call.at);
        let oldest = recent.len().checked_sub(limit).and_then(|at| recent.get(at))?;
        let left = window.saturating_sub(oldest.at.elapsed()).as_secs_f64();
        Some(rate_limited(dialect, Some(left), Some(left.ceil())))
    }
}
