//! A Discord of one channel: takes webhook calls, rejects what Discord rejects, and shows the channel.
//!
//! It speaks API v10, and to addresses without a version the older v6 in which copied addresses are answered. What a
//! call must look like is in [`rules`]. [`page`] draws the channel as a page, [`terminal`] as text.

use std::{io, net::SocketAddr, sync::Mutex, time::Duration};

use axum::http::Method;
use chrono::Utc;
use serde_json::json;

mod answers;
mod channel;
mod faults;
pub mod markdown;
pub mod page;
pub mod rules;
pub mod terminal;

pub use self::channel::Message;
pub use super::{fault::Fault, receiver::Call};

use self::{
    answers::{error, json_answer, message_object, rate_limited, rejected},
    channel::{Channel, Kind},
    rules::{Dialect, Rules, Wrong},
};
use super::receiver::{self, Answer, Desk, lock, parameter};

const WEBHOOK: &str = "1330000000000000001";
const TOKEN: &str = "local-demo-token-that-opens-nothing-0123456789abcdefghijklmnopqrstuv";
const CHANNEL: &str = "1330000000000000002";
const GUILD: &str = "1330000000000000003";

/// The receiver.
pub type Receiver = receiver::Receiver<Discord>;

/// The channel, and what calls must look like.
#[derive(Debug)]
pub struct Discord {
    rules: &'static Rules,
    channel: Mutex<Channel>,
}

impl Receiver {
    /// Listens at `listen` (port 0 takes a free one).
    pub async fn listen(listen: SocketAddr) -> io::Result<Self> {
        let rules = Rules::get().map_err(io::Error::other)?;
        Self::start(listen, Discord { rules, channel: Mutex::default() }).await
    }

    /// The webhook's address at API v10.
    pub fn url(&self) -> String {
        self.url_at(&self.address().to_string())
    }

    /// The same by another name of this machine, `host:port`.
    pub fn url_at(&self, authority: &str) -> String {
        format!("http://{authority}/api/v10/webhooks/{WEBHOOK}/{TOKEN}")
    }

    /// The address as a client shows it: without a version.
    pub fn copied_url(&self) -> String {
        format!("http://{}/api/webhooks/{WEBHOOK}/{TOKEN}", self.address())
    }

    /// The channel's messages, oldest first.
    pub fn messages(&self) -> Vec<Message> {
        lock(&self.desk().channel).messages.clone()
    }

    /// Allows at most `calls` in any `window`, as Discord does with 5 in 2 s.
    pub fn limit(&self, calls: usize, window: Duration) {
        lock(&self.desk().channel).limit = Some((calls, window));
    }

    /// Makes it a forum: every message needs a thread.
    pub fn become_forum(&self) {
        lock(&self.desk().channel).kind = Kind::Forum;
    }

    /// Deletes a message, as someone in the channel may.
    pub fn delete(&self, id: &str) {
        lock(&self.desk().channel).messages.retain(|message| message.id != id);
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

impl Desk for Discord {
    fn check(&self, call: &Call) -> Vec<String> {
        self.wrong(call).iter().map(ToString::to_string).collect()
    }

    fn handle(&self, call: &Call) -> Answer {
        let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
        let Some((version, rest)) = path.strip_prefix("/api/").and_then(|path| path.split_once("webhooks/")) else {
            return error(404, 0, "404: Not Found");
        };
        let Some(dialect) = dialect(version) else { return error(400, 50041, "Invalid API version provided.") };
        let limited = lock(&self.channel).over_limit(dialect);
        limited.unwrap_or_else(|| self.carry_out(call, dialect, rest, query))
    }

    fn too_many(&self, call: &Call, body: Option<f64>, header: Option<f64>) -> Answer {
        let version = call.path.trim_start_matches("/api/").split("webhooks/").next().unwrap_or_default();
        rate_limited(dialect(version).unwrap_or(Dialect::Current), body, header)
    }
}

/// What is spoken at `/api/v10/` and `/api/`.
fn dialect(version: &str) -> Option<Dialect> {
    match version.trim_end_matches('/') {
        "" | "v6" | "v7" => Some(Dialect::Old),
        "v8" | "v9" | "v10" => Some(Dialect::Current),
        _ => None,
    }
}

impl Discord {
    fn wrong(&self, call: &Call) -> Vec<Wrong> {
        if call.size == 0 {
            return Vec::new();
        }
        let method = Method::from_bytes(call.method.as_bytes()).unwrap_or_default();
        self.rules.check(&method, &call.headers, &call.body)
    }

    fn carry_out(&self, call: &Call, dialect: Dialect, rest: &str, query: &str) -> Answer {
        let (wrong, body) = (self.wrong(call), &call.body);
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
        let mut channel = lock(&self.channel);
        let found = |channel: &Channel, id: &str| {
            channel.messages.iter().position(|message| message.id == id && message.thread == thread)
        };
        match (call.method.as_str(), parts) {
            ("GET", []) => json_answer(
                200,
                &json!({ "id": WEBHOOK, "type": 1, "name": "build-deploy",
                "channel_id": CHANNEL, "guild_id": GUILD, "avatar": null, "application_id": null }),
            ),
            ("POST", []) => {
                if !wrong.is_empty() {
                    return rejected(&wrong, dialect);
                }
                let thread = match channel.thread_of(body, thread) {
                    Ok(thread) => thread,
                    Err(answer) => return answer,
                };
                let message = channel.post(body, thread);
                if matches!(parameter("wait"), Some("1" | "true" | "True")) {
                    json_answer(200, &message_object(&message))
                } else {
                    Answer::new(204, "")
                }
            }
            (method @ ("PATCH" | "GET" | "DELETE"), ["messages", id]) => {
                let Some(at) = found(&channel, id) else { return error(404, 10008, "Unknown Message") };
                if method == "DELETE" {
                    channel.messages.remove(at);
                    return Answer::new(204, "");
                }
                if method == "PATCH" {
                    if !wrong.is_empty() {
                        return rejected(&wrong, dialect);
                    }
                    channel.edit(at, body);
                }
                json_answer(200, &message_object(&channel.messages[at]))
            }
            _ => error(405, 0, "405: Method Not Allowed"),
        }
    }
}
