//! Reads manifests from the builder that made them: their bytes, for pushing tags, and the image's compressed size. Sends
//! no request to a registry.

use bytes::Bytes;
use serde::Deserialize;

use crate::{
    buildkit::Client,
    domain::digest::Digest,
    registry::{manifest::Manifest, remote::RawManifest},
};

/// Returns a manifest or index, ready to be pushed to a registry; `None` if the builder does not have it (anymore), or if it
/// has no media type.
pub async fn manifest(client: &Client, digest: &Digest) -> Option<RawManifest> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed {
        media_type: String,
    }
    let body = Bytes::from(client.manifest(digest.as_str()).await.ok()?);
    let Typed { media_type } = serde_json::from_slice(&body).ok()?;
    (Digest::of(&body) == *digest).then(|| RawManifest { digest: digest.clone(), media_type, body })
}

/// The compressed size of an image in bytes: its layers and configurations, of all platforms. `None` if the builder no
/// longer has its manifests, or does not answer.
pub async fn image_size(client: &Client, digest: &Digest) -> Option<u64> {
    let blob = client.manifest(digest.as_str()).await.ok()?;
    size_of(client, &blob).await
}

/// Returns the same for a manifest or index whose bytes are known.
pub async fn size_of(client: &Client, top: &[u8]) -> Option<u64> {
    let top: Manifest = serde_json::from_slice(top).ok()?;
    let mut total = top.size();
    for child in top.children() {
        let blob = client.manifest(child).await.ok()?;
        total = total.saturating_add(serde_json::from_slice::<Manifest>(&blob).ok()?.size());
    }
    Some(total)
}
