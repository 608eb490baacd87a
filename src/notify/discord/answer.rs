//! Interprets Discord's answers. PURE.
//!
//! Codes: <https://discord.com/developers/docs/topics/opcodes-and-status-codes#json>. An answer may come from Discord (API
//! v8 and later, or the older v6 format), from the CDN in front of it (HTML, or only `error code:`) or from a proxy.

use std::time::Duration;

use serde_json::Value;

use super::webhook::{Server, Versioned};
use crate::notify::{
    service::{Answer, LONGEST_WAIT, Posted, Reply},
    text,
};

/// The problem and hint for 401, 403 and 404.
const GONE: &str = "the webhook was deleted or its URL is wrong; create a new webhook and update the secret";

/// Interprets an answer.
pub(super) fn parse(server: Server, reply: &Reply) -> Answer {
    let body = reply.json();
    let code = body.get("code").and_then(Value::as_i64).unwrap_or_default();
    let reason = || reason(reply.status, &body);
    match (reply.status, code) {
        (204, _) => Answer::Done(None),
        // With `wait=true`, every successful answer is the message.
        (200..300, _) => match posted(&body) {
            Some(posted) => Answer::Done(Some(posted)),
            None => Answer::ServerError(format!("HTTP {}, but the answer is not from Discord", reply.status)),
        },
        (429, 30046) => Answer::EditsExhausted(wait(server, reply, &body)),
        (429, _) => Answer::RateLimited(wait(server, reply, &body)),
        (404, 10008) => Answer::MessageGone,
        (401 | 403 | 404, _) => Answer::ChannelGone(format!("{}: {GONE}", reason())),
        (400, 220_001) => Answer::ThreadRequired,
        (400, 200_000 | 200_001 | 240_000) => Answer::ContentBlocked(reason()),
        (400, 220_002..=220_004 | 40_067 | 50_083 | 160_005) => Answer::Rejected(reason()),
        (400, _) => Answer::InvalidFields(invalid_fields(&body), reason()),
        (408 | 500.., _) => Answer::ServerError(reason()),
        _ => Answer::Rejected(reason()),
    }
}

fn posted(body: &Value) -> Option<Posted> {
    let id = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    let message_id = id("id").filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric()))?;
    Some(Posted { message_id, channel_id: id("channel_id") })
}

/// The longer of the times in the body and the header.
fn wait(server: Server, reply: &Reply, body: &Value) -> Option<Duration> {
    let from_body = body.get("retry_after").map(ToString::to_string);
    let times = [from_body.as_deref(), reply.retry_after.as_deref()].into_iter().flatten();
    times.filter_map(|time| seconds(server, time.trim().trim_matches('"'))).max()
}

/// Parses a time in seconds. API versions before 8, which unversioned URLs get, send whole milliseconds: for these, a
/// whole number over [`LONGEST_WAIT`] counts as milliseconds.
fn seconds(server: Server, time: &str) -> Option<Duration> {
    let number: f64 = time.parse().ok()?;
    let old = matches!(server, Server::Foreign { versioned: Versioned::No, .. });
    let milliseconds = old && !time.contains('.') && number > LONGEST_WAIT.as_secs_f64();
    Duration::try_from_secs_f64(if milliseconds { number / 1000.0 } else { number }).ok()
}

/// The paths of the invalid fields: those with an `_errors` key in the `errors` of a 50035. The older format,
/// `{"embeds":["0"]}`, names no fields.
fn invalid_fields(body: &Value) -> Vec<Vec<String>> {
    fn walk(value: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
        for (key, inner) in value.as_object().into_iter().flatten() {
            if key == "_errors" {
                found.push(path.clone());
            } else if path.len() < 16 {
                path.push(key.clone());
                walk(inner, path, found);
                path.pop();
            }
        }
    }
    let mut found = Vec::new();
    if let Some(errors) = body.get("errors") {
        walk(errors, &mut Vec::new(), &mut found);
    }
    found
}

/// One line for a warning: status, message, code and invalid fields.
fn reason(status: u16, body: &Value) -> String {
    let message = body.get("message").and_then(Value::as_str).unwrap_or_default();
    let mut reason = format!("HTTP {status}");
    if !message.is_empty() {
        reason = format!("{reason}, {}", text::plain(message, 120));
    }
    if let Some(code) = body.get("code").and_then(Value::as_i64).filter(|code| *code != 0) {
        reason = format!("{reason} (code {code})");
    }
    let fields: Vec<String> = invalid_fields(body).iter().take(4).map(|path| path.join(".")).collect();
    if !fields.is_empty() {
        reason = format!("{reason}: {}", text::plain(&fields.join(", "), 200));
    }
    reason
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Answer, GONE, Posted, Reply, Server, Versioned, parse};
    use crate::notify::discord::webhook::Transport;

    const OLD: Server = Server::Foreign { versioned: Versioned::No, transport: Transport::Tls };

    fn answer(server: Server, status: u16, retry_after: Option<&str>, body: &str) -> Answer {
        parse(server, &Reply { status, retry_after: retry_after.map(str::to_owned), hold: None, body: body.to_owned() })
    }

    #[test]
    fn parses_every_kind_of_429() {
        let ms = |ms| Some(Duration::from_millis(ms));
        for (server, header, body, want) in [
            (Server::Discord, None, r#"{"retry_after": 0.25, "global": false}"#, ms(250)),
            (Server::Discord, Some("2"), r#"{"retry_after": 1.5}"#, ms(2000)),
            (Server::Discord, Some("65"), "", ms(65_000)),
            (Server::Discord, None, r#"{"code": 0, "message": "You are being blocked"}"#, None),
            (Server::Discord, Some("soon"), "error code: 1015", None),
            (Server::Discord, Some("-1"), "", None),
            (OLD, Some("1500"), r#"{"retry_after": 1500}"#, ms(1500)),
            (OLD, Some("2"), r#"{"retry_after": 1.5}"#, ms(2000)),
        ] {
            assert_eq!(answer(server, 429, header, body), Answer::RateLimited(want), "{header:?} {body}");
        }
        let exhausted = r#"{"code": 30046, "retry_after": 3}"#;
        assert_eq!(answer(Server::Discord, 429, None, exhausted), Answer::EditsExhausted(ms(3000)));
    }

    #[test]
    fn distinguishes_deleted_from_invalid() {
        let nested = r#"{"code": 50035, "message": "Invalid Form Body", "errors": {"embeds": {"0": {"fields":
            {"3": {"value": {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": "too long"}]}}}}}}}"#;
        let path = ["embeds", "0", "fields", "3", "value"].map(str::to_owned).to_vec();
        for (status, body, want) in [
            (
                200,
                r#"{"id": "12", "channel_id": "34"}"#,
                Answer::Done(Some(Posted { message_id: "12".into(), channel_id: Some("34".into()) })),
            ),
            (204, "", Answer::Done(None)),
            (200, "", Answer::ServerError("HTTP 200, but the answer is not from Discord".into())),
            (200, "<html>", Answer::ServerError("HTTP 200, but the answer is not from Discord".into())),
            (200, "{}", Answer::ServerError("HTTP 200, but the answer is not from Discord".into())),
            (404, r#"{"code": 10008}"#, Answer::MessageGone),
            (
                404,
                r#"{"code": 10015, "message": "Unknown Webhook"}"#,
                Answer::ChannelGone(format!("HTTP 404, Unknown Webhook (code 10015): {GONE}")),
            ),
            (401, "", Answer::ChannelGone(format!("HTTP 401: {GONE}"))),
            (
                400,
                nested,
                Answer::InvalidFields(
                    vec![path],
                    "HTTP 400, Invalid Form Body (code 50035): embeds.0.fields.3.value".into(),
                ),
            ),
            (400, r#"{"embeds":["0"]}"#, Answer::InvalidFields(vec![], "HTTP 400".into())),
            (400, r#"{"code": 240000}"#, Answer::ContentBlocked("HTTP 400 (code 240000)".into())),
            (400, r#"{"code": 220001}"#, Answer::ThreadRequired),
            (400, r#"{"code": 220003}"#, Answer::Rejected("HTTP 400 (code 220003)".into())),
            (502, "<html>", Answer::ServerError("HTTP 502".into())),
            (302, "", Answer::Rejected("HTTP 302".into())),
        ] {
            assert_eq!(answer(Server::Discord, status, None, body), want, "{status} {body}");
        }
    }
}
