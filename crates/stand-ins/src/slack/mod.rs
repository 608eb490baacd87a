//! A Slack of one channel: incoming webhooks and the methods of the Web API that a bot needs to post, edit and read its
//! messages. Refuses what Slack refuses, in Slack's words: a webhook answers in plain text, a method says 200 to
//! everything and the rest in its body.

pub mod mrkdwn;
pub mod page;
pub mod rules;

use std::{io, net::SocketAddr, sync::Mutex};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use self::rules::Kind;
use super::receiver::{self, Answer, Call, Desk, lock, parameter};

/// The channel's id.
pub const CHANNEL: &str = "C024BE91L";
/// Its name.
pub const NAME: &str = "deploys";
/// The token that may post in it.
pub const TOKEN: &str = "xoxb-local-demo-token-that-opens-nothing";
const HOOK: &str = "/services/T00000000/B00000000/local-demo-secret-that-opens-nothing";

/// The receiver.
pub type Receiver = receiver::Receiver<Slack>;

/// A message as the channel has it.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its id.
    pub ts: String,
    /// When it came.
    pub at: DateTime<Utc>,
    /// Whether it was edited.
    pub edited: bool,
    /// The message that it answers, if it is in a thread.
    pub thread: Option<String>,
    /// What it says now.
    pub body: Value,
}

impl Message {
    /// The bar's colour, or nothing.
    pub fn color(&self) -> &str {
        self.body.pointer("/attachments/0/color").and_then(Value::as_str).unwrap_or_default()
    }
}

/// What the token may do beside writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Nothing: `chat:write` only.
    #[default]
    Write,
    /// Read the channel too.
    Read,
}

/// The channel.
#[derive(Debug, Default)]
pub struct Slack {
    messages: Mutex<Vec<Message>>,
    scope: Scope,
}

impl Slack {
    /// The messages, oldest first.
    pub fn messages(&self) -> Vec<Message> {
        lock(&self.messages).clone()
    }

    /// Deletes a message, as someone in the channel may.
    pub fn delete(&self, ts: &str) {
        lock(&self.messages).retain(|message| message.ts != ts);
    }

    /// The channel as a page of its own.
    pub fn html(&self) -> String {
        page::page(&self.messages())
    }

    fn post(&self, body: &Value) -> Message {
        let mut messages = lock(&self.messages);
        let at = Utc::now();
        // An id is unique in its channel: microseconds, and one more than the last if they are the same.
        let last = messages.last().map_or(0, |message| micros(&message.ts));
        let id = at.timestamp_micros().max(last + 1);
        let thread = body.get("thread_ts").and_then(Value::as_str).map(str::to_owned);
        let ts = format!("{}.{:06}", id / 1_000_000, id % 1_000_000);
        let message = Message { ts, at, edited: false, thread, body: body.clone() };
        messages.push(message.clone());
        message
    }

    fn method(&self, call: &Call, method: &str) -> Result<Value, &'static str> {
        let token = call.header("authorization").strip_prefix("Bearer ").ok_or("not_authed")?;
        if token != TOKEN {
            return Err("invalid_auth");
        }
        if method == "conversations.history" {
            return self.history(call);
        }
        let kind = if method == "chat.update" { Kind::Update } else { Kind::Post };
        if !call.header("content-type").starts_with("application/json") {
            return Err("invalid_form_data");
        }
        if let Some((_, error)) = rules::check(&call.body, kind).into_iter().next() {
            return Err(error);
        }
        let text = |key: &str| call.body.get(key).and_then(Value::as_str).unwrap_or_default();
        match (kind, text("channel").trim_start_matches('#')) {
            (Kind::Post, CHANNEL | NAME) => {
                let message = self.post(&call.body);
                Ok(json!({ "ok": true, "channel": CHANNEL, "ts": message.ts, "message": {} }))
            }
            // Names are for posting only.
            (Kind::Update, CHANNEL) => {
                let mut messages = lock(&self.messages);
                let message = messages.iter_mut().find(|message| message.ts == text("ts"));
                let message = message.ok_or("message_not_found")?;
                message.body = call.body.clone();
                message.edited = true;
                Ok(json!({ "ok": true, "channel": CHANNEL, "ts": message.ts, "text": text("text") }))
            }
            _ => Err("channel_not_found"),
        }
    }

    fn history(&self, call: &Call) -> Result<Value, &'static str> {
        if self.scope == Scope::Write {
            return Err("missing_scope");
        }
        let query = call.path.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let parameter = |name: &str| parameter(query, name);
        if parameter("channel") != Some(CHANNEL) {
            return Err("channel_not_found");
        }
        let (oldest, latest) = (parameter("oldest").unwrap_or("0"), parameter("latest").unwrap_or("9999999999.0"));
        let range = micros(oldest)..=micros(latest);
        let found: Vec<Value> = lock(&self.messages)
            .iter()
            .filter(|message| range.contains(&micros(&message.ts)))
            .map(|message| json!({ "ts": message.ts, "attachments": message.body["attachments"] }))
            .collect();
        Ok(json!({ "ok": true, "messages": found }))
    }
}

impl Desk for Slack {
    fn check(&self, call: &Call) -> Vec<String> {
        let kind = match call.path.split('?').next() {
            Some("/api/chat.postMessage") => Kind::Post,
            Some("/api/chat.update") => Kind::Update,
            Some(HOOK) => Kind::Webhook,
            _ => return Vec::new(),
        };
        rules::check(&call.body, kind).into_iter().map(|(what, error)| format!("{what} ({error})")).collect()
    }

    fn handle(&self, call: &Call) -> Answer {
        let path = call.path.split('?').next().unwrap_or_default();
        match path.strip_prefix("/api/") {
            Some(method @ ("chat.postMessage" | "chat.update" | "conversations.history")) => {
                let answer = self.method(call, method);
                let body = answer.unwrap_or_else(|error| json!({ "ok": false, "error": error }));
                Answer::new(200, body.to_string())
            }
            Some(_) => Answer::new(200, json!({ "ok": false, "error": "unknown_method" }).to_string()),
            None if path == HOOK => {
                if let Some((_, error)) = rules::check(&call.body, Kind::Webhook).into_iter().next() {
                    return Answer::new(400, error);
                }
                self.post(&call.body);
                Answer::new(200, "ok")
            }
            None => Answer::new(404, "no_service"),
        }
    }

    fn too_many(&self, call: &Call, _body: Option<f64>, header: Option<f64>) -> Answer {
        let body = if call.path.starts_with("/api/") {
            json!({ "ok": false, "error": "ratelimited" }).to_string()
        } else {
            "rate_limited".to_owned()
        };
        Answer::too_many(body, header)
    }
}

impl Receiver {
    /// Listens at `listen` (port 0 takes a free one), with a token of this scope.
    pub async fn listen(listen: SocketAddr, scope: Scope) -> io::Result<Self> {
        Self::start(listen, Slack { scope, ..Slack::default() }).await
    }

    /// The webhook's address.
    pub fn webhook(&self) -> String {
        format!("http://{}{HOOK}", self.address())
    }

    /// The API's address.
    pub fn api(&self) -> String {
        format!("http://{}/api", self.address())
    }
}

fn micros(ts: &str) -> i64 {
    let (seconds, rest) = ts.split_once('.').unwrap_or((ts, "0"));
    let number = |text: &str| text.parse::<i64>().unwrap_or_default();
    number(seconds) * 1_000_000 + number(rest)
}
