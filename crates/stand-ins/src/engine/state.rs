//! What the engine knows: its images, the builds that it did, and everything that happened.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex},
};

use tokio::task::JoinSet;
use tonic::Status;

use super::{Decide, Fault, Seen, Setup, gateway::Bridges, job::Jobs, session::Sessions};
use crate::receiver::lock;

/// A build that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// The exporters: kind and attributes. None if the result was discarded.
    pub exporters: Vec<(String, BTreeMap<String, String>)>,
    /// The frontend's attributes.
    pub attributes: BTreeMap<String, String>,
    /// How it ended; `None` while it runs.
    pub end: Option<BuildEnd>,
}

impl Build {
    /// An attribute of the first exporter, or nothing.
    pub fn exported(&self, attribute: &str) -> &str {
        let first = self.exporters.first().and_then(|(_, attributes)| attributes.get(attribute));
        first.map_or("", String::as_str)
    }
}

/// How a build ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildEnd {
    /// It succeeded.
    Done,
    /// It failed with this message.
    Failed(String),
    /// The caller went away.
    Cancelled,
}

/// An image in the image store.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// The digest of its configuration, by which the classic store knows it.
    pub(super) id: String,
    /// The digest of its manifest.
    pub(super) manifest: String,
}

/// What the engine knows.
pub(super) struct State {
    pub(super) setup: Setup,
    pub(super) sessions: Sessions,
    pub(super) jobs: Jobs,
    pub(super) bridges: Bridges,
    decide: Box<Decide>,
    inner: Mutex<Inner>,
    connections: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Inner {
    seen: Vec<Seen>,
    builds: Vec<Build>,
    images: BTreeMap<String, Image>,
    /// Content by digest.
    content: HashMap<String, Vec<u8>>,
    /// Keys of steps that need not be executed again.
    cache: HashSet<String>,
}

impl State {
    pub(super) fn new(setup: Setup, decide: Box<Decide>) -> Self {
        Self {
            setup,
            sessions: Sessions::default(),
            jobs: Jobs::default(),
            bridges: Bridges::default(),
            decide,
            inner: Mutex::default(),
            connections: Mutex::default(),
        }
    }

    /// Runs a task until it ends or the connections break.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.connections).spawn(task);
    }

    pub(super) fn break_connections(&self) {
        lock(&self.connections).abort_all();
        self.sessions.end_all();
    }

    /// Notes what happens and asks what goes wrong with it.
    pub(super) fn fault(&self, seen: &Seen) -> Option<Fault> {
        let before = {
            let mut inner = lock(&self.inner);
            inner.seen.push(seen.clone());
            inner.seen.iter().filter(|one| *one == seen).count() - 1
        };
        (self.decide)(seen, before)
    }

    /// The same for what BuildKit does. `session` is the one that a build uses.
    pub(super) async fn meet(&self, seen: Seen, session: &str) -> Result<(), Status> {
        match self.fault(&seen) {
            None => Ok(()),
            Some(Fault::Fail(message) | Fault::Answer(_, message)) => Err(Status::unknown(message)),
            Some(Fault::Stall) => std::future::pending().await,
            Some(Fault::EndSession) => {
                self.sessions.end(session);
                Ok(())
            }
            Some(Fault::End) => {
                self.break_connections();
                std::future::pending().await
            }
        }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        lock(&self.inner).seen.clone()
    }

    pub(super) fn builds(&self) -> Vec<Build> {
        lock(&self.inner).builds.clone()
    }

    /// Notes a build. Until the second value is told how it ended, it runs; if it is never told, the caller went away.
    pub(super) fn begin(self: &Arc<Self>, build: Build) -> Running {
        let mut inner = lock(&self.inner);
        inner.builds.push(build);
        Running { state: self.clone(), place: inner.builds.len() - 1 }
    }

    pub(super) fn images(&self) -> Vec<String> {
        lock(&self.inner).images.keys().cloned().collect()
    }

    pub(super) fn image(&self, name: &str) -> Option<Image> {
        lock(&self.inner).images.get(name).cloned()
    }

    pub(super) fn name_image(&self, name: &str, image: Image) {
        lock(&self.inner).images.insert(name.to_owned(), image);
    }

    /// Stores content and returns its digest.
    pub(super) fn store(&self, content: Vec<u8>) -> String {
        let digest = crate::registry::digest(&content);
        lock(&self.inner).content.insert(digest.clone(), content);
        digest
    }

    pub(super) fn content(&self, digest: &str) -> Option<Vec<u8>> {
        lock(&self.inner).content.get(digest).cloned()
    }

    pub(super) fn is_cached(&self, key: &str) -> bool {
        lock(&self.inner).cache.contains(key)
    }

    pub(super) fn cache(&self, key: &str) {
        lock(&self.inner).cache.insert(key.to_owned());
    }
}

/// A build that runs.
pub(super) struct Running {
    state: Arc<State>,
    place: usize,
}

impl Running {
    pub(super) fn finish(&self, end: BuildEnd) {
        if let Some(build) = lock(&self.state.inner).builds.get_mut(self.place) {
            build.end.get_or_insert(end);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.finish(BuildEnd::Cancelled);
    }
}
