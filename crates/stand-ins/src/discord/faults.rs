//! What Discord says when something goes wrong with a call.

use serde_json::json;

use super::rules::{self, Dialect};
use crate::fault::Fault;

impl Fault {
    /// An error as Discord's API gives it.
    pub fn error(status: u16, code: u32, message: &str) -> Self {
        Self::Answer(status, json!({ "code": code, "message": message }).to_string())
    }

    /// 404 of a webhook that was deleted.
    pub fn unknown_webhook() -> Self {
        Self::error(404, 10015, "Unknown Webhook")
    }

    /// 404 of a message that was deleted.
    pub fn unknown_message() -> Self {
        Self::error(404, 10008, "Unknown Message")
    }

    /// 429 of a message that is more than an hour old.
    pub fn edits_exhausted(retry_after: f64) -> Self {
        let message = "Maximum number of edits to messages older than 1 hour reached. Try again later.";
        Self::Answer(429, json!({ "code": 30046, "message": message, "retry_after": retry_after }).to_string())
    }

    /// 400 that names one field.
    pub fn invalid(path: &[&str]) -> Self {
        let wrong = rules::Wrong::new(path.iter().map(|part| (*part).to_owned()), "INVALID", "is not accepted");
        Self::Answer(400, rules::form_errors(&[wrong], Dialect::Current).to_string())
    }
}
