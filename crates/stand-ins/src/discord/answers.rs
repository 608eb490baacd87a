//! The answers that Discord gives.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    CHANNEL, Message, WEBHOOK,
    rules::{self, Dialect},
};
use crate::receiver::Answer;

pub(super) fn message_object(message: &Message) -> Value {
    json!({
        "id": message.id,
        "channel_id": message.thread.as_deref().unwrap_or(CHANNEL),
        "webhook_id": WEBHOOK,
        "type": 0,
        "timestamp": message.at.to_rfc3339(),
        "edited_timestamp": message.edited.map(|at| at.to_rfc3339()),
        "author": { "id": WEBHOOK, "username": message.author, "bot": true },
        "content": message.body.get("content").cloned().unwrap_or_else(|| json!("")),
        "embeds": message.body.get("embeds").cloned().unwrap_or_else(|| json!([])),
    })
}

pub(super) fn rate_limited(dialect: Dialect, body: Option<f64>, header: Option<f64>) -> Answer {
    let seconds = |time: f64| match dialect {
        Dialect::Current => json!(time),
        Dialect::Old => json!(Duration::from_secs_f64(time).as_millis().max(1)),
    };
    let json = match body {
        Some(time) => {
            json!({ "message": "You are being rate limited.", "retry_after": seconds(time), "global": false })
        }
        None => json!({ "code": 0, "message": "You are being blocked from accessing our API temporarily." }),
    };
    Answer { retry_after: header.map(|time| seconds(time).to_string()), ..json_answer(429, &json) }
}

pub(super) fn rejected(wrong: &[rules::Wrong], dialect: Dialect) -> Answer {
    if wrong.iter().any(|wrong| wrong.is("EMPTY_MESSAGE")) {
        return error(400, 50006, "Cannot send an empty message");
    }
    json_answer(400, &rules::form_errors(wrong, dialect))
}

pub(super) fn error(status: u16, code: u32, message: &str) -> Answer {
    json_answer(status, &json!({ "code": code, "message": message }))
}

pub(super) fn json_answer(status: u16, body: &Value) -> Answer {
    Answer::new(status, body.to_string())
}
