//! The job's OIDC token, by which a cloud knows the job without a stored key
//! (<https://docs.github.com/en/actions/reference/security/oidc>).

use reqwest::{Client, StatusCode, Url, header};
use serde::Deserialize;
use thiserror::Error;

use crate::{domain::secret::Secret, http::bounded_body};

/// Bytes of an answer that are read: a token has two or three thousand.
const LARGEST_ANSWER: usize = 64 << 10;

/// Why GitHub gave no token.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum OidcError {
    /// It cannot be asked.
    #[error("ask GitHub for the job's OIDC token: {0}")]
    Unreachable(String),
    /// It said no.
    #[error("GitHub gives the job no OIDC token: {0}")]
    Refused(StatusCode),
    /// The answer holds no token.
    #[error("GitHub's answer holds no OIDC token")]
    Empty,
}

#[derive(Deserialize)]
struct Answer {
    value: String,
}

/// Asks for a token for `audience`. `url` and `bearer` are the variables `ACTIONS_ID_TOKEN_REQUEST_URL` and `…_TOKEN`,
/// which the runner sets only with the permission `id-token: write`.
pub async fn id_token(http: &Client, url: &str, bearer: &Secret, audience: &str) -> Result<Secret, OidcError> {
    // The address already has a query; it is not shown, since it need not be public.
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
