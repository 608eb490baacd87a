//! What the registries say before any tag is moved, asked beside the build.

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

/// A registry that takes longer to tell an old image's size is not waited for.
const SIZE: Duration = Duration::from_secs(5);
/// The same for an engine that is asked instead of a registry.
const ENGINE: Duration = Duration::from_secs(10);
/// An answer about the branch that is older than this is out of date.
const HEAD: Duration = Duration::from_secs(5);
/// An answer that is older than this may be out of date.
const FRESH: Duration = Duration::from_secs(30);

/// What is known of the tags so far. Answers are kept as they come, so that what is known is not lost when the rest is
/// no longer waited for.
#[derive(Debug, Default)]
pub struct Survey {
    before: RefCell<HashMap<(String, String), Told>>,
    out_of_reach: RefCell<HashSet<String>>,
    head: RefCell<Option<(Head, Instant)>>,
}

/// What was said of a tag.
#[derive(Debug)]
struct Told {
    before: Before,
    teller: Teller,
    at: Instant,
}

/// Who said what a tag points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Teller {
    Registry,
    /// Since this process does not reach the registry.
    Engine,
}

impl Survey {
    /// Asks for every tag of the plan, for what images are compared with, and for the head of the branch. Tells of what
    /// it learns by events.
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

    /// The head of the branch, if GitHub was asked a moment ago: a commit that came since has no image yet.
    pub(super) fn head(&self) -> Option<Head> {
        self.head.borrow().as_ref().filter(|(_, asked)| asked.elapsed() < HEAD).map(|(head, _)| head.clone())
    }

    /// What a tag pointed to; unknown if nobody said.
    pub(super) fn before(&self, repository: &str, tag: &str) -> Before {
        let key = (repository.to_owned(), tag.to_owned());
        self.before.borrow().get(&key).map(|told| told.before.clone()).unwrap_or_default()
    }

    /// Who said so; `None` if nobody said.
    pub(super) fn teller(&self, repository: &str, tag: &str) -> Option<Teller> {
        let key = (repository.to_owned(), tag.to_owned());
        self.before.borrow().get(&key).filter(|told| told.before != Before::Unknown).map(|told| told.teller)
    }

    /// Whether the answer about a tag is still to be relied on.
    pub(super) fn is_fresh(&self, repository: &str, tag: &str) -> bool {
        let key = (repository.to_owned(), tag.to_owned());
        self.before.borrow().get(&key).is_some_and(|told| told.at.elapsed() < FRESH)
    }

    /// Whether this process can talk to a repository's registry, as far as is known.
    pub(super) fn reaches(&self, repository: &str) -> bool {
        !self.out_of_reach.borrow().contains(repository)
    }

    /// Notes that a repository's registry cannot be talked to.
    pub(super) fn lose(&self, repository: &str) {
        self.out_of_reach.borrow_mut().insert(repository.to_owned());
    }

    /// Notes that a repository's registry answered.
    pub(super) fn find(&self, repository: &str) {
        self.out_of_reach.borrow_mut().remove(repository);
    }

    async fn image(&self, plan: &Plan, image: &ImagePlan, builder: &Builder, events: &Events) {
        if !plan.push.enabled {
            let Some(tag) = &plan.compare_with else { return };
            self.ask(&image.destinations.repository, tag.as_str(), builder, events, &image.name).await;
            return;
        }
        let tell = events;
        join_all(image.destinations.names().enumerate().map(async |(place, (repository, tag))| {
            // The first tag is the one that the image is compared with.
            if place == 0 {
                self.ask(repository, tag.as_str(), builder, tell, &image.name).await;
            } else {
                self.look(repository, tag.as_str(), builder, Asking::Registry).await;
            }
        }))
        .await;
    }

    /// Looks at a tag, and tells what it points to.
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
        let (before, teller) = match answer {
            Ok(before) => (before, Teller::Registry),
            Err(RemoteError::Unreachable { .. }) => {
                self.lose(name);
                let by_engine = async { by_engine(builder, name, tag).await };
                (if asking == Asking::Anyone { by_engine.await } else { Before::Unknown }, Teller::Engine)
            }
            Err(_) => (Before::Unknown, Teller::Registry),
        };
        let told = Told { before, teller, at: Instant::now() };
        self.before.borrow_mut().insert((name.to_owned(), tag.to_owned()), told);
    }
}

/// Who may be asked about a tag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asking {
    /// The registry, and the engine where this process does not reach it.
    Anyone,
    /// The registry alone.
    Registry,
}

/// What a tag points to.
pub(super) async fn digest(remote: &Remote, tag: &str) -> Result<Before, RemoteError> {
    let policy = RetryPolicy::attempts(2);
    let digest = policy.quietly(async || remote.digest(tag).await).await?;
    Ok(digest.map_or(Before::Nothing, Before::Image))
}

/// The same as the engine sees it.
pub(super) async fn by_engine(builder: &Builder, repository: &str, tag: &str) -> Before {
    let Some(engine) = &builder.engine else { return Before::Unknown };
    let reference = format!("{repository}:{tag}");
    let login = builder.registries.login(repository);
    match timeout(ENGINE, engine.registry_digest(&reference, login)).await {
        Ok(Ok(digest)) => digest.map_or(Before::Nothing, Before::Image),
        Ok(Err(_)) | Err(_) => Before::Unknown,
    }
}

/// Compressed bytes of an image: from a builder that still has it, else from the registry.
pub(super) async fn size(builder: &Builder, repository: &Repository, digest: &Digest) -> Option<u64> {
    for node in builder.nodes.iter().filter(|node| node.capabilities.store != Store::Classic) {
        if let Some(size) = content::image_size(&node.client, digest).await {
            return Some(size);
        }
    }
    let remote = builder.registries.repository(repository.as_str(), Access::Push)?;
    client::image_size(&remote, digest).await
}
