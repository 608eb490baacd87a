//! Calls of registries, as engines make them, with the words that they have for what goes wrong.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Who pushes.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) user: String,
    pub(super) secret: String,
}

/// What a registry answers.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

/// Stores a manifest under a tag or its digest.
pub(super) async fn put(
    repository: &str,
    reference: &str,
    manifest: Vec<u8>,
    identity: Option<&Identity>,
) -> Result<(), String> {
    let (host, name) = repository.split_once('/').unwrap_or((repository, ""));
    let path = format!("/v2/{name}/manifests/{reference}");
    let answer = call(Method::PUT, host, &path, manifest, identity).await?;
    match answer.status {
        status if status.is_success() => Ok(()),
        StatusCode::UNAUTHORIZED if identity.is_none() => {
            Err("push access denied, repository does not exist or may require authorization: authorization failed: \
             no basic auth credentials"
                .to_owned())
        }
        status => Err(format!("unexpected status from PUT request to http://{host}{path}: {status}")),
    }
}

/// Makes a call with a login, if there is one.
pub(super) async fn call(
    method: Method,
    host: &str,
    path: &str,
    body: Vec<u8>,
    identity: Option<&Identity>,
) -> Result<Answer, String> {
    let verb = match method {
        Method::PUT => "Put",
        Method::HEAD => "Head",
        _ => "Get",
    };
    let failed = |reason: &str| format!("failed to do request: {verb} \"http://{host}{path}\": {reason}");
    let stream = TcpStream::connect(host).await.map_err(|error| {
        let reason = match error.kind() {
            std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
            _ => error.to_string(),
        };
        failed(&format!("dial tcp {host}: connect: {reason}"))
    })?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error.to_string()))?;
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, "application/vnd.oci.image.manifest.v1+json");
    if let Some(Identity { user, secret }) = identity {
        request =
            request.header(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(format!("{user}:{secret}"))));
    }
    let request = request.body(Full::new(Bytes::from(body))).map_err(|error| failed(&error.to_string()))?;
    let answer = sender.send_request(request).await.map_err(|_| failed("EOF"))?;
    Ok(Answer { status: answer.status(), headers: answer.headers().clone() })
}
