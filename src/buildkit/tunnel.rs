//! A byte stream inside a gRPC call, which carries the sessions of daemons outside an engine.
//!
//! API: `Control.Session` of
//! <https://github.com/moby/buildkit/blob/master/api/services/control/control.proto>; buildx's side of it is
//! `session/grpchijack/dial.go` in the same repository.

use bollard_buildkit_proto::moby::buildkit::v1::{BytesMessage, control_client::ControlClient};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Status,
    metadata::{AsciiMetadataKey, AsciiMetadataValue},
    transport::Channel,
};

use super::MAX_MESSAGE;

/// Bytes of a message, as in BuildKit's own client.
const CHUNK: usize = 32 << 10;
/// How many messages may be queued for the daemon.
const QUEUE: usize = 8;

/// Opens a stream for a session with these headers, whose names may repeat. The task carries the stream; aborting it ends
/// the call and the stream.
pub(super) async fn open(
    channel: &Channel,
    headers: &[(&'static str, String)],
) -> Result<(DuplexStream, JoinHandle<()>), Status> {
    let (ours, theirs) = tokio::io::duplex(4 * CHUNK);
    let (mut reader, mut writer) = tokio::io::split(theirs);
    let (sender, receiver) = mpsc::channel(QUEUE);
    let mut request = Request::new(ReceiverStream::new(receiver));
    for (name, value) in headers {
        let value = AsciiMetadataValue::try_from(value)
            .map_err(|_| Status::invalid_argument(format!("{name} of the session is not ASCII")))?;
        request.metadata_mut().append(AsciiMetadataKey::from_static(name), value);
    }
    let up = async move {
        let mut buffer = vec![0; CHUNK];
        while let Ok(read @ 1..) = reader.read(&mut buffer).await {
            if sender.send(BytesMessage { data: buffer[..read].to_vec() }).await.is_err() {
                return;
            }
        }
    };
    let mut client = ControlClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE);
    let mut incoming = client.session(request).await?.into_inner();
    let down = async move {
        while let Ok(Some(message)) = incoming.message().await {
            if writer.write_all(&message.data).await.is_err() {
                return;
            }
        }
    };
    let carrier = tokio::spawn(async move {
        tokio::select! {
            () = up => {}
            () = down => {}
        }
    });
    Ok((ours, carrier))
}
