//! A client of a daemon's control API: workers, version, solves and their status streams, on one gRPC channel.
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
use tonic::{Status, transport::Channel};
use tower::service_fn;

use super::{
    Endpoint, MAX_MESSAGE,
    stall::Stalls,
    steps::{Steps, Update},
    timeouts::CacheTimeout,
    transport::TransportError,
    version::{self, Version},
};
use crate::domain::platform::normal;

/// Error details travel in HTTP/2 trailers and hold the whole Dockerfile; hyper's default limit of 16 KiB would turn
/// a large one into a protocol error.
const MAX_HEADERS: u32 = 16 << 20;
/// h2 takes more small frames than a connection's window explains for an attack and closes the connection; a build's
/// status is many small frames. A large window allows many, and costs nothing until it is used.
const CONNECTION_WINDOW: u32 = 64 << 20;
/// Time limit for the status stream after the end of its solve.
const STATUS_GRACE: Duration = Duration::from_secs(3);
/// The same if nothing was received: the solve failed before it began, and the stream would hang for seconds.
const SILENT_STATUS_GRACE: Duration = Duration::from_millis(50);
/// Time limit for a daemon to report its version, which only details of a build depend on.
const VERSION: Duration = Duration::from_secs(5);

/// Worker label that marks an engine with the containerd image store; buildx looks for it too.
const SNAPSHOTTER: &str = "org.mobyproject.buildkit.worker.snapshotter";
/// Worker label with the address of the engine's host.
const HOST_GATEWAY: &str = "org.mobyproject.buildkit.worker.moby.host-gateway-ip";

/// The workers of a daemon, as it reports them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Worker {
    /// Whether it is part of an engine with the containerd image store.
    pub containerd: bool,
    /// The platforms that it can run, its own first, such as `linux/amd64`.
    pub platforms: Vec<String>,
    /// Where `RUN` steps find the engine's host (`host-gateway`), if the daemon reports it.
    pub host_gateway: Option<String>,
}

/// Receives the updates of a solve, in order. The daemon waits while an update is handled.
pub trait Observer: Send {
    /// Handles an update.
    fn update(&mut self, update: Update) -> impl Future<Output = ()> + Send;
}

/// A client of a BuildKit daemon. Clones share its channel.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
}

impl Client {
    /// Connects to a daemon.
    pub async fn connect(endpoint: &Endpoint) -> Result<Self, TransportError> {
        // Connect here, so that the error is ours and not wrapped by tonic.
        let mut first = Some(endpoint.dial().await?);
        let endpoint = endpoint.clone();
        let connector = service_fn(move |_| {
            let (first, endpoint) = (first.take(), endpoint.clone());
            async move {
                match first {
                    Some(stream) => Ok(TokioIo::new(stream)),
                    None => endpoint.dial().await.map(TokioIo::new).map_err(io::Error::other),
                }
            }
        });
        let channel = Channel::from_static("http://buildkit")
            .http2_max_header_list_size(MAX_HEADERS)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .connect_with_connector_lazy(connector);
        Ok(Self { channel })
    }

    /// Asks the daemon about its workers.
    pub async fn worker(&self) -> Result<Worker, Status> {
        let workers = self.control().list_workers(ListWorkersRequest::default()).await?.into_inner();
        let mut all = Worker::default();
        for mut worker in workers.record {
            all.containerd |= worker.labels.contains_key(SNAPSHOTTER);
            all.host_gateway = all.host_gateway.or_else(|| worker.labels.remove(HOST_GATEWAY));
            let platforms = worker.platforms.iter();
            all.platforms
                .extend(platforms.map(|one| normal(&format!("{}/{}/{}", one.os, one.architecture, one.variant))));
        }
        Ok(all)
    }

    /// Requests the daemon's version. `None` before BuildKit 0.11, and if there is no answer within 5 s.
    pub async fn version(&self) -> Option<Version> {
        let mut client = self.control();
        let info = timeout(VERSION, client.info(InfoRequest {})).await.ok()?.ok()?.into_inner();
        version::parse(&info.buildkit_version?.version)
    }

    /// Solves a request and passes updates to `observer`. Returns the exporter's result. Dropping the future stops the build
    /// in the daemon.
    ///
    /// # Errors
    /// The daemon's error, which [`super::SolveError`] decodes. A cache that does not respond for too long is an error too.
    pub async fn solve(
        &self,
        request: SolveRequest,
        steps: &mut Steps,
        observer: &mut impl Observer,
    ) -> Result<HashMap<String, String>, Status> {
        let status = StatusRequest { r#ref: request.r#ref.clone() };
        let (mut solver, mut watcher) = (self.control(), self.control());
        let has_status = AtomicBool::new(false);
        let watch = async {
            let stream = watcher.status(status).await.ok()?.into_inner();
            watch(stream, steps, observer, &has_status).await
        };
        let solve = solver.solve(request);
        tokio::pin!(solve, watch);
        let answer = tokio::select! {
            answer = &mut solve => {
                let still_open = timeout(SILENT_STATUS_GRACE, &mut watch).await.is_err();
                if still_open && has_status.load(Ordering::Relaxed) {
                    // All updates of the build have arrived by now, so do not wait longer for the end of the stream.
                    let _ = timeout(STATUS_GRACE, &mut watch).await;
                }
                answer
            }
            stalled = &mut watch => match stalled {
                // Returning drops the solve, which stops it.
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

    fn control(&self) -> ControlClient<Channel> {
        ControlClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE)
    }
}

/// Passes updates on until the stream ends, or until a cache did not respond for too long: that error is returned.
async fn watch(
    mut stream: impl Stream<Item = Result<StatusResponse, Status>> + Unpin,
    steps: &mut Steps,
    observer: &mut impl Observer,
    has_status: &AtomicBool,
) -> Option<Status> {
    let (mut cache, mut stalls) = (CacheTimeout::default(), Stalls::default());
    loop {
        for (step, wait, time) in stalls.due(Instant::now()) {
            observer.update(steps.stalled(step, wait, time)).await;
        }
        let message = match cache.deadline().into_iter().chain(stalls.next()).min() {
            None => stream.next().await,
            Some(deadline) => match timeout_at(deadline, stream.next()).await {
                Ok(message) => message,
                Err(_) if cache.deadline().is_some_and(|deadline| deadline <= Instant::now()) => return cache.error(),
                Err(_) => continue,
            },
        };
        let message = message?.ok()?;
        has_status.store(true, Ordering::Relaxed);
        for update in steps.decode(&message) {
            observer.update(update).await;
        }
        cache.update(steps.running_cache_step(), Instant::now());
        stalls.update(steps.waiting(), Instant::now());
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

    use super::{Observer, Steps, Update, watch};

    struct Nobody;

    impl Observer for Nobody {
        async fn update(&mut self, _: Update) {}
    }

    /// The error after a stream that reports this step and then nothing more, and how long that took.
    async fn silent_after(name: &str, ended: bool) -> (Option<String>, Duration) {
        let now = Some(Timestamp { seconds: 1, nanos: 0 });
        let completed = if ended { now } else { None };
        let step = Vertex { digest: "d".into(), name: name.into(), started: now, completed, ..Vertex::default() };
        let message = StatusResponse { vertexes: vec![step], ..StatusResponse::default() };
        let (mut steps, has_status, began) = (Steps::default(), AtomicBool::new(false), Instant::now());
        let stream = stream::iter([Ok(message)]).chain(stream::pending());
        let mut nobody = Nobody;
        let watching = watch(stream, &mut steps, &mut nobody, &has_status);
        let stalled = tokio::time::timeout(Duration::from_hours(6), watching).await.ok().flatten();
        (stalled.map(|status| status.message().to_owned()), began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_silent_cache_ends_the_wait() {
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
