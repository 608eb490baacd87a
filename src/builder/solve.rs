//! The control side of BuildKit: one gRPC channel to the daemon, solves and their status streams on it.
//!
//! API: <https://github.com/moby/buildkit/blob/master/api/services/control/control.proto>.

use std::{
    collections::HashMap,
    io,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bollard_buildkit_proto::moby::buildkit::v1::{
    InfoRequest, ListWorkersRequest, SolveRequest, StatusRequest, StatusResponse, control_client::ControlClient,
};
use futures_util::{Stream, StreamExt as _};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use tower::service_fn;

use super::{patience::Patience, progress::Progress, reach::Reach};
use crate::{
    buildkit::{MAX_MESSAGE, transport::TransportError},
    domain::platform::normal,
    events::Events,
};

/// Error details travel in HTTP/2 trailers and hold the whole Dockerfile; hyper's default limit of 16 KiB would turn
/// a large one into a protocol error.
const MAX_HEADERS: u32 = 16 << 20;
/// h2 takes more small frames than a connection's window explains for an attack and ends the connection; a build's
/// status is many small frames. A large window allows many, and costs nothing until it is used.
const CONNECTION_WINDOW: u32 = 64 << 20;
/// How long the status stream may lag behind the end of its solve.
const STATUS_GRACE: Duration = Duration::from_secs(3);
/// The same if it has said nothing yet: the solve failed before it began, and the stream will hang for seconds.
const SILENT_STATUS_GRACE: Duration = Duration::from_millis(50);

/// How long a daemon may take to tell its version, which only details of a build depend on.
const VERSION: Duration = Duration::from_secs(5);

/// Worker label that tells an engine with the containerd image store, as buildx tells it.
const SNAPSHOTTER: &str = "org.mobyproject.buildkit.worker.snapshotter";

/// Worker label with the address of the engine's host.
const HOST_GATEWAY: &str = "org.mobyproject.buildkit.worker.moby.host-gateway-ip";

/// What a BuildKit says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Worker {
    /// Whether it is part of an engine with the containerd image store.
    pub containerd: bool,
    /// The platforms that it can run, its own first, such as `linux/amd64`.
    pub platforms: Vec<String>,
    /// Where `RUN` steps find the engine's host, if it tells (`host-gateway`).
    pub host_gateway: Option<String>,
}

/// A BuildKit.
#[derive(Clone, Debug)]
pub struct Control {
    channel: Channel,
}

impl Control {
    /// Connects to a BuildKit.
    pub async fn connect(reach: &Reach) -> Result<Self, TransportError> {
        // The first connection is made here, so that its error is ours and not a wrapped one of tonic's.
        let mut first = Some(reach.dial().await?);
        let reach = reach.clone();
        let connector = service_fn(move |_| {
            let (first, reach) = (first.take(), reach.clone());
            async move {
                match first {
                    Some(stream) => Ok(TokioIo::new(stream)),
                    None => reach.dial().await.map(TokioIo::new).map_err(io::Error::other),
                }
            }
        });
        let channel = Endpoint::from_static("http://buildkit")
            .http2_max_header_list_size(MAX_HEADERS)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .connect_with_connector_lazy(connector);
        Ok(Self { channel })
    }

    /// Asks what it is.
    pub async fn worker(&self) -> Result<Worker, Status> {
        let workers = self.client().list_workers(ListWorkersRequest::default()).await?.into_inner();
        let mut told = Worker::default();
        for mut worker in workers.record {
            told.containerd |= worker.labels.contains_key(SNAPSHOTTER);
            told.host_gateway = told.host_gateway.or_else(|| worker.labels.remove(HOST_GATEWAY));
            let platforms = worker.platforms.iter();
            told.platforms
                .extend(platforms.map(|one| normal(&format!("{}/{}/{}", one.os, one.architecture, one.variant))));
        }
        Ok(told)
    }

    /// Asks for its version; `None` before BuildKit 0.11.
    pub async fn version(&self) -> Option<String> {
        let mut client = self.client();
        let info = timeout(VERSION, client.info(InfoRequest {})).await.ok()?.ok()?.into_inner();
        Some(info.buildkit_version?.version)
    }

    /// Solves, telling the progress as it comes. Returns what the exporter reports. Dropping the future stops the
    /// build in the daemon.
    pub async fn solve(
        &self,
        request: SolveRequest,
        progress: &mut Progress,
        events: &Events,
    ) -> Result<HashMap<String, String>, Status> {
        let status = StatusRequest { r#ref: request.r#ref.clone() };
        let (mut solver, mut watcher) = (self.client(), self.client());
        let heard = AtomicBool::new(false);
        let watch = async {
            let stream = watcher.status(status).await.ok()?.into_inner();
            watch(stream, progress, events, &heard).await
        };
        let solve = solver.solve(request);
        tokio::pin!(solve, watch);
        let answer = tokio::select! {
            answer = &mut solve => {
                let still_open = tokio::time::timeout(SILENT_STATUS_GRACE, &mut watch).await.is_err();
                if still_open && heard.load(Ordering::Relaxed) {
                    // Its end is not awaited any longer than this; a build's last words come before.
                    let _ = tokio::time::timeout(STATUS_GRACE, &mut watch).await;
                }
                answer
            }
            stalled = &mut watch => match stalled {
                // To drop the solve is to stop it.
                Some(stalled) => Err(stalled),
                None => solve.await,
            },
        };
        answer.map(|answer| answer.into_inner().exporter_response)
    }

    /// The channel itself, for the other services that the daemon serves on it.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    fn client(&self) -> ControlClient<Channel> {
        ControlClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE)
    }
}

/// Tells the progress until the stream ends, or a cache has been silent for too long: that is returned.
async fn watch(
    mut stream: impl Stream<Item = Result<StatusResponse, Status>> + Unpin,
    progress: &mut Progress,
    events: &Events,
    heard: &AtomicBool,
) -> Option<Status> {
    let mut patience = Patience::default();
    loop {
        let message = match patience.end() {
            None => stream.next().await,
            Some(end) => match timeout_at(end, stream.next()).await {
                Ok(message) => message,
                Err(_) => return patience.verdict(),
            },
        };
        let message = message?.ok()?;
        heard.store(true, Ordering::Relaxed);
        for event in progress.feed(&message) {
            events.emit(event).await;
        }
        patience.heard(progress.running_cache_step(), Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicBool, time::Duration};

    use bollard_buildkit_proto::{
        google::protobuf::Timestamp,
        moby::buildkit::v1::{StatusResponse, Vertex},
    };
    use futures_util::{StreamExt as _, stream};
    use tokio::time::Instant;

    use super::watch;
    use crate::{builder::progress::Progress, domain::redact::Redactor, events::Events};

    /// What comes of a stream that tells of this step and then says nothing, and how long that took.
    async fn silent_after(name: &str, ended: bool) -> (Option<String>, Duration) {
        let now = Some(Timestamp { seconds: 1, nanos: 0 });
        let completed = if ended { now } else { None };
        let step = Vertex { digest: "d".into(), name: name.into(), started: now, completed, ..Vertex::default() };
        let message = StatusResponse { vertexes: vec![step], ..StatusResponse::default() };
        let (events, _receiver) = Events::channel(Redactor::default());
        let (mut progress, heard, began) = (Progress::new("web", ""), AtomicBool::new(false), Instant::now());
        let stream = stream::iter([Ok(message)]).chain(stream::pending());
        let watching = watch(stream, &mut progress, &events, &heard);
        let stalled = tokio::time::timeout(Duration::from_hours(6), watching).await.ok().flatten();
        (stalled.map(|status| status.message().to_owned()), began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_cache_that_falls_silent_ends_the_wait_and_nothing_else_does() {
        let (stalled, waited) = silent_after("importing cache manifest from r/x:c", false).await;
        assert_eq!(stalled.as_deref(), Some("importing cache manifest from r/x:c: no answer within 150 s"));
        assert_eq!(waited.as_secs(), 150);
        let (stalled, waited) = silent_after("exporting to GitHub Actions Cache", false).await;
        assert_eq!((stalled.is_some(), waited.as_secs()), (true, 600));
        for (name, ended) in [("[2/3] RUN pytest", false), ("importing cache manifest from r/x:c", true)] {
            let (stalled, waited) = silent_after(name, ended).await;
            assert_eq!((stalled, waited.as_secs()), (None, 6 * 3600), "{name}");
        }
    }
}
