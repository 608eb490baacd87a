//! Reads the size of an image from a registry. Best effort.

use super::{manifest::Manifest, remote::Remote};
use crate::domain::digest::Digest;

/// The compressed size of an image in bytes, for all platforms; `None` if it cannot be read.
pub async fn image_size(remote: &Remote, digest: &Digest) -> Option<u64> {
    let top = manifest(remote, digest.as_str()).await?;
    let mut total = top.size();
    for child in top.children() {
        total = total.saturating_add(manifest(remote, child).await?.size());
    }
    Some(total)
}

async fn manifest(remote: &Remote, digest: &str) -> Option<Manifest> {
    serde_json::from_slice(&remote.manifest(digest).await.ok()??.body).ok()
}
