//! The input `http-check`: whether a deployed site answers.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::http;

/// The pause between two attempts.
const INTERVAL: Duration = Duration::from_secs(1);
/// An answer is read up to this many bytes.
const LARGEST_ANSWER: usize = 1 << 20;

/// A URL that must answer after a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCheck {
    /// The URL.
    pub url: String,
    /// The status that is expected; any of 2xx and 3xx if `None`.
    pub status: Option<u16>,
    /// How long the site may take until it answers so.
    pub timeout: Duration,
    /// Text that the answer must contain.
    pub body: Option<String>,
}

/// Asks until the answer is as expected.
///
/// # Errors
/// The problem of the last answer, once the time is over.
pub(super) async fn passes(check: &HttpCheck) -> Result<(), String> {
    let client = http::builder().build().map_err(|error| error.to_string())?;
    let began = Instant::now();
    loop {
        let problem = match attempt(&client, check).await {
            Ok(()) => return Ok(()),
            Err(problem) => problem,
        };
        if began.elapsed() + INTERVAL > check.timeout {
            return Err(format!("{problem}, after {} s", check.timeout.as_secs()));
        }
        sleep(INTERVAL).await;
    }
}

async fn attempt(client: &reqwest::Client, check: &HttpCheck) -> Result<(), String> {
    let answer = client.get(&check.url).send().await.map_err(|error| root_cause(&error))?;
    let status = answer.status();
    let is_expected = check.status.map_or(status.is_success() || status.is_redirection(), |want| status == want);
    if !is_expected {
        return Err(format!("the site answers with status {}", status.as_u16()));
    }
    let Some(text) = &check.body else { return Ok(()) };
    let body = http::bounded_body(answer, LARGEST_ANSWER).await.map_err(|error| error.to_string())?;
    if String::from_utf8_lossy(&body).contains(text) {
        Ok(())
    } else {
        Err(format!("the answer does not contain `{text}`"))
    }
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    format!("the site does not answer: {cause}")
}

#[cfg(test)]
mod tests {

    use std::time::{Duration, Instant};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::{HttpCheck, passes};

    /// A site that gives these answers, the last one again and again.
    async fn site(answers: &'static [&'static str]) -> HttpCheck {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/health", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for n in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let answer = answers[n.min(answers.len() - 1)];
                let _ = stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await;
            }
        });
        HttpCheck { url, status: None, timeout: Duration::from_secs(2), body: None }
    }

    const OK: &str = "200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nready";
    const MOVED: &str = "302 Found\r\nLocation: /login\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const BROKEN: &str = "503 Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_site_may_take_a_moment() {
        assert_eq!(passes(&site(&[OK]).await).await, Ok(()));
        assert_eq!(passes(&site(&[MOVED]).await).await, Ok(()));
        let began = Instant::now();
        assert_eq!(passes(&site(&[BROKEN, OK]).await).await, Ok(()));
        assert!(began.elapsed() >= Duration::from_secs(1));
    }

    #[tokio::test]
    async fn says_what_is_wrong() {
        let problem = passes(&site(&[BROKEN]).await).await.unwrap_err();
        assert_eq!(problem, "the site answers with status 503, after 2 s");
        let moved = HttpCheck { status: Some(200), ..site(&[MOVED]).await };
        assert_eq!(passes(&moved).await.unwrap_err(), "the site answers with status 302, after 2 s");
        let text = HttpCheck { body: Some("ready".into()), ..site(&[OK]).await };
        assert_eq!(passes(&text).await, Ok(()));
        let other = HttpCheck { body: Some("v2".into()), ..text };
        assert_eq!(passes(&other).await.unwrap_err(), "the answer does not contain `v2`, after 2 s");
        let nobody = HttpCheck { url: "http://127.0.0.1:9/".into(), ..other };
        assert!(passes(&nobody).await.unwrap_err().starts_with("the site does not answer: "));
    }
}
