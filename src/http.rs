//! Creates HTTP clients: rustls with ring, CA certificates from `SSL_CERT_FILE` or the system, proxies from `HTTPS_PROXY`
//! and `NO_PROXY`.

use std::{
    sync::{Once, OnceLock},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use reqwest::{Client, ClientBuilder, Response, redirect};
use thiserror::Error;

static PROVIDER: Once = Once::new();

/// Timeout of a connection attempt.
const CONNECT: Duration = Duration::from_secs(5);
/// Timeout of a whole request.
const TOTAL: Duration = Duration::from_secs(10);

/// Installs ring as the crypto provider of rustls. Must be called before the first connection.
pub fn install_crypto() {
    // Fails if a provider is installed already, which is fine.
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// A builder with timeouts. Redirects are not followed, so that credentials are sent to no other host.
pub fn builder() -> ClientBuilder {
    install_crypto();
    Client::builder().connect_timeout(CONNECT).timeout(TOTAL).redirect(redirect::Policy::none())
}

/// What to do about a server whose certificate is not trusted.
pub const UNTRUSTED: &str = "set the variable `SSL_CERT_FILE` of the step to a file in the workspace or `RUNNER_TEMP` with \
                             all trusted CA certificates, such as a copy of the runner's \
                             /etc/ssl/certs/ca-certificates.crt";

/// Adds what to do to the reason of a failed request, if the server's certificate is not trusted.
pub fn with_hint(reason: String) -> String {
    if reason.contains("invalid peer certificate: UnknownIssuer") { format!("{reason}; {UNTRUSTED}") } else { reason }
}

/// Why the body of an answer could not be read.
#[derive(Debug, Error)]
pub enum BodyError {
    /// It is larger than the limit.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The connection was lost, or the request timed out.
    #[error(transparent)]
    Broken(#[from] reqwest::Error),
}

/// Reads the body of an answer, up to `limit` bytes.
///
/// Compression is neither requested nor decoded, so a small answer cannot expand to a large one.
pub async fn bounded_body(mut response: Response, limit: usize) -> Result<Bytes, BodyError> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(BodyError::TooLarge(limit));
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// A client that is created when first used. Many runs need none, and reading the system's certificates takes a considerable
/// part of a build without changes.
#[derive(Debug, Default)]
pub struct OnDemand(OnceLock<Option<Client>>);

impl OnDemand {
    /// The client; `None` if it could not be created, for example without certificates.
    pub fn client(&self) -> Option<&Client> {
        self.0.get_or_init(|| builder().build().ok()).as_ref()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        task::JoinHandle,
    };

    use super::{BodyError, bounded_body, builder};

    /// Starts a server that answers one call with this head and then with zeros until the caller stops reading. Returns the
    /// number of bytes that it sent.
    async fn endless(head: &'static str, bytes: usize) -> (String, JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let answer = async move |mut stream: TcpStream| {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut sent = 0;
            while sent < bytes && stream.write_all(&[b'0'; 4096]).await.is_ok() {
                sent += 4096;
            }
            sent
        };
        (url, tokio::spawn(async move { answer(listener.accept().await.unwrap().0).await }))
    }

    #[tokio::test]
    async fn an_endless_answer_is_too_large() {
        let (url, server) = endless("HTTP/1.1 200 OK\r\n\r\n", usize::MAX).await;
        let response = builder().build().unwrap().get(url).send().await.unwrap();
        let read = bounded_body(response, 100_000).await;
        assert!(matches!(read, Err(BodyError::TooLarge(100_000))), "{read:?}");
        // Only as much as the socket buffers hold, not gigabytes.
        assert!(server.await.unwrap() < 64 << 20);
    }

    #[tokio::test]
    async fn an_answer_with_too_large_a_length_is_not_read() {
        let (url, _server) = endless("HTTP/1.1 200 OK\r\ncontent-length: 100001\r\n\r\n", 0).await;
        let response = builder().build().unwrap().get(url).send().await.unwrap();
        assert!(matches!(bounded_body(response, 100_000).await, Err(BodyError::TooLarge(_))));
    }

    #[tokio::test]
    async fn an_answer_of_the_maximum_size_is_complete() {
        let (url, _server) = endless("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", 8192).await;
        let response = builder().build().unwrap().get(url).send().await.unwrap();
        assert_eq!(bounded_body(response, 8192).await.unwrap().len(), 8192);
    }

    #[tokio::test]
    async fn a_compressed_answer_is_not_decompressed() {
        let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n";
        let (url, _server) = endless(head, 4096).await;
        let response = builder().build().unwrap().get(url).send().await.unwrap();
        assert_eq!(bounded_body(response, 1 << 20).await.unwrap(), [b'0'; 4096].as_slice());
    }
}
