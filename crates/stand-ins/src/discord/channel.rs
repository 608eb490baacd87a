//! The channel itself: its messages, and what it makes of new ones.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    answers::{error, rate_limited},
    rules::Dialect,
};
use crate::receiver::Answer;

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

/// What messages a channel takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any.
    #[default]
    Text,
    /// Those of threads only.
    Forum,
}

/// A channel.
#[derive(Debug, Default)]
pub(super) struct Channel {
    pub(super) messages: Vec<Message>,
    /// When calls were let through.
    let_through: Vec<Instant>,
    pub(super) limit: Option<(usize, Duration)>,
    pub(super) kind: Kind,
    last_id: u64,
}

impl Channel {
    pub(super) fn post(&mut self, body: &Value, thread: Option<String>) -> Message {
        let now = Utc::now();
        self.last_id = self.next_id();
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

    /// The thread that a new message goes into.
    pub(super) fn thread_of(&self, body: &Value, wanted: Option<String>) -> Result<Option<String>, Answer> {
        match (self.kind, body.get("thread_name"), wanted) {
            (Kind::Forum, Some(_), Some(_)) => {
                let message = "Webhooks posted to forum channels cannot have both a thread_name and thread_id";
                Err(error(400, 220_002, message))
            }
            (Kind::Forum, None, None) => {
                let message = "Webhooks posted to forum channels must have a thread_name or thread_id";
                Err(error(400, 220_001, message))
            }
            (Kind::Text, Some(_), _) => Err(error(400, 220_003, "Webhooks can only create threads in forum channels")),
            (Kind::Forum, Some(_), None) => Ok(Some(self.next_id().to_string())),
            (_, None, thread) => Ok(thread),
        }
    }

    /// Milliseconds since Discord's epoch, then a counter.
    fn next_id(&self) -> u64 {
        let id = u64::try_from(Utc::now().timestamp_millis() - 1_420_070_400_000).unwrap_or_default() << 22;
        id.max(self.last_id + 1)
    }

    pub(super) fn edit(&mut self, at: usize, body: &Value) {
        let message = &mut self.messages[at];
        for (key, value) in body.as_object().into_iter().flatten() {
            message.body[key] = value.clone();
        }
        message.edited = Some(Utc::now());
    }

    /// 429 if too many calls of the window that ends now were let through; else this one is.
    pub(super) fn over_limit(&mut self, dialect: Dialect) -> Option<Answer> {
        if let Some((limit, window)) = self.limit {
            self.let_through.retain(|at| at.elapsed() < window);
            let oldest = self.let_through.len().checked_sub(limit).and_then(|at| self.let_through.get(at));
            if let Some(oldest) = oldest {
                let left = window.saturating_sub(oldest.elapsed()).as_secs_f64();
                return Some(rate_limited(dialect, Some(left), Some(left.ceil())));
            }
        }
        self.let_through.push(Instant::now());
        None
    }
}
