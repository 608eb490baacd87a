//! Reads from the content store that a daemon shares.
//!
//! API: <https://github.com/containerd/containerd/blob/main/api/services/content/v1/content.proto>, which the daemon
//! serves read-only next to its own.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tonic::{Request, Status, client::Grpc, codegen::http::uri::PathAndQuery, transport::Channel};
use tonic_prost::ProstCodec;

use super::Client;

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

/// Maximum size of a manifest or index (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md>).
const MAX_MANIFEST: usize = 4 << 20;

/// Time limit for the daemon. Its content is available from the registry too.
const TIMEOUT: Duration = Duration::from_secs(2);

impl Client {
    /// Reads the manifest or index that has this digest, `sha256:…`, from the daemon's content store.
    ///
    /// # Errors
    /// If the store does not have it (anymore), does not answer within 2 s, or has content too large for a manifest.
    pub async fn manifest(&self, digest: &str) -> Result<Vec<u8>, Status> {
        let late = |_| Status::deadline_exceeded("the content store did not answer");
        tokio::time::timeout(TIMEOUT, read(self.channel().clone(), digest)).await.map_err(late)?
    }
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
