//! Decodes the errors of a daemon. Pure.
//!
//! Since 0.9, BuildKit sends typed details with the message: JSON under a `…+json` type URL
//! (<https://github.com/moby/buildkit/blob/master/util/grpcerrors/grpcerrors.go>,
//! <https://github.com/moby/buildkit/blob/master/solver/errdefs/errdefs.proto>). Older daemons (Engine 20.10) send only the
//! message.

use std::error::Error;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bollard_buildkit_proto::google::rpc;
use prost::Message as _;
use serde::Deserialize;

/// The decoded error of a solve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SolveError {
    /// The message.
    pub message: String,
    /// The digest of the step that failed.
    pub vertex: Option<String>,
    /// The exit code of the step's command.
    pub exit_code: Option<i64>,
    /// The lines of the Dockerfile that the error is about, first and last, from 1.
    pub lines: Option<(u32, u32)>,
    /// The Dockerfile as the daemon has it.
    pub dockerfile: Option<String>,
}

#[derive(Deserialize)]
struct VertexDetail {
    digest: String,
}

#[derive(Deserialize)]
struct ExitDetail {
    #[serde(rename = "Code")]
    code: i64,
}

#[derive(Deserialize)]
struct SourceDetail {
    info: Option<SourceInfo>,
    #[serde(default)]
    ranges: Vec<SourceRange>,
}

#[derive(Deserialize)]
struct SourceInfo {
    #[serde(default)]
    data: String,
}

#[derive(Deserialize)]
struct SourceRange {
    start: Option<SourcePosition>,
    end: Option<SourcePosition>,
}

#[derive(Deserialize)]
struct SourcePosition {
    #[serde(default)]
    line: u32,
}

impl SolveError {
    /// Decodes a message and the encoded `google.rpc.Status` that comes with it. Details that cannot be parsed are
    /// ignored.
    pub fn new(message: &str, details: &[u8]) -> Self {
        let mut error = Self { message: message.to_owned(), ..Self::default() };
        let details = rpc::Status::decode(details).map(|status| status.details).unwrap_or_default();
        for detail in details {
            let json = detail.value.as_slice();
            // The type URL is `github.com/moby/buildkit/errdefs.Vertex+json`, or its short form.
            let kind = detail.type_url.rsplit('/').next().unwrap_or_default();
            match kind.trim_end_matches("+json") {
                "errdefs.Vertex" => {
                    error.vertex = serde_json::from_slice::<VertexDetail>(json).ok().map(|v| v.digest);
                }
                "gatewayapi.ExitMessage" => {
                    error.exit_code = serde_json::from_slice::<ExitDetail>(json).ok().map(|e| e.code);
                }
                "errdefs.Source" => {
                    if let Ok(source) = serde_json::from_slice::<SourceDetail>(json) {
                        error.set_source(source);
                    }
                }
                _ => {}
            }
        }
        error.exit_code = error.exit_code.or_else(|| exit_code_in(&error.message));
        error.lines = error.lines.or_else(|| line_of_parse_error(&error.message));
        error
    }

    /// Whether the same request may succeed when it is sent again, as after a lost connection or from an overloaded
    /// server. A command that failed is never repeated, regardless of its output.
    pub fn is_temporary(&self) -> bool {
        self.exit_code.is_none() && is_temporary(&self.message)
    }

    fn set_source(&mut self, source: SourceDetail) {
        self.dockerfile =
            source.info.and_then(|info| STANDARD.decode(info.data).ok()).and_then(|raw| String::from_utf8(raw).ok());
        let line = |position: Option<&SourcePosition>| position.map(|p| p.line).filter(|line| *line > 0);
        // An instruction of several lines has a range for each of them.
        let first = source.ranges.first().and_then(|range| line(range.start.as_ref()));
        let last = source.ranges.last().and_then(|range| line(range.end.as_ref()));
        self.lines = first.map(|first| (first, last.unwrap_or(first).max(first)));
    }
}

/// Whether the error message of a daemon or an engine is about a temporary failure.
pub fn is_temporary(message: &str) -> bool {
    const SIGNS: [&str; 26] = [
        "connection reset",
        // net/http, when a server hangs up in the middle of an answer.
        "transport connection broken",
        "connection refused",
        "connection timed out",
        "broken pipe",
        "unexpected EOF",
        ": EOF",
        "i/o timeout",
        "TLS handshake timeout",
        "Client.Timeout exceeded",
        // `Get "https://registry-1.docker.io/v2/": context deadline exceeded`
        "\": context deadline exceeded",
        "Temporary failure in name resolution",
        "server sent GOAWAY",
        "use of closed network connection",
        "408 Request Timeout",
        "429 Too Many Requests",
        "toomanyrequests",
        "received unexpected HTTP status: 5",
        "unexpected status code 5",
        // `unexpected status from PUT request to https://…: 503 Service Unavailable`
        ": 500 Internal",
        ": 502 Bad",
        ": 503 Service",
        ": 504 Gateway",
        "server misbehaving",
        // The downloaded content is damaged.
        "unexpected commit digest",
        // The upload is damaged, or the registry mixed up two uploads of the same content.
        "digest did not match uploaded content",
    ];
    SIGNS.iter().any(|sign| message.contains(sign))
}

/// The innermost cause of an error, which explains why a connection was lost. `None` for an error without a cause, such as
/// one that the daemon reports.
pub fn root_cause(error: &dyn Error) -> Option<&dyn Error> {
    let mut cause = error.source()?;
    while let Some(source) = cause.source() {
        cause = source;
    }
    Some(cause)
}

fn exit_code_in(message: &str) -> Option<i64> {
    let (_, rest) = message.rsplit_once("exit code: ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The line in `dockerfile parse error line 3: …` (before BuildKit 0.12) or `… on line 3: …`.
fn line_of_parse_error(message: &str) -> Option<(u32, u32)> {
    let (_, rest) = message.split_once("parse error ")?;
    let rest = rest.strip_prefix("on ").unwrap_or(rest).strip_prefix("line ")?;
    let line = rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    Some((line, line))
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use bollard_buildkit_proto::google::{protobuf::Any, rpc};
    use prost::Message as _;

    use super::SolveError;

    #[test]
    fn typed_details_are_decoded() {
        let source = format!(
            r#"{{"info":{{"filename":"Dockerfile","data":"{}"}},"ranges":[{{"start":{{"line":2}},"end":{{"line":2}}}},{{"start":{{"line":3}},"end":{{"line":3}}}}]}}"#,
            STANDARD.encode("FROM x\n")
        );
        let any = |(kind, json): (&str, &str)| Any {
            type_url: format!("github.com/moby/buildkit/{kind}+json"),
            value: json.into(),
        };
        let details = [
            ("errdefs.Vertex", r#"{"digest":"sha256:ab"}"#),
            ("gatewayapi.ExitMessage", r#"{"Code":1}"#),
            ("errdefs.Source", &source),
            ("stack.Stack", "not even json"),
        ];
        let status = rpc::Status { details: details.map(any).into(), ..rpc::Status::default() };
        let want = SolveError {
            message: "failed".into(),
            vertex: Some("sha256:ab".into()),
            exit_code: Some(1),
            lines: Some((2, 3)),
            dockerfile: Some("FROM x\n".into()),
        };
        assert_eq!(SolveError::new("failed", &status.encode_to_vec()), want);
    }

    #[test]
    fn messages_of_old_daemons_are_read() {
        let failed = SolveError::new("executor failed running [/bin/sh -c pip install nope]: exit code: 1", &[]);
        assert_eq!((failed.exit_code, failed.lines), (Some(1), None));
        for on in ["", "on "] {
            let message = format!("dockerfile parse error {on}line 4: unknown instruction: CMDD");
            assert_eq!(SolveError::new(&message, &[]).lines, Some((4, 4)), "{message}");
        }
    }

    #[test]
    fn only_failures_that_may_pass_are_temporary() {
        for message in [
            "failed to push x: unexpected status from PUT request to https://x: 503 Service Unavailable",
            "failed to push x: failed to do request: Put \"https://x\": EOF",
            "failed to push x: write tcp 1.2.3.4:5->6.7.8.9:443: write: connection reset by peer",
            "failed to push x: unexpected status: 429 Too Many Requests",
            "failed to push x: errors:\nunknown: provided digest did not match uploaded content\nunknown: blob unknown to registry",
        ] {
            assert!(SolveError::new(message, &[]).is_temporary(), "{message}");
        }
        for message in [
            "failed to push x: unexpected status from POST request to https://x: 403 Forbidden",
            "docker.io/nope:1: not found",
            "dockerfile parse error on line 3: unknown instruction: RUM",
            "process \"curl: connection reset\": exit code: 1",
        ] {
            assert!(!SolveError::new(message, &[]).is_temporary(), "{message}");
        }
    }
}
