//! What the answers of a flow's trigger mean. PURE.
//!
//! 202 says that the flow has begun. Errors are those of Logic Apps
//! (<https://learn.microsoft.com/azure/logic-apps/error-exception-handling>): `{"error": {"code": …, "message": …}}`.

use serde_json::Value;

use crate::notify::{
    service::{Answer, Reply},
    text,
};

/// Reads an answer.
pub(super) fn read(reply: &Reply) -> Answer {
    let body = reply.json();
    let code = body.pointer("/error/code").and_then(Value::as_str).unwrap_or_default();
    let reason = || match text::plain(code, 80) {
        code if code.is_empty() => format!("HTTP {}", reply.status),
        code => format!("HTTP {}, {code}", reply.status),
    };
    let gone = || {
        Answer::ChannelGone(format!(
            "the workflow does not exist any more, is switched off, or its address is wrong: look at it in Teams under \
             Workflows and put its address into the secret ({})",
            reason()
        ))
    };
    match (reply.status, code) {
        // What stands between may answer for Teams: connectors used to say 200 and mean 429.
        (200..300, _) if reply.body.contains("HTTP error 429") => Answer::Busy(reply.wait()),
        (200..300, _) if reply.body.contains("HTTP error 4") => Answer::Refused(text::plain(&reply.body, 120)),
        (200..300, _) if is_yes(reply) => Answer::Done(None),
        (200..300, _) => Answer::Broken(format!("{}: an answer that is not a workflow's", reason())),
        (429, _) => Answer::Busy(reply.wait()),
        (408 | 500.., _) => Answer::Broken(reason()),
        (401 | 403 | 404 | 410, _) | (_, "WorkflowTriggerIsNotEnabled" | "WorkflowNotFound") => gone(),
        // A flow behind another trigger (a schema of its own), or a card beyond the size limit.
        (400 | 413, _) => Answer::Malformed(Vec::new(), reason()),
        _ => Answer::Refused(reason()),
    }
}

/// Whether a trigger's answer says that the flow has begun: nothing at all, `1` as connectors said, or what the author of
/// the flow lets it answer. A page is none of these: something else answered.
fn is_yes(reply: &Reply) -> bool {
    let body = reply.body.trim();
    let word = body.len() <= 32 && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' ');
    word || reply.json().is_object()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Answer, Reply, read};

    #[test]
    fn tells_what_is_gone_from_what_is_wrong() {
        let answer = |status, header: Option<&str>, body: &str| {
            read(&Reply { status, retry_after: header.map(str::to_owned), hold: None, body: body.to_owned() })
        };
        assert_eq!(answer(202, None, ""), Answer::Done(None));
        for yes in ["1", "", "accepted", r#"{"status": "sent"}"#] {
            assert_eq!(answer(200, None, yes), Answer::Done(None), "{yes}");
        }
        for no in ["<html>Sign in to the network</html>", "upstream connect error: reset", "[]"] {
            assert!(matches!(answer(202, None, no), Answer::Broken(why) if why.contains("not a workflow's")), "{no}");
        }
        let quiet = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429";
        assert_eq!(answer(200, None, quiet), Answer::Busy(None));
        assert_eq!(answer(429, Some("7"), ""), Answer::Busy(Some(Duration::from_secs(7))));
        assert_eq!(answer(502, None, "<html>"), Answer::Broken("HTTP 502".into()));
        let error = |code: &str| format!(r#"{{"error": {{"code": "{code}", "message": "m"}}}}"#);
        for (status, code) in
            [(404, "WorkflowNotFound"), (400, "WorkflowTriggerIsNotEnabled"), (401, "DirectApiAuthorizationRequired")]
        {
            assert!(matches!(answer(status, None, &error(code)), Answer::ChannelGone(why) if why.contains(code)));
        }
        let mismatch = Answer::Malformed(vec![], "HTTP 400, TriggerInputSchemaMismatch".into());
        assert_eq!(answer(400, None, &error("TriggerInputSchemaMismatch")), mismatch);
        assert_eq!(answer(302, None, ""), Answer::Refused("HTTP 302".into()));
    }
}
