//! Reads manifests from a registry that we can reach ourselves.
//!
//! Protocol: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>, tokens as in
//! <https://distribution.github.io/distribution/spec/auth/token/>. Over TLS; of a registry at a private address that has
//! none, only what it tells everyone. One on the runner's own host is the engine's business.

use std::net::Ipv4Addr;

use reqwest::{Client, StatusCode, Url, header};
use serde::Deserialize;

use super::{challenge::Challenge, manifest::Manifest};
use crate::domain::{credentials::Login, digest::Digest};

const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
                      application/vnd.docker.distribution.manifest.v2+json, \
                      application/vnd.docker.distribution.manifest.list.v2+json";

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(alias = "access_token")]
    token: String,
}

/// Compressed bytes of `repository@digest`, of all platforms; `None` if the registry does not tell.
pub async fn image_size(http: &Client, repository: &str, digest: &Digest, login: Option<&Login>) -> Option<u64> {
    let (host, path) = repository.split_once('/')?;
    let host = if host == "docker.io" { "registry-1.docker.io" } else { host };
    let over = |scheme, login| Reader { http, base: format!("{scheme}://{host}/v2/{path}/manifests"), login };
    let mut reader = over("https", login);
    let mut first = reader.first(digest.as_str()).await;
    if first.is_none() && is_private(host) {
        // No credential goes over the wire in clear.
        reader = over("http", None);
        first = reader.first(digest.as_str()).await;
    }
    let (top, authorization) = first?;
    let mut total = top.size();
    for child in top.children() {
        total += reader.get(child, authorization.as_deref()).await.ok()?.size();
    }
    Some(total)
}

/// Whether the host is an address within someone's own network.
fn is_private(host: &str) -> bool {
    let address = host.rsplit_once(':').map_or(host, |(address, _port)| address);
    address.parse::<Ipv4Addr>().is_ok_and(|address| address.is_private())
}

struct Reader<'a> {
    http: &'a Client,
    base: String,
    login: Option<&'a Login>,
}

impl Reader<'_> {
    /// The manifest, and the `Authorization` that it took.
    async fn first(&self, digest: &str) -> Option<(Manifest, Option<String>)> {
        let challenge = match self.get(digest, None).await {
            Ok(manifest) => return Some((manifest, None)),
            Err(challenge) => challenge?,
        };
        let authorization = self.answer(&challenge).await?;
        let manifest = self.get(digest, Some(&authorization)).await.ok()?;
        Some((manifest, Some(authorization)))
    }

    /// `Err` holds the challenge, if that is why there is no manifest.
    async fn get(&self, digest: &str, authorization: Option<&str>) -> Result<Manifest, Option<Challenge>> {
        let mut request = self.http.get(format!("{}/{digest}", self.base)).header(header::ACCEPT, ACCEPT);
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let response = request.send().await.map_err(|_| None)?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let header = response.headers().get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
            return Err(header.and_then(Challenge::parse));
        }
        response.error_for_status().map_err(|_| None)?.json().await.map_err(|_| None)
    }

    async fn answer(&self, challenge: &Challenge) -> Option<String> {
        match challenge {
            Challenge::Basic => self.login.map(Login::basic),
            Challenge::Bearer { realm, query } => {
                let mut request = self.http.get(Url::parse_with_params(realm, query).ok()?);
                if let Some(login) = self.login {
                    request = request.header(header::AUTHORIZATION, login.basic());
                }
                let answer: TokenAnswer = request.send().await.ok()?.error_for_status().ok()?.json().await.ok()?;
                Some(format!("Bearer {}", answer.token))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_private;

    #[test]
    fn only_addresses_of_ones_own_network_are_asked_in_clear() {
        assert!(is_private("10.0.0.7:5000") && is_private("192.168.1.2"));
        for host in ["ghcr.io", "8.8.8.8:5000", "127.0.0.1:5000", "localhost:5000", "10.0.0.7.example"] {
            assert!(!is_private(host), "{host}");
        }
    }
}
