//! The state of a tag after it was pushed, from what the registry says about it.

use super::board::{Before, Board, Slot};
use crate::domain::{
    diagnostic::{Diagnostic, Severity},
    digest::Digest,
    failure::Failure,
    publication::TagState,
    stage::Stage,
};

pub(super) const CONCURRENCY: &str = "if another run pushes the same tag, give the workflow a `concurrency:` group";
pub(super) const PROXIES: &str = "check the proxies and mirrors in front of the registry";

/// The failure of a tag that points to another image than the one that it was given.
pub(super) fn another_image(slot: &Slot, built: &Digest, served: &Digest, hint: &str) -> Failure {
    let Slot { repository, tag, .. } = slot;
    wrong(&slot.image, format!("{repository}:{tag} was pushed as {built}, but the registry serves {served}"), hint)
}

/// Records the state of a tag that was pushed as `built`, from what the registry serves under it now.
pub(super) fn settle(built: &Digest, served: &Before, place: usize, slot: &Slot, board: &Board) {
    let reference = format!("{}:{}", slot.repository, slot.tag);
    match served {
        Before::Image(served) if served == built => {
            let same = slot.before == Before::Image(built.clone());
            board.set(place, if same { TagState::Unchanged } else { TagState::Moved });
        }
        Before::Image(served) => {
            board.set(place, TagState::Unknown);
            board.fail(place, another_image(slot, built, served, &format!("{CONCURRENCY}; otherwise {PROXIES}")));
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

/// A failure of an image's publication.
pub(super) fn wrong(image: &str, headline: String, hint: &str) -> Failure {
    Failure::new(Stage::Publish, headline, Some(hint.to_owned())).of_image(image)
}

/// A warning about publishing.
pub(super) fn warning(message: String) -> Diagnostic {
    Diagnostic { severity: Severity::Warning, title: "publish".to_owned(), message, place: None }
}
