//! The job's OIDC token, which authenticates the job at a cloud without a stored key
//! (<https://docs.github.com/en/actions/reference/security/oidc>).

use reqwest::{Client, StatusCode, Url, header};
use serde::Deserialize;
use thiserror::Error;

use crate::{domain::secret::Secret, http::bounded_body};

/// Maximum size of an answer in bytes. A token has two or three thousand.
const LARGEST_ANSWER: usize = 64 << 10;

/// Why GitHub did not issue a token.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum OidcError {
    /// GitHub could not be reached.
    #[error("failed to request the job's OIDC token from GitHub: {0}")]
    Unreachable(String),
    /// GitHub rejected the request.
    #[error("GitHub refused to issue an OIDC token for the job: {0}")]
    Refused(StatusCode),
    /// The answer contains no token.
    #[error("GitHub's answer contains no OIDC token")]
    Empty,
}

#[derive(Deserialize)]
struct Answer {
    value: String,
}

/// Requests a token for `audience`. `url` and `bearer` are the variables `ACTIONS_ID_TOKEN_REQUEST_URL` and `…_TOKEN`,
/// which the runner sets only with the permission `id-token: write`.
pub async fn id_token(http: &Client, url: &str, bearer: &Secret, audience: &str) -> Result<Secret, OidcError> {
    // The URL is not shown in errors, since it may not be public. It already has a query.
    let unreachable = |error: reqwest::Error| OidcError::Unreachable(error.without_url().to_string());
    let mut url = Url::parse(url).map_err(|error| OidcError::Unreachable(error.to_string()))?;
    url.query_pairs_mut().append_pair("audience", audience);
    let request = http.get(url).header(header::AUTHORIZATION, format!("Bearer {}", bearer.expose()));
    let response = request.send().await.map_err(unreachable)?;
    if !response.status().is_success() {
        return Err(OidcError::Refused(response.status()));
    }
    let body = bounded_body(response, LARGEST_ANSWER).await.map_err(|_| OidcError::Empty)?;
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| OidcError::Empty)?;
    if answer.value.is_empty() { Err(OidcError::Empty) } else { Ok(Secret::new(answer.value)) }
}
