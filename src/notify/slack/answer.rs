//! Interprets Slack's answers. PURE.
//!
//! A webhook answers in plain text, and its HTTP status shows the result. A method of the Web API answers 200 even if it
//! failed; the result is in the field `ok`. Errors: <https://docs.slack.dev/reference/methods/chat.postMessage#errors>,
//! <https://docs.slack.dev/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks>.

use serde_json::Value;

use crate::notify::{
    service::{Answer, Posted, Reply},
    text,
};

/// Interprets the answer of an incoming webhook.
pub(super) fn parse_webhook(reply: &Reply) -> Answer {
    let reason = || reason(reply.status, &reply.body);
    match reply.status {
        200..300 if is_success(&reply.body) => Answer::Done(None),
        200..300 => Answer::ServerError(format!("{}, but the answer is not from Slack", reason())),
        429 => Answer::RateLimited(reply.wait()),
        408 | 500.. => Answer::ServerError(reason()),
        // The payload is invalid; Slack does not name the field.
        400 | 413 => Answer::InvalidFields(Vec::new(), reason()),
        401 | 403 | 404 | 410 => Answer::ChannelGone(format!(
            "{}: the webhook was deleted or may not post to its channel; create a new one in the Slack app's settings and \
             update the secret",
            reason()
        )),
        _ => Answer::Rejected(reason()),
    }
}

/// Whether a webhook accepted the message: `ok` from Slack, or an object from a compatible service (Mattermost,
/// Rocket.Chat, Zulip).
fn is_success(body: &str) -> bool {
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    let has = |key: &str, word: &str| json.get(key).is_some_and(|value| *value == true || *value == word);
    body.trim() == "ok" || has("ok", "ok") || has("success", "success") || has("result", "success")
}

/// Interprets the answer of a method of the Web API.
pub(super) fn parse_method(reply: &Reply) -> Answer {
    match reply.status {
        429 => return Answer::RateLimited(reply.wait()),
        408 | 500.. => return Answer::ServerError(format!("HTTP {}", reply.status)),
        200..300 => {}
        _ => return Answer::Rejected(reason(reply.status, &reply.body)),
    }
    let body = reply.json();
    let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    if body.get("ok") == Some(&Value::Bool(true)) {
        let posted = text("ts").map(|message_id| Posted { message_id, channel_id: text("channel") });
        return Answer::Done(posted);
    }
    let Some(error) = text("error") else { return Answer::ServerError("the answer is not from Slack".to_owned()) };
    let code = text::plain(&error, 60);
    let gone = |what: &str| Answer::ChannelGone(format!("{code}: {what}"));
    match error.as_str() {
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => Answer::RateLimited(reply.wait()),
        "message_not_found" | "cant_update_message" | "edit_window_closed" => Answer::MessageGone,
        "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout" | "team_added_to_org" => {
            Answer::ServerError(code)
        }
        "invalid_blocks"
        | "invalid_blocks_format"
        | "invalid_attachments"
        | "msg_blocks_too_long"
        | "msg_too_long"
        | "too_many_attachments"
        | "no_text"
        | "attachment_payload_limit_exceeded"
        | "markdown_text_conflict" => Answer::InvalidFields(Vec::new(), code),
        "channel_not_found" | "not_in_channel" => {
            gone("the channel does not exist, or the bot is not a member; invite the bot, or correct `slack-channel`")
        }
        "is_archived" => gone("the channel is archived; set `slack-channel` to another one"),
        "invalid_auth"
        | "not_authed"
        | "account_inactive"
        | "token_revoked"
        | "token_expired"
        | "two_factor_setup_required" => {
            gone("the token is invalid; copy the app's Bot User OAuth Token into the secret")
        }
        "missing_scope"
        | "no_permission"
        | "not_allowed_token_type"
        | "ekm_access_denied"
        | "access_denied"
        | "team_access_not_granted" => {
            gone("the token lacks a permission; add the scope `chat:write` to the app and reinstall it")
        }
        error if error.starts_with("restricted_action") => {
            gone("the workspace does not allow the bot to post in this channel")
        }
        _ => Answer::Rejected(code),
    }
}

fn reason(status: u16, body: &str) -> String {
    // An HTML page comes from a proxy and does not help.
    let text = if body.trim_start().starts_with('<') { String::new() } else { text::plain(body, 80) };
    if text.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}, {text}") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Answer, Posted, Reply, parse_method, parse_webhook};

    fn reply(status: u16, retry_after: Option<&str>, body: &str) -> Reply {
        Reply { status, retry_after: retry_after.map(str::to_owned), hold: None, body: body.to_owned() }
    }

    #[test]
    fn a_webhook_shows_its_result_in_the_status() {
        let answer = |status, header, body| parse_webhook(&reply(status, header, body));
        for accepted in ["ok", "ok\n", r#"{"ok": true}"#, r#"{"success":true}"#, r#"{"result": "success", "msg": ""}"#]
        {
            assert_eq!(answer(200, None, accepted), Answer::Done(None), "{accepted}");
        }
        for other in ["", "<html>ok</html>", r#"{"ok": false}"#, "{}", "not ok"] {
            assert!(
                matches!(answer(200, None, other), Answer::ServerError(why) if why.ends_with("not from Slack")),
                "{other}"
            );
        }
        assert_eq!(answer(429, Some("30"), "rate_limited"), Answer::RateLimited(Some(Duration::from_secs(30))));
        assert_eq!(answer(429, None, ""), Answer::RateLimited(None));
        assert_eq!(
            answer(400, None, "invalid_blocks"),
            Answer::InvalidFields(vec![], "HTTP 400, invalid_blocks".into())
        );
        assert_eq!(answer(503, None, "<html>"), Answer::ServerError("HTTP 503".into()));
        for (status, body) in [(404, "no_service"), (403, "action_prohibited"), (410, "channel_is_archived")] {
            assert!(matches!(answer(status, None, body), Answer::ChannelGone(reason) if reason.contains(body)));
        }
        assert_eq!(answer(302, None, ""), Answer::Rejected("HTTP 302".into()));
    }

    #[test]
    fn a_method_answers_200_even_to_failures() {
        let answer = |body: &str| parse_method(&reply(200, None, body));
        let posted = Posted { message_id: "1503435956.000247".into(), channel_id: Some("C123".into()) };
        assert_eq!(answer(r#"{"ok": true, "channel": "C123", "ts": "1503435956.000247"}"#), Answer::Done(Some(posted)));
        assert_eq!(answer(r#"{"ok": false, "error": "message_not_found"}"#), Answer::MessageGone);
        assert_eq!(answer(r#"{"ok": false, "error": "internal_error"}"#), Answer::ServerError("internal_error".into()));
        for error in ["not_in_channel", "invalid_auth", "missing_scope", "is_archived", "restricted_action_read_only"] {
            let body = format!(r#"{{"ok": false, "error": "{error}"}}"#);
            assert!(matches!(answer(&body), Answer::ChannelGone(reason) if reason.contains(error)), "{error}");
        }
        let malformed = Answer::InvalidFields(vec![], "invalid_blocks".into());
        assert_eq!(answer(r#"{"ok": false, "error": "invalid_blocks"}"#), malformed);
        assert_eq!(answer("<html>"), Answer::ServerError("the answer is not from Slack".into()));
        assert_eq!(parse_method(&reply(429, Some("1"), "")), Answer::RateLimited(Some(Duration::from_secs(1))));
        assert_eq!(parse_method(&reply(502, None, "")), Answer::ServerError("HTTP 502".into()));
    }
}
