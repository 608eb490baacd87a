//! Reads manifests from the content store that BuildKit shares: the bytes that a tag is put with, and an image's
//! compressed size, without asking a registry.
//!
//! API: <https://github.com/containerd/containerd/blob/main/api/services/content/v1/content.proto>, which the daemon
//! serves read-only beside its own.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use serde::Deserialize;
use tonic::{Request, Status, client::Grpc, codegen::http::uri::PathAndQuery, transport::Channel};
use tonic_prost::ProstCodec;

use crate::{
    domain::digest::Digest,
    registry::{manifest::Manifest, remote::Stored},
};

#[derive(Clone, PartialEq, Message)]
struct ReadContentRequest {
    #[prost(string, tag = "1")]
    digest: String,
    #[prost(int64, tag = "2")]
    offset: i64,
    #[prost(int64, tag = "3")]
    size: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ReadContentResponse {
    #[prost(int64, tag = "1")]
    offset: i64,
    #[prost(bytes = "bytes", tag = "2")]
    data: Bytes,
}

/// No manifest or index is larger (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md>).
const MAX_MANIFEST: usize = 4 << 20;

/// How long the daemon may take to read a manifest. What it holds can be had from the registry too.
const LIMIT: Duration = Duration::from_secs(2);

/// A manifest or index, ready to be stored in a registry; `None` if the store does not have it, or if it does not say
/// what it is.
pub async fn stored(channel: &Channel, digest: &Digest) -> Option<Stored> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed {
        media_type: String,
    }
    let body = Bytes::from(read(channel.clone(), digest.as_str()).await.ok()?);
    let Typed { media_type } = serde_json::from_slice(&body).ok()?;
    (Digest::of(&body) == *digest).then(|| Stored { digest: digest.clone(), media_type, body })
}

/// Compressed bytes of an image: its layers and configuration, of all platforms. `None` if the store no longer has
/// its manifest, or does not answer.
pub async fn image_size(channel: &Channel, digest: &Digest) -> Option<u64> {
    let blob = read(channel.clone(), digest.as_str()).await.ok()?;
    size_of(channel, &blob).await
}

/// The same for a manifest or index that is at hand.
pub async fn size_of(channel: &Channel, top: &[u8]) -> Option<u64> {
    let top: Manifest = serde_json::from_slice(top).ok()?;
    let mut total = top.size();
    for child in top.children() {
        let blob = read(channel.clone(), child).await.ok()?;
        total += serde_json::from_slice::<Manifest>(&blob).ok()?.size();
    }
    Some(total)
}

async fn read(channel: Channel, digest: &str) -> Result<Vec<u8>, Status> {
    let late = |_| Status::deadline_exceeded("the content store does not answer");
    tokio::time::timeout(LIMIT, read_all(channel, digest)).await.map_err(late)?
}

async fn read_all(channel: Channel, digest: &str) -> Result<Vec<u8>, Status> {
    let mut client = Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec: ProstCodec<ReadContentRequest, ReadContentResponse> = ProstCodec::default();
    let request = Request::new(ReadContentRequest { digest: digest.to_owned(), offset: 0, size: 0 });
    let path = PathAndQuery::from_static("/containerd.services.content.v1.Content/Read");
    let mut stream = client.server_streaming(request, path, codec).await?.into_inner();
    let mut blob = Vec::new();
    while let Some(message) = stream.message().await? {
        blob.extend_from_slice(&message.data);
        if blob.len() > MAX_MANIFEST {
            return Err(Status::out_of_range(format!("{digest} is too large for a manifest")));
        }
    }
    Ok(blob)
}
