//! Reads an image's size from a registry that we can reach ourselves. Best effort: nothing depends on it.

use reqwest::Client;

use super::{manifest::Manifest, remote::Remote};
use crate::domain::{credentials::Login, digest::Digest};

/// Compressed bytes of `repository@digest`, of all platforms; `None` if the registry does not tell.
pub async fn image_size(http: &Client, repository: &str, digest: &Digest, login: Option<&Login>) -> Option<u64> {
    let remote = Remote::new(http, repository, login)?;
    let top = manifest(&remote, digest.as_str()).await?;
    let mut total = top.size();
    for child in top.children() {
        total += manifest(&remote, child).await?.size();
    }
    Some(total)
}

async fn manifest(remote: &Remote<'_>, digest: &str) -> Option<Manifest> {
    serde_json::from_slice(&remote.manifest(digest).await.ok()??.body).ok()
}
