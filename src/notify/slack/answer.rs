//! What Slack's answers mean. PURE.
//!
//! A webhook answers in plain text with a status that tells; a method answers 200 even to a call that failed, and says
//! so in `ok`. Errors: <https://docs.slack.dev/reference/methods/chat.postMessage#errors>,
//! <https://docs.slack.dev/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks>.

use serde_json::Value;

use crate::notify::{
    service::{Answer, Posted, Reply},
    text,
};

/// The answer of an incoming webhook.
pub(super) fn of_webhook(reply: &Reply) -> Answer {
    let reason = || reason(reply.status, &reply.body);
    match reply.status {
        200..300 if is_yes(&reply.body) => Answer::Done(None),
        200..300 => Answer::Broken(format!("{}: an answer that is not Slack's", reason())),
        429 => Answer::Busy(reply.wait()),
        408 | 500.. => Answer::Broken(reason()),
        // Both blame the payload, and none names a field.
        400 | 413 => Answer::Malformed(Vec::new(), reason()),
        401 | 403 | 404 | 410 => Answer::ChannelGone(format!(
            "the webhook does not exist any more, or may not post to its channel: make a new one in the app's settings \
             and put it into the secret ({})",
            reason()
        )),
        _ => Answer::Refused(reason()),
    }
}

/// Whether a webhook's answer says that the message was taken: `ok` as Slack has it, or one of the objects of services
/// that take the same messages (Mattermost, Rocket.Chat, Zulip).
fn is_yes(body: &str) -> bool {
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    let says = |key: &str, word: &str| json.get(key).is_some_and(|value| *value == true || *value == word);
    body.trim() == "ok" || says("ok", "ok") || says("success", "success") || says("result", "success")
}

/// The answer of a method of the Web API.
pub(super) fn of_method(reply: &Reply) -> Answer {
    match reply.status {
        429 => return Answer::Busy(reply.wait()),
        408 | 500.. => return Answer::Broken(format!("HTTP {}", reply.status)),
        200..300 => {}
        _ => return Answer::Refused(reason(reply.status, &reply.body)),
    }
    let body = reply.json();
    let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    if body.get("ok") == Some(&Value::Bool(true)) {
        let posted = text("ts").map(|message_id| Posted { message_id, place: text("channel") });
        return Answer::Done(posted);
    }
    let Some(error) = text("error") else { return Answer::Broken("an answer that is not Slack's".to_owned()) };
    let said = text::plain(&error, 60);
    let gone = |what: &str| Answer::ChannelGone(format!("{what} ({said})"));
    match error.as_str() {
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => Answer::Busy(reply.wait()),
        "message_not_found" | "cant_update_message" | "edit_window_closed" => Answer::MessageGone,
        "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout" | "team_added_to_org" => {
            Answer::Broken(said)
        }
        "invalid_blocks"
        | "invalid_blocks_format"
        | "invalid_attachments"
        | "msg_blocks_too_long"
        | "msg_too_long"
        | "too_many_attachments"
        | "no_text"
        | "attachment_payload_limit_exceeded"
        | "markdown_text_conflict" => Answer::Malformed(Vec::new(), said),
        "channel_not_found" | "not_in_channel" => gone(
            "the bot is not in the channel, or there is no such channel: invite it there, or correct `slack-channel`",
        ),
        "is_archived" => gone("the channel is archived: choose another one in `slack-channel`"),
        "invalid_auth"
        | "not_authed"
        | "account_inactive"
        | "token_revoked"
        | "token_expired"
        | "two_factor_setup_required" => {
            gone("the token is not valid any more: copy the app's Bot User OAuth Token into the secret")
        }
        "missing_scope"
        | "no_permission"
        | "not_allowed_token_type"
        | "ekm_access_denied"
        | "access_denied"
        | "team_access_not_granted" => {
            gone("the token may not do this: give the app the scope `chat:write` and install it anew")
        }
        error if error.starts_with("restricted_action") => gone("the workspace does not let the bot post there"),
        _ => Answer::Refused(said),
    }
}

fn reason(status: u16, body: &str) -> String {
    // A page of the network in front of Slack says nothing.
    let said = if body.trim_start().starts_with('<') { String::new() } else { text::plain(body, 80) };
    if said.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}, {said}") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Answer, Posted, Reply, of_method, of_webhook};

    fn reply(status: u16, retry_after: Option<&str>, body: &str) -> Reply {
        Reply { status, retry_after: retry_after.map(str::to_owned), hold: None, body: body.to_owned() }
    }

    #[test]
    fn a_webhook_tells_by_its_status() {
        let answer = |status, header, body| of_webhook(&reply(status, header, body));
        for yes in ["ok", "ok\n", r#"{"ok": true}"#, r#"{"success":true}"#, r#"{"result": "success", "msg": ""}"#] {
            assert_eq!(answer(200, None, yes), Answer::Done(None), "{yes}");
        }
        for no in ["", "<html>ok</html>", r#"{"ok": false}"#, "{}", "not ok"] {
            assert!(matches!(answer(200, None, no), Answer::Broken(why) if why.ends_with("not Slack's")), "{no}");
        }
        assert_eq!(answer(429, Some("30"), "rate_limited"), Answer::Busy(Some(Duration::from_secs(30))));
        assert_eq!(answer(429, None, ""), Answer::Busy(None));
        assert_eq!(answer(400, None, "invalid_blocks"), Answer::Malformed(vec![], "HTTP 400, invalid_blocks".into()));
        assert_eq!(answer(503, None, "<html>"), Answer::Broken("HTTP 503".into()));
        for (status, body) in [(404, "no_service"), (403, "action_prohibited"), (410, "channel_is_archived")] {
            assert!(matches!(answer(status, None, body), Answer::ChannelGone(reason) if reason.contains(body)));
        }
        assert_eq!(answer(302, None, ""), Answer::Refused("HTTP 302".into()));
    }

    #[test]
    fn a_method_answers_200_to_everything() {
        let answer = |body: &str| of_method(&reply(200, None, body));
        let posted = Posted { message_id: "1503435956.000247".into(), place: Some("C123".into()) };
        assert_eq!(answer(r#"{"ok": true, "channel": "C123", "ts": "1503435956.000247"}"#), Answer::Done(Some(posted)));
        assert_eq!(answer(r#"{"ok": false, "error": "message_not_found"}"#), Answer::MessageGone);
        assert_eq!(answer(r#"{"ok": false, "error": "internal_error"}"#), Answer::Broken("internal_error".into()));
        for error in ["not_in_channel", "invalid_auth", "missing_scope", "is_archived", "restricted_action_read_only"] {
            let body = format!(r#"{{"ok": false, "error": "{error}"}}"#);
            assert!(matches!(answer(&body), Answer::ChannelGone(reason) if reason.contains(error)), "{error}");
        }
        let malformed = Answer::Malformed(vec![], "invalid_blocks".into());
        assert_eq!(answer(r#"{"ok": false, "error": "invalid_blocks"}"#), malformed);
        assert_eq!(answer("<html>"), Answer::Broken("an answer that is not Slack's".into()));
        assert_eq!(of_method(&reply(429, Some("1"), "")), Answer::Busy(Some(Duration::from_secs(1))));
        assert_eq!(of_method(&reply(502, None, "")), Answer::Broken("HTTP 502".into()));
    }
}
