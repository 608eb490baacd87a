//! Publishes images in the classic store of an engine, which can upload an image only together with a tag.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{
    Context,
    board::{Before, Board, Slot},
    failure, is_open,
    settle::{settle, warning},
    survey,
};
use crate::{
    builder::{Content, engine::ApiError, progress::no_progress},
    domain::{
        digest::Digest,
        event::{Event, ImageEvent},
        failure::Failure,
        publication::{Publication, TagState},
        repository::Repository,
    },
    plan::ImagePlan,
    registry::remote::Access,
    retry::RetryPolicy,
};

/// Time limit for a registry to report the size of an image.
const SIZE: Duration = Duration::from_secs(2);

/// Uploads every image of the classic store to each of its repositories, under one tag. Prefers a tag that does not exist
/// yet, because it replaces nothing if a later upload fails.
pub(super) async fn upload(
    cx: Context<'_>,
    images: &[(&ImagePlan, &Content)],
    board: &Board,
) -> Result<(), Box<Failure>> {
    let classic = images.iter().filter(|(_, content)| matches!(content, Content::InEngine));
    let uploads = classic.map(async |(image, _)| {
        cx.events.image(&image.name, ImageEvent::Pushing).await;
        // One repository at a time, so that the layers of an image are read only once.
        for repository in image.destinations.repositories() {
            let own = of(board, image, repository);
            let first = own.iter().find(|(_, slot)| slot.before == Before::Nothing).or_else(|| own.first());
            let Some((place, slot)) = first else { continue };
            // After another upload failed, move no further tags.
            if board.failure().is_some() {
                return;
            }
            let Some(digest) = push(cx, repository, *place, slot, board).await else { return };
            // An engine may compress the layers of a base image again for another registry than its own, so the digest can
            // differ by repository.
            for (place, _) in &own {
                board.give(*place, &digest);
            }
            super::journal(cx, board);
        }
    });
    join_all(uploads).await;
    board.failure().map_or(Ok(()), |failure| Err(Box::new(failure)))
}

/// Lets the engine push the tags in repositories that only it can connect to, one after the other.
pub(super) async fn tags(
    cx: Context<'_>,
    images: &[(&ImagePlan, &Content)],
    board: &Board,
) -> Result<(), Box<Failure>> {
    let classic = images.iter().filter(|(_, content)| matches!(content, Content::InEngine));
    let pushes = classic.map(async |(image, _)| {
        for repository in image.destinations.repositories() {
            for (place, slot) in of(board, image, repository) {
                if cx.cancel.reason().is_some() || board.failure().is_some() {
                    return;
                }
                if push(cx, repository, place, &slot, board).await.is_none() {
                    return;
                }
            }
        }
    });
    join_all(pushes).await;
    Ok(())
}

fn of(board: &Board, image: &ImagePlan, repository: &Repository) -> Vec<(usize, Slot)> {
    board.slots(|slot| slot.image == image.name && slot.repository == repository.as_str() && is_open(slot))
}

/// Pushes one tag and verifies that it moved. If it did not, records the failure and returns `None`.
async fn push(cx: Context<'_>, repository: &Repository, place: usize, slot: &Slot, board: &Board) -> Option<Digest> {
    let Slot { image, tag, .. } = slot;
    let fail = |message: &str| board.fail(place, failure(cx, image, repository.as_str(), message));
    let Some(engine) = &cx.builder.engine else {
        fail("there is no Docker engine");
        return None;
    };
    let login = cx.builder.registries.login(repository.as_str());
    board.set(place, TagState::Unknown);
    if slot.digest.is_none() {
        // The engine returns the digest only after the upload. If the run is killed before, the post stage needs the tag.
        super::journal(cx, board);
    }
    let notice = async |error: &ApiError, attempt, wait| {
        cx.events.image(image, ImageEvent::Retrying { reason: error.to_string(), attempt, wait }).await;
    };
    let silent = async |time| {
        let note = no_progress(image, repository.host(), &format!("upload of {repository}:{tag}"), time);
        cx.events.emit(Event::Note(note)).await;
    };
    let call = async || engine.push(repository.as_str(), tag, login, silent).await;
    let pushed = RetryPolicy::default().run(call, notice).await;
    let served = served(cx, repository, tag).await;
    match pushed {
        Ok(digest) => {
            if served == Before::Unknown {
                let message = format!("{repository}:{tag} was pushed, but could not be read back");
                cx.events.emit(Event::Diagnostic(warning(message))).await;
            }
            settle(&digest, &served, place, slot, board).then_some(digest)
        }
        Err(error) => {
            if served == slot.before && served != Before::Unknown {
                board.set(place, TagState::NotMoved);
            }
            fail(&error.to_string());
            None
        }
    }
}

/// Returns the compressed size in bytes of an image that the engine uploaded; the classic store does not know it.
pub(super) async fn size(
    cx: Context<'_>,
    image: &ImagePlan,
    content: &Content,
    publication: &Publication,
) -> Option<u64> {
    let digest = publication.digest.as_ref().filter(|_| matches!(content, Content::InEngine))?;
    if cx.cancel.reason().is_some() || !cx.survey.reaches(image.destinations.repository.as_str()) {
        return None;
    }
    timeout(SIZE, survey::size(cx.builder, &image.destinations.repository, digest)).await.ok().flatten()
}

/// Asks the registry what a tag points to, or the engine if this process cannot connect to the registry.
async fn served(cx: Context<'_>, repository: &Repository, tag: &str) -> Before {
    let remote = cx.builder.registries.repository(repository.as_str(), Access::Push);
    if let Some(remote) = remote.filter(|_| cx.survey.reaches(repository.as_str()))
        && let Ok(before) = survey::digest(&remote, tag).await
    {
        return before;
    }
    survey::by_engine(cx.builder, repository.as_str(), tag).await
}
