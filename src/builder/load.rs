//! Takes an image that a BuildKit outside the engine exports, and loads it into the engine while it comes.
//!
//! The exporter's side is <https://github.com/moby/buildkit/blob/master/session/filesync/filesync.go>: a tar archive in
//! pieces; the end of our answer says that all of it was taken.

use std::{pin::Pin, sync::Arc};

use bollard_buildkit_proto::moby::filesync::v1::{BytesMessage, file_send_server::FileSend};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tonic::{Request, Response, Status, Streaming};

use super::engine::Engine;

/// Loads what is sent into this engine.
#[derive(Clone, Debug)]
pub struct Intake(pub Arc<Engine>);

/// The daemon is told this way that the engine refuses the image; its text comes back with the failed build.
const REFUSED: &str = "load the image into the engine: ";

#[tonic::async_trait]
impl FileSend for Intake {
    type DiffCopyStream = Pin<Box<dyn Stream<Item = Result<BytesMessage, Status>> + Send>>;

    async fn diff_copy(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::DiffCopyStream>, Status> {
        let archive = request.into_inner().map(|message| message.map(|message| Bytes::from(message.data)));
        self.0.load(archive).await.map_err(|error| Status::internal(format!("{REFUSED}{error}")))?;
        Ok(Response::new(stream::empty().boxed()))
    }
}
