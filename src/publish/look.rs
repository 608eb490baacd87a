//! Checks the targets of tags again, right before they are moved.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{
    Context,
    board::{Before, Board, Slot},
    is_open,
    survey::{self, Source},
};
use crate::registry::remote::{Access, RemoteError};

/// Time limit for a registry to report what a tag points to.
const LOOK: Duration = Duration::from_secs(3);

/// Asks again about tags whose answer is missing or outdated, since a tag is restored to its target right before the move.
pub(super) async fn refresh(cx: Context<'_>, board: &Board) {
    let stale = board.slots(|slot| {
        is_open(slot) && !(cx.survey.reaches(&slot.repository) && cx.survey.is_fresh(&slot.repository, &slot.tag))
    });
    look(cx, board, stale).await;
}

/// Updates the targets of these tags; a target without an answer is unknown. If a registry does not answer in time, its
/// tags are left to the builder.
pub(super) async fn look(cx: Context<'_>, board: &Board, slots: Vec<(usize, Slot)>) {
    join_all(slots.into_iter().map(async |(place, slot)| {
        let Some(remote) = cx.builder.registries.repository(&slot.repository, Access::Push) else { return };
        let before = match timeout(LOOK, remote.digest(&slot.tag)).await {
            Ok(Ok(digest)) => {
                cx.survey.find(&slot.repository);
                digest.map_or(Before::Nothing, Before::Image)
            }
            Ok(Err(RemoteError::Unreachable { .. })) | Err(_) => {
                cx.survey.mark_unreachable(&slot.repository);
                by_engine(cx, &slot).await
            }
            Ok(Err(_)) => {
                cx.survey.find(&slot.repository);
                Before::Unknown
            }
        };
        board.saw(place, before);
    }))
    .await;
}

/// Asks the engine what a tag points to, if the previous answer was the engine's: then only the engine can connect to the
/// registry.
async fn by_engine(cx: Context<'_>, slot: &Slot) -> Before {
    let Slot { repository, tag, before, .. } = slot;
    match cx.survey.source(repository, tag) {
        Some(Source::Engine) if cx.survey.is_fresh(repository, tag) => before.clone(),
        Some(Source::Engine) => timeout(LOOK, survey::by_engine(cx.builder, repository, tag)).await.unwrap_or_default(),
        Some(Source::Registry) | None => Before::Unknown,
    }
}
