//! Looks at tags once more, right before they move.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{
    Context,
    board::{Before, Board, Slot},
    is_open,
    survey::{self, Teller},
};
use crate::registry::remote::{Access, RemoteError};

/// Time limit for a registry to say where a tag points.
const LOOK: Duration = Duration::from_secs(3);

/// Asks once more for tags whose answer is old, or that could not be asked for: a tag is moved back to what it pointed to
/// right before.
pub(super) async fn refresh(cx: Context<'_>, board: &Board) {
    let stale = board.slots(|slot| {
        is_open(slot) && !(cx.survey.reaches(&slot.repository) && cx.survey.is_fresh(&slot.repository, &slot.tag))
    });
    look(cx, board, stale).await;
}

/// Looks where these tags point now; unknown where nobody tells. A registry that does not answer in time is left to the
/// builder.
pub(super) async fn look(cx: Context<'_>, board: &Board, slots: Vec<(usize, Slot)>) {
    join_all(slots.into_iter().map(async |(place, slot)| {
        let Some(remote) = cx.builder.registries.repository(&slot.repository, Access::Push) else { return };
        let before = match timeout(LOOK, remote.digest(&slot.tag)).await {
            Ok(Ok(digest)) => {
                cx.survey.find(&slot.repository);
                digest.map_or(Before::Nothing, Before::Image)
            }
            Ok(Err(RemoteError::Unreachable { .. })) | Err(_) => {
                cx.survey.lose(&slot.repository);
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

/// Where a tag points as the engine sees it, if the engine has told before: then it alone reaches the registry.
async fn by_engine(cx: Context<'_>, slot: &Slot) -> Before {
    let Slot { repository, tag, before, .. } = slot;
    match cx.survey.teller(repository, tag) {
        Some(Teller::Engine) if cx.survey.is_fresh(repository, tag) => before.clone(),
        Some(Teller::Engine) => timeout(LOOK, survey::by_engine(cx.builder, repository, tag)).await.unwrap_or_default(),
        Some(Teller::Registry) | None => Before::Unknown,
    }
}
