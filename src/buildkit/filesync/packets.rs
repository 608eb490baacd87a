//! Merges the packets that several threads write into the one stream that the daemon reads in a call.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bollard_buildkit_proto::fsutil::types::{Packet, packet::PacketType};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::Status;

/// A packet without a description.
pub(super) fn packet(kind: PacketType, id: u32, data: Vec<u8>) -> Packet {
    Packet { r#type: kind.into(), stat: None, id, data }
}

/// The end of a call.
#[derive(Debug)]
enum End {
    NotYet,
    /// With this status, which is not sent yet.
    Failed(Status),
    Reached,
}

/// The packets of one call. Ends after the first `FIN` or `ERR`.
#[derive(Debug)]
pub struct PacketStream {
    batches: mpsc::Receiver<Vec<Packet>>,
    batch: VecDeque<Packet>,
    end: End,
}

impl Stream for PacketStream {
    type Item = Result<Packet, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match std::mem::replace(&mut self.end, End::Reached) {
                End::NotYet => self.end = End::NotYet,
                End::Failed(status) => return Poll::Ready(Some(Err(status))),
                End::Reached => return Poll::Ready(None),
            }
            let Some(packet) = self.batch.pop_front() else {
                match self.batches.poll_recv(context) {
                    Poll::Ready(Some(batch)) => self.batch = batch.into(),
                    Poll::Ready(None) => self.end = End::Reached,
                    Poll::Pending => return Poll::Pending,
                }
                continue;
            };
            match packet.r#type() {
                PacketType::PacketFin => self.finish(End::Reached),
                PacketType::PacketErr => {
                    self.finish(End::Failed(Status::unknown(String::from_utf8_lossy(&packet.data))));
                }
                PacketType::PacketStat | PacketType::PacketReq | PacketType::PacketData => {}
            }
            return Poll::Ready(Some(Ok(packet)));
        }
    }
}

impl PacketStream {
    /// The packets of these batches.
    pub(super) fn new(batches: mpsc::Receiver<Vec<Packet>>) -> Self {
        Self { batches, batch: VecDeque::new(), end: End::NotYet }
    }

    fn finish(&mut self, end: End) {
        self.end = end;
        // Threads that still write detect that the receiver is gone.
        self.batches.close();
    }
}
