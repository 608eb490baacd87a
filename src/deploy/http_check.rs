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
