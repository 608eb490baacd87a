//! What a build tells of its progress, to whoever asks for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bollard_buildkit_proto::{
    google::protobuf::Timestamp,
    moby::buildkit::v1::{StatusResponse, Vertex, VertexLog, VertexStatus},
};
use futures_util::{Stream, stream};
use tokio::{sync::watch, time::timeout};
use tonic::Status;

use crate::receiver::lock;

/// How long a build is waited for whose progress is asked for.
const APPEARS: Duration = Duration::from_secs(3);

/// The builds that run, by the caller's name for them.
#[derive(Default)]
pub(super) struct Jobs {
    jobs: Mutex<HashMap<String, Arc<Job>>>,
    changed: watch::Sender<()>,
}

impl Jobs {
    /// Begins one.
    pub(super) fn begin(&self, id: &str) -> Result<Arc<Job>, Status> {
        let job = Arc::new(Job::default());
        if lock(&self.jobs).insert(id.to_owned(), job.clone()).is_some_and(|other| !other.is_over()) {
            return Err(Status::unknown(format!("job ID {id} exists")));
        }
        self.changed.send_replace(());
        Ok(job)
    }

    /// Waits a moment for one.
    pub(super) async fn find(&self, id: &str) -> Result<Arc<Job>, Status> {
        let mut changes = self.changed.subscribe();
        let found = async {
            loop {
                if let Some(job) = lock(&self.jobs).get(id) {
                    return job.clone();
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        timeout(APPEARS, found).await.map_err(|_| Status::unknown(format!("no such job {id}")))
    }
}

/// The progress of a build. It is over when this is dropped by the build.
#[derive(Default)]
pub(super) struct Job {
    told: watch::Sender<Told>,
}

#[derive(Default)]
struct Told {
    messages: Vec<StatusResponse>,
    over: bool,
}

impl Job {
    fn is_over(&self) -> bool {
        self.told.borrow().over
    }

    pub(super) fn end(&self) {
        self.told.send_modify(|told| told.over = true);
    }

    fn tell(&self, message: StatusResponse) {
        self.told.send_modify(|told| told.messages.push(message));
    }

    pub(super) fn started(&self, digest: &str, name: &str) -> Timestamp {
        let started = now();
        let vertex = Vertex { digest: digest.into(), name: name.into(), started: Some(started), ..Vertex::default() };
        self.tell(StatusResponse { vertexes: vec![vertex], ..StatusResponse::default() });
        started
    }

    pub(super) fn completed(&self, digest: &str, name: &str, started: Timestamp, end: End<'_>) {
        let (cached, error) = match end {
            End::Done => (false, ""),
            End::Cached => (true, ""),
            End::Failed(error) => (false, error),
        };
        let vertex = Vertex {
            digest: digest.into(),
            name: name.into(),
            started: Some(started),
            completed: Some(now()),
            cached,
            error: error.into(),
            ..Vertex::default()
        };
        self.tell(StatusResponse { vertexes: vec![vertex], ..StatusResponse::default() });
    }

    pub(super) fn log(&self, digest: &str, text: &str) {
        let log = VertexLog { vertex: digest.into(), timestamp: Some(now()), stream: 1, msg: text.into() };
        self.tell(StatusResponse { logs: vec![log], ..StatusResponse::default() });
    }

    /// A part of a step, such as `pushing layers`.
    pub(super) fn part(&self, digest: &str, name: &str) {
        let status = VertexStatus {
            id: name.into(),
            vertex: digest.into(),
            timestamp: Some(now()),
            started: Some(now()),
            ..VertexStatus::default()
        };
        self.tell(StatusResponse { statuses: vec![status], ..StatusResponse::default() });
    }

    /// Everything from the beginning to the end.
    pub(super) fn messages(self: Arc<Self>) -> impl Stream<Item = Result<StatusResponse, Status>> + Send + 'static {
        let told = self.told.subscribe();
        stream::unfold((told, 0), async |(mut told, next)| {
            let waited = told.wait_for(|told| told.over || told.messages.len() > next).await;
            let message = waited.ok()?.messages.get(next).cloned()?;
            Some((Ok(message), (told, next + 1)))
        })
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum End<'a> {
    Done,
    Cached,
    Failed(&'a str),
}

/// Ends a job when it is dropped.
pub(super) struct Ends(pub(super) Arc<Job>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or_default();
    Timestamp { seconds, nanos: i32::try_from(since.subsec_nanos()).unwrap_or_default() }
}
