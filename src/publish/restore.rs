//! Moves tags back to what they pointed to before.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{
    Context, Move,
    board::{Before, Board, Slot},
    survey,
};
use crate::{
    domain::{
        digest::Digest,
        publication::{TagResult, TagState},
    },
    registry::{
        registries::Registries,
        remote::{Access, Remote, RemoteError},
    },
    retry::RetryPolicy,
};

/// A registry that takes longer to say where a tag points is not waited for after a kill.
const READ: Duration = Duration::from_secs(2);

/// Moves back what moved, where it is known what it pointed to and this process reaches the registry. A tag that did not
/// exist before stays: most registries cannot remove one.
pub(super) async fn all(cx: Context<'_>, board: &Board) {
    let moved = board.slots(|slot| matches!(slot.state, TagState::Moved | TagState::Unknown));
    join_all(moved.into_iter().map(async |(place, slot)| {
        if matches!(slot.before, Before::Image(_)) {
            // Whether it is moved back is known once that is over.
            board.set(place, TagState::Unknown);
        }
        board.set(place, slot_back(&cx.builder.registries, &slot).await.unwrap_or(slot.state));
    }))
    .await;
}

/// Repairs what a run left that ended while its tags moved: where only some of them moved, those are moved back.
/// Returns where each tag points now.
pub async fn after_kill(registries: &Registries, moves: &[Move]) -> Vec<TagResult> {
    let served = join_all(moves.iter().map(async |one| {
        let remote = registries.repository(&one.repository, Access::Push)?;
        let digest = timeout(READ, remote.digest(&one.tag)).await.ok()?.ok()?;
        Some(digest.map_or(Before::Nothing, Before::Image))
    }))
    .await;
    let is_moved = |(one, served): (&Move, &Option<Before>)| {
        served.as_ref().map(|served| *served == Before::Image(one.digest.clone()))
    };
    // A registry that says nothing decides nothing.
    let all = !moves.iter().zip(&served).any(|one| is_moved(one) == Some(false));
    join_all(moves.iter().zip(&served).map(async |(one, served)| {
        let state = match is_moved((one, served)) {
            None => TagState::Unknown,
            Some(false) => TagState::NotMoved,
            Some(true) if all => TagState::Moved,
            Some(true) => slot_back(registries, &Slot::of(one)).await.unwrap_or(TagState::Moved),
        };
        TagResult { repository: one.repository.clone(), tag: one.tag.clone(), state }
    }))
    .await
}

/// Where a tag points when it was moved back; `None` if that did not happen and nothing is known beyond what was.
async fn slot_back(registries: &Registries, slot: &Slot) -> Option<TagState> {
    let remote = registries.repository(&slot.repository, Access::Push)?;
    let served = survey::digest(&remote, &slot.tag).await.ok()?;
    match &slot.before {
        // A request that nobody waits for any more may still move it.
        before if *before == served && slot.state == TagState::Unknown => None,
        before if *before == served => Some(TagState::NotMoved),
        // It is not known what it was given.
        _ if slot.digest.is_none() => None,
        // Somebody else has moved it meanwhile.
        _ if slot.digest.clone().is_some_and(|digest| served != Before::Image(digest)) => Some(TagState::Unknown),
        Before::Image(previous) => Some(match back(&remote, &slot.tag, previous).await {
            Ok(digest) if digest.as_ref() == Some(previous) => TagState::Restored,
            // The answer does not say so, and may have got lost: the tag does.
            Ok(_) | Err(_) => match survey::digest(&remote, &slot.tag).await {
                Ok(served) if served == slot.before => TagState::Restored,
                Ok(Before::Image(served)) if slot.digest.as_ref() == Some(&served) => TagState::Moved,
                Ok(_) | Err(_) => TagState::Unknown,
            },
        }),
        Before::Nothing | Before::Unknown => Some(TagState::Moved),
    }
}

/// Points a tag to an image that is still in the registry. Returns the digest that the registry says the tag has now;
/// `None` if it says none, or if the image is not there any more.
async fn back(remote: &Remote, tag: &str, previous: &Digest) -> Result<Option<Digest>, RemoteError> {
    let policy = RetryPolicy::default();
    let Some(manifest) = policy.quietly(async || remote.manifest(previous.as_str()).await).await? else {
        return Ok(None);
    };
    policy.quietly(async || remote.put(tag, &manifest).await).await
}
