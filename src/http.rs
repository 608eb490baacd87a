//! The one way to make an HTTP client: rustls with ring, the CA roots of `SSL_CERT_FILE` or the system, proxies by
//! `HTTPS_PROXY` and `NO_PROXY`.

use std::{
    sync::{Once, OnceLock},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use reqwest::{Client, ClientBuilder, Response, redirect};
use thiserror::Error;

static PROVIDER: Once = Once::new();

/// A server that has not accepted the connection by then is down.
const CONNECT: Duration = Duration::from_secs(5);
/// The same for the whole of a request.
const TOTAL: Duration = Duration::from_secs(10);

/// Makes ring the cryptography of every rustls connection of the process, which must be done before the first.
pub fn install_crypto() {
    // A second installation is refused, which is as good.
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// A builder with our limits. No redirect is followed: a credential goes to the host that it is for, or nowhere.
pub fn builder() -> ClientBuilder {
    install_crypto();
    Client::builder().connect_timeout(CONNECT).timeout(TOTAL).redirect(redirect::Policy::none())
}

/// Why the body of an answer could not be had.
#[derive(Debug, Error)]
pub enum BodyError {
    /// It is larger than any answer to this call.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The connection broke, or the time was over.
    #[error(transparent)]
    Broken(#[from] reqwest::Error),
}

/// Reads the body of an answer, and no more than `limit` bytes of it: a server that never stops sending is cut off.
///
/// What is counted is what is kept. No encoding is asked for and none is undone, so a small answer cannot become a large
/// one.
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

/// A client that is made when it is first needed: runs whose engine builds and keeps the cache do without, and to read
/// the system's certificates takes a good part of a build of which nothing changed.
#[derive(Debug, Default)]
pub struct OnDemand(OnceLock<Option<Client>>);

impl OnDemand {
    /// The client; `None` if there can be none, as without certificates.
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

    /// A server that answers one call with this head and then with zeros, as many as the caller takes; tells how many
    /// bytes these were.
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
    async fn an_answer_without_an_end_is_cut_off() {
        let (url, server) = endless("HTTP/1.1 200 OK\r\n\r\n", usize::MAX).await;
        let response = builder().build().unwrap().get(url).send().await.unwrap();
        let read = bounded_body(response, 100_000).await;
        assert!(matches!(read, Err(BodyError::TooLarge(100_000))), "{read:?}");
        // What the buffers of the two sockets hold, and not gigabytes.
        assert!(server.await.unwrap() < 64 << 20);
    }

    #[tokio::test]
    async fn an_answer_that_says_that_it_is_too_large_is_not_read() {
        let (url, _server) = endless("HTTP/1.1 200 OK\r\ncontent-length: 100001\r\n\r\n", 0).await;
        let response = builder().build().unwrap().get(url).send().await.unwrap();
        assert!(matches!(bounded_body(response, 100_000).await, Err(BodyError::TooLarge(_))));
    }

    #[tokio::test]
    async fn an_answer_of_the_largest_size_is_whole() {
        let (url, _server) = endless("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", 8192).await;
        let response = builder().build().unwrap().get(url).send().await.unwrap();
        assert_eq!(bounded_body(response, 8192).await.unwrap().len(), 8192);
    }

    #[tokio::test]
    async fn a_compressed_answer_is_not_unpacked() {
        let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n";
        let (url, _server) = endless(head, 4096).await;
        let response = builder().build().unwrap().get(url).send().await.unwrap();
        assert_eq!(bounded_body(response, 1 << 20).await.unwrap(), [b'0'; 4096].as_slice());
    }
}
