//! The API of the Docker engine on the server, through the SSH connection.
//!
//! A pull through the API carries its credentials in a header, so that none are stored on the server or shown in its list
//! of processes. API: <https://docs.docker.com/reference/api/engine/>.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use bytes::{Bytes, BytesMut};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use tokio::{sync::Mutex, time::timeout};

use super::remote::Remote;
use crate::{
    deploy::target::TargetError,
    domain::credentials::Login,
    ssh::{Command, SshError, Stream},
};

/// How long a usual request may take.
const USUAL: Duration = Duration::from_secs(20);
/// Maximum number of concurrent requests.
const CONCURRENT: usize = 8;
/// How long a pull may take.
const PULL: Duration = Duration::from_mins(10);
/// An answer is read up to this many bytes.
const LARGEST_ANSWER: usize = 8 << 20;
/// One line of a pull's progress is read up to this many bytes.
const LONGEST_LINE: usize = 64 << 10;

/// The engine of a server.
#[derive(Debug)]
pub(super) struct Engine {
    remote: Arc<Remote>,
    /// The address that the user's Docker client uses, such as `unix:///var/run/docker.sock`.
    address: String,
    /// Connections that are idle.
    idle: Mutex<Vec<SendRequest<Empty<Bytes>>>>,
    /// Whether it is reached through a Docker client on the server.
    by_client: AtomicBool,
}

/// A line of a pull's progress, or the body of a failed answer.
#[derive(Deserialize)]
struct Message {
    error: Option<String>,
    message: Option<String>,
}

impl Engine {
    pub(super) fn new(remote: Arc<Remote>, address: String) -> Self {
        Self { remote, address, idle: Mutex::default(), by_client: AtomicBool::new(false) }
    }

    /// The number of concurrent requests, after the first one. A Docker client for each is a burden for the server, and a
    /// session, of which a server may allow few.
    pub(super) fn concurrency(&self) -> usize {
        if self.by_client.load(Relaxed) { 1 } else { CONCURRENT }
    }

    /// The answer to a `GET`; `None` if there is no such thing.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, TargetError> {
        let (status, body) = Box::pin(self.call(Method::GET, path)).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::OK => {
                let parsed = serde_json::from_slice(&body);
                parsed.map(Some).map_err(|error| self.wrong(&format!("unexpected answer to GET {path}: {error}")))
            }
            status => Err(self.refused(status, &body)),
        }
    }

    /// Any other request without a body. Whether it was done; a refusal is an error only if it is not a conflict and not
    /// about a thing that does not exist.
    pub(super) async fn request(&self, method: Method, path: &str) -> Result<bool, TargetError> {
        let (status, body) = Box::pin(self.call(method, path)).await?;
        match status {
            StatusCode::NOT_FOUND | StatusCode::CONFLICT => Ok(false),
            status if status.is_success() => Ok(true),
            status => Err(self.refused(status, &body)),
        }
    }

    /// Pulls an image by its digest.
    pub(super) async fn pull(&self, reference: &str, login: Option<&Login>) -> Result<(), TargetError> {
        let mut request =
            Request::post(format!("/images/create?fromImage={}", encoded(reference))).header(header::HOST, "docker");
        if let Some(login) = login {
            request = request.header("X-Registry-Auth", registry_auth(reference, login));
        }
        let request = request.body(Empty::new()).map_err(|error| self.wrong(&error.to_string()))?;
        let late = |_| self.wrong(&format!("pulling {reference} timed out after {} s", PULL.as_secs()));
        let problem = timeout(PULL, async {
            let mut sender = self.open().await?;
            let answer = sender.send_request(request).await.map_err(|error| self.lost(error))?;
            self.problem_of(answer).await
        });
        match problem.await.map_err(late)?? {
            None => Ok(()),
            Some(problem) => {
                let error = self.wrong(&format!("cannot pull {reference}: {problem}"));
                Err(match pull_hint(&problem) {
                    Some(hint) => error.hint(hint),
                    None => error,
                })
            }
        }
    }

    /// The problem that a pull ends with: the body of a refusal, or a line of the progress.
    async fn problem_of(&self, answer: http::Response<Incoming>) -> Result<Option<String>, TargetError> {
        let is_accepted = answer.status().is_success();
        let (mut body, mut line, mut problem) = (answer.into_body(), BytesMut::new(), None);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|error| self.lost(error))?.into_data() else { continue };
            for part in data.split_inclusive(|byte| *byte == b'\n') {
                let room = LONGEST_LINE.saturating_sub(line.len());
                line.extend_from_slice(&part[..part.len().min(room)]);
                if part.ends_with(b"\n") {
                    problem = problem.or_else(|| error_in(&line));
                    line.clear();
                }
            }
        }
        problem = problem.or_else(|| error_in(&line));
        Ok(if is_accepted { problem } else { Some(problem.unwrap_or_else(|| "the engine refused it".to_owned())) })
    }

    async fn call(&self, method: Method, path: &str) -> Result<(StatusCode, Bytes), TargetError> {
        let late = |_| TargetError { is_outage: true, ..self.wrong(&format!("{method} {path} timed out")) };
        timeout(USUAL, async {
            let mut idle = self.idle.lock().await;
            idle.retain(|sender| !sender.is_closed());
            let known = idle.pop();
            drop(idle);
            let mut sender = match known {
                Some(sender) => sender,
                None => self.open().await?,
            };
            let request = Request::builder().method(&method).uri(path).header(header::HOST, "docker");
            let request = request.body(Empty::new()).map_err(|error| self.wrong(&error.to_string()))?;
            sender.ready().await.map_err(|error| self.lost(error))?;
            let answer = sender.send_request(request).await.map_err(|error| self.lost(error))?;
            let status = answer.status();
            let mut body = answer.into_body();
            let mut text = BytesMut::new();
            while let Some(frame) = body.frame().await {
                let Ok(data) = frame.map_err(|error| self.lost(error))?.into_data() else { continue };
                if text.len() + data.len() > LARGEST_ANSWER {
                    return Err(self.wrong(&format!("the answer to {method} {path} is too large")));
                }
                text.extend_from_slice(&data);
            }
            self.idle.lock().await.push(sender);
            Ok((status, text.freeze()))
        })
        .await
        .map_err(late)?
    }

    async fn open(&self) -> Result<SendRequest<Empty<Bytes>>, TargetError> {
        let stream = self.stream().await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.lost(error))?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// A stream to the engine: its socket, or the Docker client of the user where the engine has no socket, or where the
    /// server forwards none.
    async fn stream(&self) -> Result<Box<dyn Stream>, TargetError> {
        let connection = self.remote.connection().await?;
        if !self.by_client.load(Relaxed) {
            if let Some(path) = self.address.strip_prefix("unix://") {
                match connection.socket(path).await {
                    Err(SshError::Socket { .. }) => {}
                    stream => return Ok(stream?),
                }
            }
            // Its error would be lost later: that client prints it, and the stream just ends.
            self.remote
                .run("docker version", &Command::new(["docker", "version", "--format", "{{.Server.Version}}"]))
                .await?;
            self.by_client.store(true, Relaxed);
        }
        Ok(connection.stream(&Command::new(["docker", "system", "dial-stdio"])).await?)
    }

    fn wrong(&self, problem: &str) -> TargetError {
        TargetError::new(format!("{}: {problem}", self.remote.server()))
    }

    fn lost(&self, source: hyper::Error) -> TargetError {
        let error = self.wrong("the connection to the Docker engine was lost");
        TargetError { is_outage: true, source: Some(Box::new(source)), ..error }
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> TargetError {
        let text = error_in(body).unwrap_or_default();
        self.wrong(&format!("the Docker engine answers with status {}: {text}", status.as_u16()))
    }
}

/// The error in a line of progress or in the body of an answer.
fn error_in(text: &[u8]) -> Option<String> {
    let message: Message = serde_json::from_slice(text).ok()?;
    message.error.or(message.message)
}

fn pull_hint(problem: &str) -> Option<&'static str> {
    let problem = problem.to_lowercase();
    let has = |text: &str| problem.contains(text);
    if has("unauthorized") || has("no basic auth") || has("denied") || has("authentication required") {
        Some(
            "check that the credentials may read this image; they come from `registries` and from the login of the run",
        )
    } else if has("no space left on device") {
        Some("free disk space on the server, for example with `docker image prune`")
    } else if has("not found") || has("manifest unknown") {
        Some("the image was removed from the registry; build it again")
    } else if has("no such host") || has("connection refused") || has("timeout") || has("deadline exceeded") {
        Some("check that the server can reach the registry")
    } else {
        None
    }
}

/// The value of `X-Registry-Auth` (<https://docs.docker.com/reference/api/engine/version/v1.51/#section/Authentication>).
fn registry_auth(reference: &str, login: &Login) -> String {
    let host = reference.split('/').next().unwrap_or_default();
    let server = if host == "docker.io" { "https://index.docker.io/v1/" } else { host };
    let value = match login.identity_token() {
        Some(token) => json!({"identitytoken": token.expose(), "serveraddress": server}),
        None => json!({
            "username": login.username,
            "password": login.password.expose(),
            "serveraddress": server,
        }),
    };
    URL_SAFE.encode(value.to_string())
}

/// A part of a URL, with everything but letters, digits and a few harmless characters percent-encoded.
pub(super) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::{encoded, error_in, pull_hint};

    #[test]
    fn errors_of_both_forms() {
        assert_eq!(
            error_in(br#"{"message":"no basic auth credentials"}"#).as_deref(),
            Some("no basic auth credentials")
        );
        let line = br#"{"errorDetail":{"message":"x"},"error":"manifest unknown"}"#;
        assert_eq!(error_in(line).as_deref(), Some("manifest unknown"));
        assert_eq!(error_in(br#"{"status":"Pulling fs layer","id":"ab"}"#), None);
        assert!(pull_hint("401 Unauthorized").is_some_and(|hint| hint.contains("credentials")));
    }

    #[test]
    fn names_in_urls() {
        assert_eq!(encoded("ghcr.io/x/y@sha256:00"), "ghcr.io%2Fx%2Fy%40sha256%3A00");
    }
}
