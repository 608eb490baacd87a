//! Asks the registries what the tags point to before any of them is moved, in parallel with the build.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::{board::Before, branch::Branch};
use crate::{
    builder::{Builder, capabilities::Store, content},
    domain::{
        digest::Digest,
        event::{ImageEvent, Previous},
        repository::Repository,
    },
    events::Events,
    github::branch_head::Head,
    plan::{ImagePlan, Plan, images::Purpose},
    registry::{
        client,
        remote::{Access, Remote, RemoteError},
    },
    retry::RetryPolicy,
};

/// Time limit for a registry to report the size of the previous image.
const SIZE: Duration = Duration::from_secs(5);
/// Time limit for an engine that is asked instead of a registry.
const ENGINE: Duration = Duration::from_secs(10);
/// Age from which the answer about the branch's head is outdated.
const HEAD: Duration = Duration::from_secs(5);
/// Age from which the answer about a tag may be outdated.
const FRESH: Duration = Duration::from_secs(30);

/// The answers about the tags so far. Each is stored as it arrives, so that none is lost if the survey is cancelled.
#[derive(Debug, Default)]
pub struct Survey {
    before: RefCell<HashMap<(String, String), Answer>>,
    out_of_reach: RefCell<HashSet<String>>,
    head: RefCell<Option<(Head, Instant)>>,
}

/// The answer about a tag.
#[derive(Debug)]
struct Answer {
    before: Before,
    source: Source,
    at: Instant,
}

/// The source of an answer about a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Registry,
    /// The engine, because this process cannot connect to the registry.
    Engine,
}

impl Survey {
    /// Asks about every tag of the plan, the images to compare sizes with, and the head of the branch. Emits events for the
    /// results.
    pub async fn take(&self, plan: &Plan, builder: &Builder, branch: Option<&Branch>, events: &Events) {
        let wanted = plan.images.iter().filter(|image| image.purpose == Purpose::Wanted);
        let images = join_all(wanted.map(|image| self.image(plan, image, builder, events)));
        let head = async {
            if let Some(branch) = branch {
                let head = branch.head().await;
                self.head.replace(Some((head, Instant::now())));
            }
        };
        tokio::join!(images, head);
    }

    /// Returns the head of the branch if the answer is recent: a commit that was pushed since then has no image yet.
    pub(super) fn head(&self) -> Option<Head> {
        self.head.borrow().as_ref().filter(|(_, asked)| asked.elapsed() < HEAD).map(|(head, _)| head.clone())
    }

    /// Returns what a tag pointed to; unknown without an answer.
    pub(super) fn before(&self, repository: &str, tag: &str) -> Before {
        let key = (repository.to_owned(), tag.to_owned());
        self.before.borrow().get(&key).map(|answer| answer.before.clone()).unwrap_or_default()
    }

    /// Returns the source of that answer; `None` without an answer.
    pub(super) fn source(&self, repository: &str, tag: &str) -> Option<Source> {
        let key = (repository.to_owned(), tag.to_owned());
        self.before.borrow().get(&key).filter(|answer| answer.before != Before::Unknown).map(|answer| answer.source)
    }

    /// Whether the answer about a tag is recent enough to rely on.
    pub(super) fn is_fresh(&self, repository: &str, tag: &str) -> bool {
        let key = (repository.to_owned(), tag.to_owned());
        self.before.borrow().get(&key).is_some_and(|answer| answer.at.elapsed() < FRESH)
    }

    /// Whether this process can connect to a repository's registry, as far as is known.
    pub(super) fn reaches(&self, repository: &str) -> bool {
        !self.out_of_reach.borrow().contains(repository)
    }

    /// Records that this process cannot connect to a repository's registry.
    pub(super) fn mark_unreachable(&self, repository: &str) {
        self.out_of_reach.borrow_mut().insert(repository.to_owned());
    }

    /// Records that a repository's registry answered.
    pub(super) fn find(&self, repository: &str) {
        self.out_of_reach.borrow_mut().remove(repository);
    }

    async fn image(&self, plan: &Plan, image: &ImagePlan, builder: &Builder, events: &Events) {
        if !plan.push.enabled {
            let Some(tag) = &plan.compare_with else { return };
            self.ask(&image.destinations.repository, tag.as_str(), builder, events, &image.name).await;
            return;
        }
        join_all(image.destinations.names().enumerate().map(async |(place, (repository, tag))| {
            // The first tag is compared with the new image, so it needs the digest and size.
            if place == 0 {
                self.ask(repository, tag.as_str(), builder, events, &image.name).await;
            } else {
                self.look(repository, tag.as_str(), builder, Asking::Registry).await;
            }
        }))
        .await;
    }

    /// Asks what a tag points to, and emits an event with the digest and size.
    async fn ask(&self, repository: &Repository, tag: &str, builder: &Builder, events: &Events, image: &str) {
        self.look(repository, tag, builder, Asking::Anyone).await;
        let digest = match self.before(repository.as_str(), tag) {
            Before::Unknown => return,
            Before::Nothing => None,
            Before::Image(digest) => Some(digest),
        };
        let size = async { size(builder, repository, digest.as_ref()?).await };
        let size = timeout(SIZE, size).await.ok().flatten();
        events.image(image, ImageEvent::Compared(Previous { digest, size })).await;
    }

    async fn look(&self, repository: &Repository, tag: &str, builder: &Builder, asking: Asking) {
        let name = repository.as_str();
        let remote = builder.registries.repository(name, Access::Push);
        let answer = match &remote {
            Some(remote) => digest(remote, tag).await,
            None => Ok(Before::Unknown),
        };
        let (before, source) = match answer {
            Ok(before) => (before, Source::Registry),
            Err(RemoteError::Unreachable { .. }) => {
                self.mark_unreachable(name);
                let by_engine = async { by_engine(builder, name, tag).await };
                (if asking == Asking::Anyone { by_engine.await } else { Before::Unknown }, Source::Engine)
            }
            Err(_) => (Before::Unknown, Source::Registry),
        };
        let answer = Answer { before, source, at: Instant::now() };
        self.before.borrow_mut().insert((name.to_owned(), tag.to_owned()), answer);
    }
}

/// Whom to ask about a tag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asking {
    /// The registry, or the engine if this process cannot connect to the registry.
    Anyone,
    /// Only the registry.
    Registry,
}

/// Asks the registry what a tag points to.
pub(super) async fn digest(remote: &Remote, tag: &str) -> Result<Before, RemoteError> {
    let policy = RetryPolicy::attempts(2);
    let digest = policy.quietly(async || remote.digest(tag).await).await?;
    Ok(digest.map_or(Before::Nothing, Before::Image))
}

/// Asks the engine what a tag points to in the registry.
pub(super) async fn by_engine(builder: &Builder, repository: &str, tag: &str) -> Before {
    let Some(engine) = &builder.engine else { return Before::Unknown };
    let reference = format!("{repository}:{tag}");
    let login = builder.registries.login(repository);
    match timeout(ENGINE, engine.registry_digest(&reference, login)).await {
        Ok(Ok(digest)) => digest.map_or(Before::Nothing, Before::Image),
        Ok(Err(_)) | Err(_) => Before::Unknown,
    }
}

/// Returns the compressed size of an image in bytes, from a builder that still has it, or else from the registry.
pub(super) async fn size(builder: &Builder, repository: &Repository, digest: &Digest) -> Option<u64> {
    for node in builder.nodes.iter().filter(|node| node.capabilities.store != Store::Classic) {
        if let Some(size) = content::image_size(&node.client, digest).await {
            return Some(size);
        }
    }
    let remote = builder.registries.repository(repository.as_str(), Access::Push)?;
    client::image_size(&remote, digest).await
}
