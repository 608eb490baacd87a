//! Signed calls to AWS's JSON services, with JSON input and output and the name of the call in a header
//! (<https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html>).

use std::time::{Duration, SystemTime};

use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::Value;

use super::{endpoint::Endpoint, error::AwsError, keys::Keys};
use crate::{
    http::{BodyError, bounded_body},
    retry::{Retry, RetryPolicy, Transient},
};

/// The first pause between attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// Maximum size of an answer in bytes. The longest is a login of a few kilobytes.
const LARGEST_ANSWER: usize = 1 << 20;

const JSON: &str = "application/x-amz-json-1.1";

/// Calls `name` with `input` and returns the output.
pub async fn call(
    http: &Client,
    endpoint: &Endpoint,
    keys: &Keys,
    name: &str,
    input: &Value,
) -> Result<Value, AwsError> {
    let body = input.to_string();
    let target = format!("{}.{name}", endpoint.service.target());
    let call = format!("{}:{name}", endpoint.service.signing_name());
    let answer = answered(
        endpoint,
        || {
            let headers = [("content-type", JSON), ("x-amz-target", target.as_str())];
            let mut request = http.post(&endpoint.url);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            for (name, value) in keys.sign(endpoint, &headers, &body, SystemTime::now())? {
                request = request.header(name, value.expose());
            }
            Ok(request.body(body.clone()))
        },
        |status, text| refusal(&call, status, text),
    )
    .await?;
    serde_json::from_str(&answer).map_err(|_| AwsError::Unreadable { call, missing: "JSON" })
}

/// Sends a request, again if that may help, and returns the answer of one that succeeded.
pub(super) async fn answered(
    endpoint: &Endpoint,
    request: impl Fn() -> Result<RequestBuilder, AwsError>,
    refusal: impl Fn(StatusCode, &str) -> AwsError,
) -> Result<String, AwsError> {
    let policy = RetryPolicy { first_pause: PAUSE, ..RetryPolicy::attempts(3) };
    let call = async || {
        let (status, text) = sent(endpoint, request()?).await?;
        if status.is_success() { Ok(text) } else { Err(refusal(status, &text)) }
    };
    policy.quietly(call).await
}

impl Transient for AwsError {
    fn retry(&self) -> Retry {
        let is_temporary = match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, code, .. } => {
                *status >= 500 || *status == 429 || code.contains("Throttling") || code == "TooManyRequestsException"
            }
            Self::Unreadable { .. } | Self::Unsigned(_) => false,
        };
        if is_temporary { Retry::Later } else { Retry::Never }
    }
}

async fn sent(endpoint: &Endpoint, request: RequestBuilder) -> Result<(StatusCode, String), AwsError> {
    let host = || endpoint.host().to_owned();
    let unreachable = |error: reqwest::Error| {
        // The innermost cause is the most specific; the outer ones repeat the URL.
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let reason = if error.is_timeout() { "timed out".to_owned() } else { cause.to_string() };
        AwsError::Unreachable { host: host(), reason }
    };
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let body = bounded_body(response, LARGEST_ANSWER).await.map_err(|error| match error {
        BodyError::Broken(error) => unreachable(error),
        too_large @ BodyError::TooLarge(_) => AwsError::Unreachable { host: host(), reason: too_large.to_string() },
    })?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// Parses an error of the JSON protocol: `{"__type": "…#Name", "message": "…"}`.
fn refusal(call: &str, status: StatusCode, text: &str) -> AwsError {
    let answer: Value = serde_json::from_str(text).unwrap_or_default();
    let field = |names: [&str; 2]| names.iter().find_map(|name| answer.get(name)?.as_str()).map(str::to_owned);
    let code = field(["__type", "code"]).unwrap_or_else(|| status.to_string());
    let code = code.rsplit('#').next().unwrap_or_default().split(':').next().unwrap_or_default().to_owned();
    let message = field(["message", "Message"]).unwrap_or_else(|| "no reason given".to_owned());
    AwsError::Refused { call: call.to_owned(), status: status.as_u16(), code, message }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::refusal;

    #[test]
    fn parses_errors_in_all_formats() {
        for (text, code, message) in [
            (
                r#"{"__type":"com.amazonaws.ecr#RepositoryNotFoundException","message":"m"}"#,
                "RepositoryNotFoundException",
                "m",
            ),
            (r#"{"__type":"AccessDeniedException","Message":"m"}"#, "AccessDeniedException", "m"),
            (r#"{"code":"X:http://y","message":"m"}"#, "X", "m"),
            ("<html>", "502 Bad Gateway", "no reason given"),
        ] {
            let error = refusal("ecr:X", StatusCode::BAD_GATEWAY, text).to_string();
            assert_eq!(error, format!("ecr:X: {code}: {message}"), "{text}");
        }
    }
}
