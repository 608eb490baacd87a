//! Checks registry credentials through the engine, as `docker login` does.

use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;

use super::{ApiError, Engine};
use crate::{
    buildkit::transport::{self, Address},
    domain::credentials::Login,
};

/// An answer is read up to this many bytes.
const LARGEST_ANSWER: usize = 64 << 10;

#[derive(Deserialize)]
struct ErrorAnswer {
    message: String,
}

impl Engine {
    /// Asks the engine whether a registry accepts these credentials.
    pub async fn check_login(&self, registry: &str, login: &Login) -> Result<(), ApiError> {
        // The name of Docker Hub's login server differs from that of the registry.
        let server = if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry };
        let body = match login.identity_token() {
            Some(token) => json!({"identitytoken": token.expose(), "serveraddress": server}),
            None => json!({
                "username": login.username,
                "password": login.password.expose(),
                "serveraddress": server,
            }),
        };
        let (status, answer) = post(self.address(), "/auth", body.to_string()).await?;
        if status.is_success() {
            return Ok(());
        }
        let message = serde_json::from_str::<ErrorAnswer>(&answer).map_or(answer, |answer| answer.message);
        Err(ApiError::Engine { status: Some(status.as_u16()), message, repeated: false })
    }
}

/// Posts `body` as JSON to `path` and returns the status and the text of the answer, since bollard lacks the call.
async fn post(address: &Address, path: &'static str, body: String) -> Result<(StatusCode, String), ApiError> {
    let failed = |error: hyper::Error| ApiError::Transport(error.to_string());
    let stream = transport::open(address).await.map_err(|error| ApiError::Transport(error.to_string()))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    tokio::spawn(connection);
    let request = Request::post(path)
        .header(header::HOST, "docker")
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
        .unwrap_or_default();
    let response = sender.send_request(request).await.map_err(failed)?;
    let status = response.status();
    let mut body = response.into_body();
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        text.extend_from_slice(frame.map_err(failed)?.data_ref().map_or(&[], |data| data));
        if text.len() > LARGEST_ANSWER {
            break;
        }
    }
    Ok((status, String::from_utf8_lossy(&text).into_owned()))
}
