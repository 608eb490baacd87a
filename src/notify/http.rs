//! The HTTP client for all notifications: short timeouts, no redirects, no URLs in errors.

use std::{error::Error as _, time::Duration};

use reqwest::redirect::Policy;
use thiserror::Error;

use super::service::{Reply, Request};
use crate::{
    domain::redact::Redactor,
    http::{BodyError, bounded_body, with_hint},
};

/// In the form that Discord requires (<https://discord.com/developers/docs/reference#user-agent>); other services accept
/// any.
const USER_AGENT: &str = concat!("DiscordBot (https://github.com/izhan/build-deploy, ", env!("CARGO_PKG_VERSION"), ")");

/// Maximum size of an answer. Discord and Slack return the whole message, with up to twelve bytes per character; a proxy
/// in front of them could send anything.
const LARGEST_BODY: usize = 256 << 10;

/// Why a call got no answer. The texts contain no URL.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HttpError {
    /// The client could not be created: no CA certificates, or an invalid proxy variable.
    #[error("failed to set up HTTPS: {0}")]
    Setup(String),
    /// The URL is invalid.
    #[error("invalid URL: {0}")]
    Address(String),
    /// Nothing was sent: DNS, a refused connection or TLS failed.
    #[error("failed to connect: {0}")]
    Connect(String),
    /// The connection broke; the server may have processed the call.
    #[error("the connection was lost: {0}")]
    Broken(String),
    /// No answer in time; the server may have processed the call.
    #[error("timed out after {:.1} s", .0.as_secs_f64())]
    TimedOut(Duration),
}

/// The client. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Client(reqwest::Client);

impl Client {
    /// Creates a client with the system's CA certificates (or `SSL_CERT_FILE`) and proxy variables. `connect` limits the
    /// time to connect.
    pub fn new(connect: Duration) -> Result<Self, HttpError> {
        // Fails if a provider is installed already, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(connect)
            .redirect(Policy::none())
            .build()
            .map_err(|error| HttpError::Setup(chain(error, &Redactor::default())))?;
        Ok(Self(client))
    }

    /// Makes the call and waits at most `limit` for the whole answer. `redactor` removes secrets from errors and answers.
    pub async fn call(&self, request: &Request, limit: Duration, redactor: &Redactor) -> Result<Reply, HttpError> {
        let mut call = self.0.request(request.method.clone(), request.url.expose()).timeout(limit);
        if let Some(token) = &request.bearer {
            call = call.bearer_auth(token.expose());
        }
        if let Some(body) = &request.body {
            call = call.json(body);
        }
        let failed = |error: reqwest::Error| {
            if error.is_builder() {
                HttpError::Address(chain(error, redactor))
            } else if error.is_connect() {
                HttpError::Connect(chain(error, redactor))
            } else if error.is_timeout() {
                HttpError::TimedOut(limit)
            } else {
                HttpError::Broken(chain(error, redactor))
            }
        };
        let response = call.send().await.map_err(failed)?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let exhausted = header("x-ratelimit-remaining") == Some("0");
        let reset = header("x-ratelimit-reset-after").and_then(|time| time.parse().ok());
        let mut reply = Reply {
            status: response.status().as_u16(),
            retry_after: header("retry-after").map(str::to_owned),
            hold: reset.filter(|_| exhausted).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            body: String::new(),
        };
        reply.body = match bounded_body(response, LARGEST_BODY).await {
            Ok(bytes) => redactor.redact(&String::from_utf8_lossy(&bytes)),
            Err(BodyError::Broken(error)) => return Err(failed(error)),
            // No chat service sends this much. The status is kept: that of an error says enough.
            Err(BodyError::TooLarge(_)) => String::from("<answer too large>"),
        };
        Ok(reply)
    }
}

/// The error and its causes in one line, without the URL.
fn chain(error: reqwest::Error, redactor: &Redactor) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    with_hint(redactor.redact(&text))
}
