//! Moves the tags of images whose content is already in their registries.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::StatusCode;
use tokio::time::timeout;

use super::{
    Context,
    board::{Before, Board, Slot},
    engine, is_open, refusal,
    settle::{CONCURRENCY, PROXIES, another_image, settle, warning, wrong},
    survey,
};
use crate::{
    builder::{self, Content, spec::BuildSpec},
    domain::{
        destinations::Destinations,
        digest::Digest,
        event::{Event, ImageEvent},
        failure::Failure,
        publication::TagState,
        repository::Repository,
        tag::Tag,
    },
    plan::ImagePlan,
    registry::remote::{Access, RawManifest, Remote, RemoteError},
    retry::RetryPolicy,
};

/// Time limit for reading back a tag that was moved.
const READ_BACK: Duration = Duration::from_secs(5);

/// Sets the new digest of every tag of an uploaded image.
pub(super) fn assign(images: &[(&ImagePlan, &Content)], board: &Board) {
    for (image, content) in images {
        if let Content::Uploaded { digest, .. } = content {
            for (place, _) in board.slots(|slot| slot.image == image.name) {
                board.give(place, digest);
            }
        }
    }
}

/// Moves every tag that has not moved yet. Records failures of tags on the board, and returns other failures.
pub(super) async fn all(cx: Context<'_>, images: &[(&ImagePlan, &Content)], board: &Board) -> Result<(), Box<Failure>> {
    let direct = images.iter().flat_map(|(image, content)| {
        let reached = image.destinations.repositories().filter(|repository| cx.survey.reaches(repository.as_str()));
        reached.map(move |repository| (*image, *content, repository))
    });
    join_all(direct.map(|(image, content, repository)| direct_tags(cx, image, content, repository, board))).await;
    if board.failure().is_some() || cx.cancel.reason().is_some() {
        return Ok(());
    }
    tokio::try_join!(engine::tags(cx, images, board), by_builder(cx, images, board)).map(drop)
}

/// Moves the tags of one repository directly. If this process cannot connect to the registry, leaves them to the builder.
async fn direct_tags(cx: Context<'_>, image: &ImagePlan, content: &Content, repository: &Repository, board: &Board) {
    let own = board.slots(|slot| slot.image == image.name && slot.repository == repository.as_str() && is_open(slot));
    let Some((first, slot)) = own.first() else { return };
    let Some(remote) = cx.builder.registries.repository(repository.as_str(), Access::Push) else {
        cx.survey.mark_unreachable(repository.as_str());
        return;
    };
    let Some(digest) = slot.digest.clone() else { return };
    // A tag that already points to the image needs no manifest.
    let is_there = |slot: &Slot| slot.before == Before::Image(digest.clone());
    for (place, _) in own.iter().filter(|(_, slot)| is_there(slot)) {
        board.set(*place, TagState::Unchanged);
    }
    let moving: Vec<&(usize, Slot)> = own.iter().filter(|(_, slot)| !is_there(slot)).collect();
    if moving.is_empty() {
        return;
    }
    let manifest = match content {
        Content::Uploaded { manifest: Some(manifest), .. } => Ok(Some(manifest.clone())),
        _ => RetryPolicy::default().quietly(async || remote.manifest(digest.as_str()).await).await,
    };
    let manifest = match manifest {
        Ok(Some(manifest)) => manifest,
        Ok(None) => {
            let message = format!("{repository}@{digest} was pushed, but the registry does not have it");
            let hint = "check whether a retention rule of the registry deletes untagged images";
            board.fail(*first, wrong(&image.name, message, hint));
            return;
        }
        Err(RemoteError::Unreachable { .. }) => {
            cx.survey.mark_unreachable(repository.as_str());
            return;
        }
        Err(error) => {
            board
                .fail(*first, refusal(cx, &image.name, repository.as_str(), &format!("{repository}@{digest}"), &error));
            return;
        }
    };
    join_all(moving.into_iter().map(|(place, slot)| tag(cx, &remote, &manifest, *place, slot, board))).await;
}

/// Moves one tag and verifies that it moved.
async fn tag(cx: Context<'_>, remote: &Remote, manifest: &RawManifest, place: usize, slot: &Slot, board: &Board) {
    let Slot { image, repository, tag, .. } = slot;
    // From here on, the registry may move the tag even if this task is dropped.
    board.set(place, TagState::Unknown);
    let notice = async |error: &RemoteError, attempt, wait| {
        let reason = format!("{repository}:{tag}: {error}");
        cx.events.image(image, ImageEvent::Retrying { reason, attempt, wait }).await;
    };
    let put = RetryPolicy::default().run(async || remote.put(tag, manifest).await, notice).await;
    match &put {
        Ok(Some(named)) if *named == manifest.digest => {
            settle(&manifest.digest, &Before::Image(manifest.digest.clone()), place, slot, board);
            return;
        }
        _ => {}
    }
    let served = read_back(remote, tag).await;
    match (put, served) {
        // If the answer was lost, the tag may have moved nevertheless.
        (_, Ok(Before::Image(served))) if served == manifest.digest => {
            settle(&manifest.digest, &Before::Image(served), place, slot, board);
        }
        (Ok(_), Ok(Before::Image(served))) => {
            board.fail(place, mismatch(remote, &manifest.digest, &served, slot).await);
        }
        (Ok(_), Ok(served)) => {
            settle(&manifest.digest, &served, place, slot, board);
        }
        // Reading back failed, so use the digest in the answer to the push, if it contains one.
        (Ok(None), Err(problem)) => {
            board.set(place, TagState::Moved);
            let message = format!("{repository}:{tag} was moved, but could not be read back: {problem}");
            cx.events.emit(Event::Diagnostic(warning(message))).await;
        }
        (Ok(Some(named)), Err(_)) => {
            settle(&manifest.digest, &Before::Image(named), place, slot, board);
        }
        (Err(error), served) => {
            match served {
                Ok(served) if served == slot.before || slot.before == Before::Unknown => {
                    board.set(place, TagState::NotMoved);
                }
                Err(_) if matches!(&error, RemoteError::Refused { status, .. } if status.is_client_error()) => {
                    board.set(place, TagState::NotMoved);
                }
                _ => {}
            }
            board.fail(place, refused_tag(cx, slot, &error));
        }
    }
}

/// Returns what a tag points to after it was pushed, or the reason why that is unknown.
async fn read_back(remote: &Remote, tag: &str) -> Result<Before, String> {
    match timeout(READ_BACK, survey::digest(remote, tag)).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", READ_BACK.as_secs())),
    }
}

/// Creates the failure of a tag that points to another digest. Fetches its manifest to determine why.
async fn mismatch(remote: &Remote, built: &Digest, served: &Digest, slot: &Slot) -> Failure {
    let reference = format!("{}:{}", slot.repository, slot.tag);
    let stored = timeout(READ_BACK, remote.manifest(&slot.tag)).await.ok().and_then(Result::ok).flatten();
    match stored {
        Some(stored) if stored.digest == *built => {
            let headline =
                format!("{reference} is the image {built}, but the registry names the digest {served} for it");
            let hint = "check the proxies and mirrors in front of the registry: their answers contradict each other";
            wrong(&slot.image, headline, hint)
        }
        Some(stored) if stored.digest == *served => another_image(slot, built, served, CONCURRENCY),
        _ => another_image(slot, built, served, &format!("{CONCURRENCY}; otherwise {PROXIES}")),
    }
}

/// Creates the failure of a tag that the registry rejected.
fn refused_tag(cx: Context<'_>, slot: &Slot, error: &RemoteError) -> Failure {
    let Slot { image, repository, tag, .. } = slot;
    let reference = format!("{repository}:{tag}");
    let failure = refusal(cx, image, repository, &reference, error);
    match error {
        // A client that may upload an image may usually tag it too.
        RemoteError::Refused { status: StatusCode::FORBIDDEN, .. } => {
            let hint = format!(
                "the image was uploaded, but this tag was refused; check whether a rule of the registry protects it (immutable \
                 tags); about {reference}, {error}"
            );
            Failure { hint: Some(hint), ..failure }
        }
        _ => failure,
    }
}

/// Lets the builder push the tags of repositories that this process cannot connect to, one repository after the other.
async fn by_builder(cx: Context<'_>, images: &[(&ImagePlan, &Content)], board: &Board) -> Result<(), Box<Failure>> {
    let uploaded = images.iter().filter(|(_, content)| matches!(content, Content::Uploaded { .. }));
    let names: Vec<&str> = uploaded.map(|(image, _)| image.name.as_str()).collect();
    loop {
        let open = board.slots(|slot| names.contains(&slot.image.as_str()) && is_open(slot));
        let Some((_, first)) = open.first() else { return Ok(()) };
        if cx.cancel.reason().is_some() || board.failure().is_some() {
            return Ok(());
        }
        let slots: Vec<&(usize, Slot)> = open.iter().filter(|(_, slot)| slot.repository == first.repository).collect();
        push_by_builder(cx, &first.repository, &slots, board).await?;
    }
}

/// Lets the builder push these tags of one repository.
async fn push_by_builder(
    cx: Context<'_>,
    repository: &str,
    slots: &[&(usize, Slot)],
    board: &Board,
) -> Result<(), Box<Failure>> {
    // Only the tags of these slots, and only in this repository.
    let wanted: Vec<BuildSpec> = cx
        .specs
        .iter()
        .filter_map(|spec| {
            let all = &spec.destinations;
            let repository = all.repositories().find(|one| one.as_str() == repository)?.clone();
            let is_wanted = |tag: &&Tag| slots.iter().any(|(_, s)| s.image == spec.name && s.tag == tag.as_str());
            let tags: Vec<Tag> = all.tags.iter().filter(is_wanted).cloned().collect();
            let destinations = Destinations { repository, copies: Vec::new(), tags };
            (!destinations.tags.is_empty()).then(|| BuildSpec { destinations, ..spec.clone() })
        })
        .collect();
    for (place, _) in slots {
        board.set(*place, TagState::Unknown);
    }
    let pushed = builder::push_by_name(cx.builder, &wanted, cx.specs, cx.events).await;
    let digests = pushed.as_ref().cloned().unwrap_or_default();
    join_all(slots.iter().map(async |(place, slot)| {
        let served = survey::by_engine(cx.builder, repository, &slot.tag).await;
        match (digests.get(&slot.image), served) {
            (Some(digest), served) => {
                // An image with attestations gets another digest when it is built again.
                board.give(*place, digest);
                if served == Before::Unknown {
                    let message = format!("{repository}:{} was pushed, but could not be read back", slot.tag);
                    cx.events.emit(Event::Diagnostic(warning(message))).await;
                }
                settle(digest, &served, *place, slot, board);
            }
            (None, served) if served == slot.before && served != Before::Unknown => {
                board.set(*place, TagState::NotMoved);
            }
            (None, Before::Image(served)) if Some(&served) == slot.digest.as_ref() => {
                board.set(*place, TagState::Moved);
            }
            (None, _) => {}
        }
    }))
    .await;
    pushed.map(drop).map_err(Box::new)
}
