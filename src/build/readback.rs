//! Asks a registry what it serves: before a build, to know whether it changes anything, and after a push, as a proof.
//!
//! The engine is asked where it pushed, since a registry such as `localhost:5000` is within its reach and not within
//! that of the container that we run in. For builders outside the engine the registry is asked directly, and the engine
//! only if that fails.

use std::time::Duration;

use futures_util::future::try_join_all;

use super::{
    Builder, Goal,
    abilities::Store,
    content,
    engine::ApiError,
    image::{ATTEMPTS, push_failure},
    recipe::{Recipe, host_of},
};
use crate::{
    domain::{
        credentials::Login,
        digest::Digest,
        run::{Failure, Stage},
    },
    registry::{
        client,
        remote::{Remote, RemoteError},
    },
};

/// A registry that takes longer to tell an old image's size is not waited for.
const PREVIOUS_SIZE: Duration = Duration::from_secs(5);

/// What a tag pointed to before the run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// The registry did not tell.
    Unknown,
    /// There was no such tag.
    Nothing,
    /// An image, and its compressed bytes if they are known.
    Image(Digest, Option<u64>),
}

/// Why a registry did not tell.
enum Silence {
    Engine(ApiError),
    Registry(RemoteError),
    Nobody,
}

impl Silence {
    fn is_temporary(&self) -> bool {
        match self {
            Self::Engine(error) => error.status().is_none_or(|status| status >= 500 || status == 429),
            Self::Registry(error) => error.is_temporary(),
            Self::Nobody => false,
        }
    }
}

impl std::fmt::Display for Silence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Engine(error) => error.fmt(f),
            Self::Registry(error) => error.fmt(f),
            Self::Nobody => f.write_str("there is no way to the registry"),
        }
    }
}

/// Reads every tag back: what a registry serves must be what was pushed to it, by repository.
pub(super) async fn verify(builder: &Builder, recipe: &Recipe, pushed: &[(&str, Digest)]) -> Result<(), Failure> {
    let names =
        pushed.iter().flat_map(|(repository, built)| recipe.tags.iter().map(move |tag| (*repository, tag, built)));
    try_join_all(names.map(|(repository, tag, built)| async move {
        let reference = format!("{repository}:{tag}");
        let login = builder.credentials.for_host(host_of(repository));
        let wrong = |headline: String, hint: &str| Failure {
            image: Some(recipe.name.clone()),
            ..Failure::new(Stage::Push, headline, Some(hint.to_owned()))
        };
        let served = patiently(builder, repository, tag, login)
            .await
            .map_err(|error| push_failure(recipe, &format!("read {reference} back: {error}")))?;
        match served {
            Some(served) if served == *built => Ok(()),
            Some(served) => Err(wrong(
                format!("{reference} was pushed as {built}, but the registry serves {served}"),
                "does another run push the same tag? Give the workflow a `concurrency:` group",
            )),
            None => Err(wrong(
                format!("{reference} was pushed, but the registry does not have it"),
                "does a retention rule of the registry delete it?",
            )),
        }
    }))
    .await
    .map(drop)
}

/// What the first tag points to; where nothing is pushed, the tag that sizes are compared with.
pub(super) async fn before(builder: &Builder, recipe: &Recipe, goal: Goal) -> Before {
    let tag = if goal.pushes() { recipe.tags.first() } else { builder.compare_with.as_ref() };
    let Some(tag) = tag else { return Before::Unknown };
    let login = builder.credentials.for_host(host_of(&recipe.repository));
    match digest(builder, &recipe.repository, tag, login).await {
        Ok(Some(digest)) => {
            let size = tokio::time::timeout(PREVIOUS_SIZE, previous_size(builder, recipe, &digest)).await;
            Before::Image(digest, size.ok().flatten())
        }
        Ok(None) => Before::Nothing,
        Err(_) => Before::Unknown,
    }
}

/// Compressed bytes of an image that was pushed before: from a builder that still has it, else from the registry.
async fn previous_size(builder: &Builder, recipe: &Recipe, digest: &Digest) -> Option<u64> {
    for node in builder.nodes.iter().filter(|node| node.abilities.store != Store::Classic) {
        if let Some(size) = content::image_size(node.control.channel(), digest).await {
            return Some(size);
        }
    }
    size(builder, recipe, digest).await
}

/// Compressed bytes as the registry itself tells them.
pub(super) async fn size(builder: &Builder, recipe: &Recipe, digest: &Digest) -> Option<u64> {
    let login = builder.credentials.for_host(host_of(&recipe.repository));
    client::image_size(builder.http.client()?, &recipe.repository, digest, login).await
}

async fn patiently(
    builder: &Builder,
    repository: &str,
    tag: &str,
    login: Option<&Login>,
) -> Result<Option<Digest>, Silence> {
    let mut attempt = 1;
    loop {
        match digest(builder, repository, tag, login).await {
            Err(error) if attempt < ATTEMPTS && error.is_temporary() => {
                tokio::time::sleep(Duration::from_secs(1 << (attempt - 1))).await;
                attempt += 1;
            }
            answer => return answer,
        }
    }
}

async fn digest(
    builder: &Builder,
    repository: &str,
    tag: &str,
    login: Option<&Login>,
) -> Result<Option<Digest>, Silence> {
    let mut silence = Silence::Nobody;
    let remote = builder.is_outside_engine().then(|| builder.http.client()).flatten();
    if let Some(remote) = remote.and_then(|http| Remote::new(http, repository, login)) {
        match remote.digest(tag).await {
            // Perhaps it is only out of our own reach.
            Err(error @ RemoteError::Unreachable { .. }) => silence = Silence::Registry(error),
            answer => return answer.map_err(Silence::Registry),
        }
    }
    match &builder.engine {
        Some(engine) => {
            let answer = engine.registry_digest(&format!("{repository}:{tag}"), login).await;
            answer.map_err(|error| if matches!(silence, Silence::Nobody) { Silence::Engine(error) } else { silence })
        }
        None => Err(silence),
    }
}
