//! The HTTP client of all notifications: short time-outs, no redirects, errors without addresses.

use std::{error::Error as _, time::Duration};

use reqwest::redirect::Policy;
use thiserror::Error;

use super::service::{Reply, Request};
use crate::{
    domain::redact::Redactor,
    http::{BodyError, bounded_body},
};

/// Discord demands this form (<https://discord.com/developers/docs/reference#user-agent>); the others take any.
const USER_AGENT: &str = concat!("DiscordBot (https://github.com/izhan/build-deploy, ", env!("CARGO_PKG_VERSION"), ")");

/// No answer of a chat service needs more; what is in front of it may send anything.
/// Discord's and Slack's hold the whole message again, each character of it in up to twelve bytes.
const LARGEST_BODY: usize = 256 << 10;

/// Why a call got no answer. Texts hold no address.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HttpError {
    /// The client cannot be made: no CA certificates, a proxy variable that is no address.
    #[error("set up HTTPS: {0}")]
    Setup(String),
    /// The address is none, and never will be.
    #[error("the address is not a valid URL: {0}")]
    Address(String),
    /// Nothing was sent: a name that does not resolve, a refused connection, TLS.
    #[error("connect: {0}")]
    Connect(String),
    /// The connection broke: whether the server took the call is unknown.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// No answer in time: whether the server took the call is unknown.
    #[error("no answer within {:.1} s", .0.as_secs_f64())]
    TimedOut(Duration),
}

/// The client. Cloning shares its connections.
#[derive(Clone, Debug)]
pub struct Client(reqwest::Client);

impl Client {
    /// A client with the system's CA certificates (or `SSL_CERT_FILE`) and proxy variables, which waits for at most
    /// `connect` for a connection.
    pub fn new(connect: Duration) -> Result<Self, HttpError> {
        // Fails if another part of the program installed one before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(connect)
            .redirect(Policy::none())
            .build()
            .map_err(|error| HttpError::Setup(chain(error, &Redactor::default())))?;
        Ok(Self(client))
    }

    /// Makes the call and waits at most `limit` for the whole answer. `redactor` knows what must not be in an error.
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
            // The status of an error tells enough; of a success, the body is what counts, and this one is not the service's.
            Err(BodyError::TooLarge(_)) => String::from("<the answer is too large>"),
        };
        Ok(reply)
    }
}

/// The error and what caused it, in one line, without the address.
fn chain(error: reqwest::Error, redactor: &Redactor) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    redactor.redact(&text)
}
