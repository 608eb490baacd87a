//! The registry in memory, with digests as the product writes them.

use std::ops::Deref;

use build_deploy::domain::digest::Digest;
use stand_ins::registry;
pub(crate) use stand_ins::registry::{Fault, Seen};

/// The registry. It ends with its test.
pub(crate) struct Registry(registry::Registry);

impl Registry {
    /// Starts one without faults.
    pub(crate) async fn start() -> Self {
        Self(registry::Registry::start().await.unwrap())
    }

    /// Starts one. `decide` is asked about each request, with the number of equal ones before it.
    pub(crate) async fn with(decide: impl Fn(&Seen, usize) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self(registry::Registry::with(decide).await.unwrap())
    }

    /// Stores a manifest, as a push by digest does.
    pub(crate) fn upload(&self, repository: &str, body: &str) -> Digest {
        self.0.upload(repository, body).parse().unwrap()
    }

    /// Points a tag to a digest.
    pub(crate) fn tag(&self, repository: &str, tag: &str, digest: &Digest) {
        self.0.tag(repository, tag, &digest.to_string());
    }

    /// The digest of a tag.
    pub(crate) fn tagged(&self, repository: &str, tag: &str) -> Option<Digest> {
        self.0.tagged(repository, tag).map(|digest| digest.parse().unwrap())
    }
}

impl Deref for Registry {
    type Target = registry::Registry;

    fn deref(&self) -> &registry::Registry {
        &self.0
    }
}
