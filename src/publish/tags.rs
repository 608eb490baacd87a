//! Moves the tags of images that are in their registries.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{
    Context,
    board::{Before, Board, Slot},
    engine, is_open, refusal, survey,
};
use crate::{
    builder::{self, Content, spec::BuildSpec},
    domain::{
        destinations::Destinations,
        diagnostic::{Diagnostic, Severity},
        digest::Digest,
        event::{Event, ImageEvent},
        failure::Failure,
        publication::TagState,
        repository::Repository,
        stage::Stage,
        tag::Tag,
    },
    plan::ImagePlan,
    registry::remote::{Access, RawManifest, Remote, RemoteError},
    retry::RetryPolicy,
};

/// A registry that takes longer to say where a tag points is not waited for.
const LOOK: Duration = Duration::from_secs(3);

/// Asks once more for tags whose answer is old, or that could not be asked for: a tag is moved back to what it pointed to
/// right before.
pub(super) async fn refresh(cx: Context<'_>, board: &Board) {
    let stale = board.slots(|slot| {
        is_open(slot) && !(cx.survey.reaches(&slot.repository) && cx.survey.is_fresh(&slot.repository, &slot.tag))
    });
    look(cx, board, stale).await;
}

/// Looks where these tags point now. A registry that does not answer in time is left to the builder, and what it said
/// before stays. One that refuses to say makes the tag's place unknown.
pub(super) async fn look(cx: Context<'_>, board: &Board, slots: Vec<(usize, Slot)>) {
    join_all(slots.into_iter().map(async |(place, slot)| {
        let Some(remote) = cx.builder.registries.repository(&slot.repository, Access::Push) else { return };
        let before = match timeout(LOOK, remote.digest(&slot.tag)).await {
            Ok(Ok(digest)) => digest.map_or(Before::Nothing, Before::Image),
            Ok(Err(RemoteError::Unreachable { .. })) | Err(_) => return cx.survey.lose(&slot.repository),
            Ok(Err(_)) => Before::Unknown,
        };
        cx.survey.find(&slot.repository);
        board.saw(place, before);
    }))
    .await;
}

/// Notes which digest every tag of an uploaded image is to be given.
pub(super) fn assign(images: &[(&ImagePlan, &Content)], board: &Board) {
    for (image, content) in images {
        if let Content::Uploaded { digest, .. } = content {
            for (place, _) in board.slots(|slot| slot.image == image.name) {
                board.give(place, digest);
            }
        }
    }
}

/// Moves every tag that has not moved yet. Errors are noted on the board, and returned where they are about no tag.
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

/// Moves the tags of one repository by ourselves. A registry that turns out to be out of reach is left to the builder.
async fn direct_tags(cx: Context<'_>, image: &ImagePlan, content: &Content, repository: &Repository, board: &Board) {
    let own = board.slots(|slot| slot.image == image.name && slot.repository == repository.as_str() && is_open(slot));
    let Some((first, slot)) = own.first() else { return };
    let Some(remote) = cx.builder.registries.repository(repository.as_str(), Access::Push) else {
        cx.survey.lose(repository.as_str());
        return;
    };
    let Some(digest) = slot.digest.clone() else { return };
    // A tag that points there already needs no manifest.
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
            cx.survey.lose(repository.as_str());
            return;
        }
        Err(error) => {
            board.fail(*first, refusal(&image.name, repository.as_str(), &format!("{repository}@{digest}"), &error));
            return;
        }
    };
    join_all(moving.into_iter().map(|(place, slot)| tag(cx, &remote, &manifest, *place, slot, board))).await;
}

/// Moves one tag, and makes sure that it moved.
async fn tag(cx: Context<'_>, remote: &Remote, manifest: &RawManifest, place: usize, slot: &Slot, board: &Board) {
    let Slot { image, repository, tag, .. } = slot;
    // From here on the registry may have moved it, whatever becomes of us.
    board.set(place, TagState::Unknown);
    let notice = async |error: &RemoteError, attempt, wait| {
        let reason = format!("{repository}:{tag}: {error}");
        cx.events.image(image, ImageEvent::Retrying { reason, attempt, wait }).await;
    };
    match RetryPolicy::default().run(async || remote.put(tag, manifest).await, notice).await {
        Ok(Some(digest)) => settle(&manifest.digest, &Before::Image(digest), place, slot, board),
        // The registry did not say what the tag points to now.
        Ok(None) => match survey::digest(remote, tag).await {
            Ok(served) => settle(&manifest.digest, &served, place, slot, board),
            Err(error) => {
                board.set(place, TagState::Moved);
                let message = format!("{repository}:{tag} was moved, but could not be read back: {error}");
                cx.events.emit(Event::Diagnostic(warning(message))).await;
            }
        },
        Err(error) => {
            match survey::digest(remote, tag).await {
                // The answer got lost, the tag did not.
                Ok(Before::Image(served)) if served == manifest.digest => return board.set(place, TagState::Moved),
                Ok(_) => board.set(place, TagState::NotMoved),
                Err(_) if matches!(error, RemoteError::Refused { .. }) => board.set(place, TagState::NotMoved),
                Err(_) => {}
            }
            board.fail(place, refusal(image, repository, &format!("{repository}:{tag}"), &error));
        }
    }
}

/// Notes what a tag points to after it was pushed as `built`.
pub(super) fn settle(built: &Digest, served: &Before, place: usize, slot: &Slot, board: &Board) {
    let reference = format!("{}:{}", slot.repository, slot.tag);
    match served {
        Before::Image(served) if served == built => {
            let same = slot.before == Before::Image(built.clone());
            board.set(place, if same { TagState::Unchanged } else { TagState::Moved });
        }
        Before::Image(served) => {
            board.set(place, TagState::Unknown);
            let message = format!("{reference} was pushed as {built}, but the registry serves {served}");
            let hint = "if another run pushes the same tag, give the workflow a `concurrency:` group";
            board.fail(place, wrong(&slot.image, message, hint));
        }
        Before::Nothing => {
            board.set(place, TagState::NotMoved);
            let message = format!("{reference} was pushed, but the registry does not have it");
            let hint = "check whether a retention rule of the registry deletes it";
            board.fail(place, wrong(&slot.image, message, hint));
        }
        Before::Unknown => board.set(place, TagState::Moved),
    }
}

/// Lets the builder push under the tags of the repositories that only it reaches, one repository after the other.
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

/// Lets the builder push under these tags of one repository.
async fn push_by_builder(
    cx: Context<'_>,
    repository: &str,
    slots: &[&(usize, Slot)],
    board: &Board,
) -> Result<(), Box<Failure>> {
    // Only the tags of these slots, only in this repository.
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
                // An attested image is not the same one when it is built again.
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

pub(super) fn wrong(image: &str, headline: String, hint: &str) -> Failure {
    Failure::new(Stage::Publish, headline, Some(hint.to_owned())).of_image(image)
}

pub(super) fn warning(message: String) -> Diagnostic {
    Diagnostic { severity: Severity::Warning, title: "publish".to_owned(), message, place: None }
}
