//! Receives images that the daemon exports to its client.
//!
//! The exporter's side is <https://github.com/moby/buildkit/blob/master/session/filesync/filesync.go>: a tar archive in
//! pieces; the end of our answer confirms that all of it was received.

use std::{pin::Pin, sync::Arc};

use bollard_buildkit_proto::moby::filesync::v1::{BytesMessage, file_send_server::FileSend};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tonic::{Request, Response, Status, Streaming};

/// The tar archive of an image, in pieces. An error is the daemon's, or the connection's.
pub type Archive = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// A receiver of an image.
#[tonic::async_trait]
pub trait ImageReceiver: Send + Sync {
    /// Receives an image, and returns when it is complete.
    ///
    /// # Errors
    /// The reason why the image was refused. The build fails with this text.
    async fn receive(&self, image: Archive) -> Result<(), String>;
}

/// The service that the daemon exports to.
pub(super) struct Receiver(pub(super) Arc<dyn ImageReceiver>);

#[tonic::async_trait]
impl FileSend for Receiver {
    type DiffCopyStream = Pin<Box<dyn Stream<Item = Result<BytesMessage, Status>> + Send>>;

    async fn diff_copy(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::DiffCopyStream>, Status> {
        let archive = request.into_inner().map(|message| message.map(|message| Bytes::from(message.data)));
        self.0.receive(archive.boxed()).await.map_err(Status::internal)?;
        Ok(Response::new(stream::empty().boxed()))
    }
}
