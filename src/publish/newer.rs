//! Leaves tags unchanged that belong to a newer commit of the branch, so that a slow run does not move them back.

use std::{collections::HashMap, time::Duration};

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{
    Context,
    board::{Before, Board, Slot},
    branch::Branch,
    is_open, look, survey,
};
use crate::{
    builder::Content,
    domain::{
        diagnostic::{Diagnostic, Severity},
        digest::Digest,
        event::Event,
        publication::TagState,
    },
    github::branch_head::Head,
    plan::{
        ImagePlan,
        superseded::{REVISION, moving, tag_of_commit},
    },
    registry::remote::Access,
};

/// Time limit for a registry to report the commit that an image was built from.
const LABEL: Duration = Duration::from_secs(3);

/// Keeps the moving tags of every image for which the registry already has an image of a newer commit: the head of the
/// branch, or another commit after that of this run.
pub(super) async fn keep(cx: Context<'_>, images: &[(&ImagePlan, &Content)], board: &Board) {
    let Some(branch) = cx.branch.filter(|_| images.iter().any(|(image, _)| !moving(image).is_empty())) else { return };
    let head = match cx.survey.head() {
        Some(head) => head,
        None => branch.head().await,
    };
    let head = match head {
        Head::Head => return,
        Head::Behind { head } => head,
        Head::Unknown(reason) => {
            let message = format!(
                "whether {} is still the newest commit of {} is unknown, so its tags are moved: {reason}",
                short(&branch.sha),
                branch.name
            );
            cx.events.emit(Event::Diagnostic(notice(message))).await;
            return;
        }
    };
    // The answers from the start of the build may be outdated.
    let is_moving = |slot: &Slot| {
        let image = images.iter().find(|(image, _)| image.name == slot.image);
        image.is_some_and(|(image, _)| moving(image).iter().any(|tag| tag.as_str() == slot.tag))
    };
    look::look(cx, board, board.slots(|slot| is_open(slot) && is_moving(slot))).await;
    let newer = newer_commits(cx, branch, images, &head, board).await;
    let (mut kept, mut commits) = (Vec::new(), Vec::new());
    for ((image, _), commit) in images.iter().zip(newer) {
        let Some(commit) = commit else { continue };
        // Creating a tag replaces nothing.
        let exists = |slot: &Slot| slot.image == image.name && slot.before != Before::Nothing;
        for (place, slot) in board.slots(|slot| is_open(slot) && is_moving(slot) && exists(slot)) {
            board.set(place, TagState::Kept);
            kept.push(format!("{}:{}", slot.repository, slot.tag));
            if !commits.contains(&commit) {
                commits.push(commit.clone());
            }
        }
    }
    let Some(first) = commits.first().cloned() else { return };
    let newer: Vec<&str> = commits.iter().map(|commit| short(commit)).collect();
    let message = format!(
        "the registry has images of a newer commit of {} ({}) already, or does not say whether it has them; so these tags \
         stay where they are: {}; set `when-superseded: publish` to move them in any case",
        branch.name,
        newer.join(", "),
        kept.join(", ")
    );
    cx.events.emit(Event::Superseded(first)).await;
    cx.events.emit(Event::Diagnostic(notice(message))).await;
}

/// Returns, for each image, the newer commit whose image the registry has, if any.
async fn newer_commits(
    cx: Context<'_>,
    branch: &Branch,
    images: &[(&ImagePlan, &Content)],
    head: &str,
    board: &Board,
) -> Vec<Option<String>> {
    let of_head = join_all(images.iter().map(|(image, _)| has_image_of(cx, image, head, board))).await;
    let published = join_all(
        images.iter().zip(&of_head).map(
            async |((image, _), of_head)| {
                if *of_head { None } else { published_commit(cx, image, board).await }
            },
        ),
    )
    .await;
    // All images of a run have the same commit, so ask GitHub once per commit.
    let mut newer: HashMap<&str, bool> = HashMap::new();
    for commit in published.iter().flatten().filter(|commit| !commit.eq_ignore_ascii_case(&branch.sha)) {
        if !newer.contains_key(commit.as_str()) {
            newer.insert(commit, branch.is_older_than(commit).await);
        }
    }
    let commit = |(of_head, published): (&bool, &Option<String>)| {
        if *of_head {
            return Some(head.to_owned());
        }
        published.clone().filter(|commit| newer.get(commit.as_str()) == Some(&true))
    };
    of_head.iter().zip(&published).map(commit).collect()
}

/// Returns the commit of the image that a moving tag points to now, according to its label.
async fn published_commit(cx: Context<'_>, image: &ImagePlan, board: &Board) -> Option<String> {
    let repository = image.destinations.repository.as_str();
    let remote = cx.builder.registries.repository(repository, Access::Push)?;
    let digest = published(image, board).filter(|_| cx.survey.reaches(repository))?;
    let revision = timeout(LABEL, remote.label(&digest, REVISION)).await.ok()?.ok()??;
    let is_commit = matches!(revision.len(), 40 | 64) && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_commit.then_some(revision)
}

/// Returns the digest of the first moving tag of an image that exists.
fn published(image: &ImagePlan, board: &Board) -> Option<Digest> {
    let moving = moving(image);
    let is_moving = |tag: &str| moving.iter().any(|one| one.as_str() == tag);
    let slots =
        board.slots(|slot| slot.image == image.name && slot.repository == image.destinations.repository.as_str());
    slots.into_iter().filter(|(_, slot)| is_moving(&slot.tag)).find_map(|(_, slot)| match slot.before {
        Before::Image(digest) => Some(digest),
        Before::Unknown | Before::Nothing => None,
    })
}

/// Whether the registry has, or may have, an image of that commit.
async fn has_image_of(cx: Context<'_>, image: &ImagePlan, head: &str, board: &Board) -> bool {
    let repository = image.destinations.repository.as_str();
    let remote = cx.builder.registries.repository(repository, Access::Push);
    let remote = remote.filter(|_| cx.survey.reaches(repository));
    match (tag_of_commit(image, head), remote) {
        (Some(tag), Some(remote)) => !matches!(survey::digest(&remote, tag.as_str()).await, Ok(Before::Nothing)),
        (Some(tag), None) => survey::by_engine(cx.builder, repository, tag.as_str()).await != Before::Nothing,
        (None, Some(remote)) => {
            let Some(digest) = published(image, board) else { return false };
            remote.label(&digest, REVISION).await.map_or(true, |revision| revision.as_deref() == Some(head))
        }
        (None, None) => false,
    }
}

fn short(sha: &str) -> &str {
    sha.get(..7).unwrap_or(sha)
}

fn notice(message: String) -> Diagnostic {
    Diagnostic { severity: Severity::Notice, title: "superseded".to_owned(), message, place: None }
}
