//! Errors as BuildKit sends them: a message, and details as JSON beside it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bollard_buildkit_proto::google::{protobuf::Any, rpc};
use prost::Message as _;
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::dockerfile::Lines;

/// What an error is about.
#[derive(Clone, Debug, Default)]
pub(super) struct About<'a> {
    /// The step that failed.
    pub(super) vertex: Option<&'a str>,
    /// The exit code of its command.
    pub(super) exit_code: Option<u32>,
    /// The lines of the Dockerfile, and its text.
    pub(super) source: Option<(Lines, &'a str)>,
}

/// An error of a build.
pub(super) fn failed(message: &str, about: &About<'_>) -> Status {
    let mut details = Vec::new();
    let mut add = |kind: &str, value: &Value| {
        let type_url = format!("github.com/moby/buildkit/{kind}+json");
        details.push(Any { type_url, value: value.to_string().into_bytes() });
    };
    if let Some(digest) = about.vertex {
        add("errdefs.Vertex", &json!({ "digest": digest }));
    }
    if let Some(code) = about.exit_code {
        add("gatewayapi.ExitMessage", &json!({ "Code": code }));
    }
    if let Some((lines, text)) = about.source {
        let ranges: Vec<Value> =
            (lines.first..=lines.last).map(|line| json!({"start": {"line": line}, "end": {"line": line}})).collect();
        let info = json!({"filename": "Dockerfile", "data": STANDARD.encode(text)});
        add("errdefs.Source", &json!({ "info": info, "ranges": ranges }));
    }
    let encoded = rpc::Status { code: Code::Unknown.into(), message: message.to_owned(), details }.encode_to_vec();
    Status::with_details(Code::Unknown, message, encoded.into())
}
