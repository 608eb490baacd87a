//! Reads an image's size from a registry that we can reach ourselves. Best effort: nothing depends on it.

use super::{manifest::Manifest, remote::Remote};
use crate::domain::digest::Digest;

/// Compressed bytes of an image, of all its platforms; `None` if the registry does not tell.
pub async fn image_size(remote: &Remote, digest: &Digest) -> Option<u64> {
    let top = manifest(remote, digest.as_str()).await?;
    let mut total = top.size();
    for child in top.children() {
        total += manifest(remote, child).await?.size();
    }
    Some(total)
}

async fn manifest(remote: &Remote, digest: &str) -> Option<Manifest> {
    serde_json::from_slice(&remote.manifest(digest).await.ok()??.body).ok()
}
