//! Interprets the answers of a workflow's trigger. PURE.
//!
//! 202 means that the workflow has started. Errors are those of Logic Apps
//! (<https://learn.microsoft.com/azure/logic-apps/error-exception-handling>): `{"error": {"code": …, "message": …}}`.

use serde_json::Value;

use crate::notify::{
    service::{Answer, Reply},
    text,
};

/// Interprets an answer.
pub(super) fn parse(reply: &Reply) -> Answer {
    let body = reply.json();
    let code = body.pointer("/error/code").and_then(Value::as_str).unwrap_or_default();
    let reason = || match text::plain(code, 80) {
        code if code.is_empty() => format!("HTTP {}", reply.status),
        code => format!("HTTP {}, {code}", reply.status),
    };
    let gone = || {
        Answer::ChannelGone(format!(
            "{}: the workflow was deleted or disabled, or its URL is wrong; check it in Teams under Workflows, and update \
             the secret",
            reason()
        ))
    };
    match (reply.status, code) {
        // Connectors, and gateways in front of Teams, may answer 200 with an error in the body.
        (200..300, _) if reply.body.contains("HTTP error 429") => Answer::RateLimited(reply.wait()),
        (200..300, _) if reply.body.contains("HTTP error 4") => Answer::Rejected(text::plain(&reply.body, 120)),
        (200..300, _) if is_success(reply) => Answer::Done(None),
        (200..300, _) => Answer::ServerError(format!("{}, but the answer is not from a Teams workflow", reason())),
        (429, _) => Answer::RateLimited(reply.wait()),
        (408 | 500.., _) => Answer::ServerError(reason()),
        (401 | 403 | 404 | 410, _) | (_, "WorkflowTriggerIsNotEnabled" | "WorkflowNotFound") => gone(),
        // The trigger has a schema of its own, or the card is too large.
        (400 | 413, _) => Answer::InvalidFields(Vec::new(), reason()),
        _ => Answer::Rejected(reason()),
    }
}

/// Whether the answer means that the workflow has started: an empty body, `1` as from connectors, or a custom answer of
/// the workflow. An HTML page comes from somewhere else.
fn is_success(reply: &Reply) -> bool {
    let body = reply.body.trim();
    let word = body.len() <= 32 && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' ');
    word || reply.json().is_object()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Answer, Reply, parse};

    #[test]
    fn distinguishes_deleted_from_invalid() {
        let answer = |status, header: Option<&str>, body: &str| {
            parse(&Reply { status, retry_after: header.map(str::to_owned), hold: None, body: body.to_owned() })
        };
        assert_eq!(answer(202, None, ""), Answer::Done(None));
        for accepted in ["1", "", "accepted", r#"{"status": "sent"}"#] {
            assert_eq!(answer(200, None, accepted), Answer::Done(None), "{accepted}");
        }
        for other in ["<html>Sign in to the network</html>", "upstream connect error: reset", "[]"] {
            assert!(
                matches!(answer(202, None, other), Answer::ServerError(why) if why.contains("not from a Teams workflow")),
                "{other}"
            );
        }
        let quiet = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429";
        assert_eq!(answer(200, None, quiet), Answer::RateLimited(None));
        assert_eq!(answer(429, Some("7"), ""), Answer::RateLimited(Some(Duration::from_secs(7))));
        assert_eq!(answer(502, None, "<html>"), Answer::ServerError("HTTP 502".into()));
        let error = |code: &str| format!(r#"{{"error": {{"code": "{code}", "message": "m"}}}}"#);
        for (status, code) in
            [(404, "WorkflowNotFound"), (400, "WorkflowTriggerIsNotEnabled"), (401, "DirectApiAuthorizationRequired")]
        {
            assert!(matches!(answer(status, None, &error(code)), Answer::ChannelGone(why) if why.contains(code)));
        }
        let mismatch = Answer::InvalidFields(vec![], "HTTP 400, TriggerInputSchemaMismatch".into());
        assert_eq!(answer(400, None, &error("TriggerInputSchemaMismatch")), mismatch);
        assert_eq!(answer(302, None, ""), Answer::Rejected("HTTP 302".into()));
    }
}
