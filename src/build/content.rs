//! Reads manifests from the content store that BuildKit shares, to know an image's compressed size without asking a
//! registry that may be out of our reach.
//!
//! API: <https://github.com/containerd/containerd/blob/main/api/services/content/v1/content.proto>, which the daemon
//! serves read-only beside its own.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tonic::{Request, Status, client::Grpc, codegen::http::uri::PathAndQuery, transport::Channel};
use tonic_prost::ProstCodec;

use crate::{domain::digest::Digest, registry::manifest::Manifest};

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

/// How long the daemon may take to tell a size, which is nice to know and no more.
const LIMIT: Duration = Duration::from_secs(2);

/// Compressed bytes of an image: its layers and configuration, of all platforms. `None` if the store no longer has
/// its manifest, or does not answer.
pub async fn image_size(channel: &Channel, digest: &Digest) -> Option<u64> {
    tokio::time::timeout(LIMIT, total_size(channel, digest)).await.ok().flatten()
}

async fn total_size(channel: &Channel, digest: &Digest) -> Option<u64> {
    let top = manifest(channel, digest.as_str()).await?;
    let mut total = top.size();
    for child in top.children() {
        total += manifest(channel, child).await?.size();
    }
    Some(total)
}

async fn manifest(channel: &Channel, digest: &str) -> Option<Manifest> {
    let blob = read(channel.clone(), digest).await.ok()?;
    serde_json::from_slice(&blob).ok()
}

async fn read(channel: Channel, digest: &str) -> Result<Vec<u8>, Status> {
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
