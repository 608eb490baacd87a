//! Determines the state of a pushed tag from the registry's answer.

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

/// Creates the failure of a tag that points to an image other than the pushed one.
pub(super) fn another_image(slot: &Slot, built: &Digest, served: &Digest, hint: &str) -> Failure {
    let Slot { repository, tag, .. } = slot;
    wrong(&slot.image, format!("{repository}:{tag} was pushed as {built}, but the registry serves {served}"), hint)
}

/// Records the state of a tag that was pushed as `built`, given what the registry serves for it now. Returns whether the tag
/// points to the image, as far as the registry says.
pub(super) fn settle(built: &Digest, served: &Before, place: usize, slot: &Slot, board: &Board) -> bool {
    let reference = format!("{}:{}", slot.repository, slot.tag);
    match served {
        Before::Image(served) if served == built => {
            let same = slot.before == Before::Image(built.clone());
            board.set(place, if same { TagState::Unchanged } else { TagState::Moved });
            true
        }
        Before::Image(served) => {
            board.set(place, TagState::Unknown);
            board.fail(place, another_image(slot, built, served, &format!("{CONCURRENCY}; otherwise {PROXIES}")));
            false
        }
        Before::Nothing => {
            board.set(place, TagState::NotMoved);
            let message = format!("{reference} was pushed, but the registry does not have it");
            let hint = "check whether a retention rule of the registry deletes it";
            board.fail(place, wrong(&slot.image, message, hint));
            false
        }
        Before::Unknown => {
            board.set(place, TagState::Moved);
            true
        }
    }
}

/// Creates the failure of an image's publication.
pub(super) fn wrong(image: &str, headline: String, hint: &str) -> Failure {
    Failure::new(Stage::Publish, headline, Some(hint.to_owned())).of_image(image)
}

/// Creates a warning about publishing.
pub(super) fn warning(message: String) -> Diagnostic {
    Diagnostic { severity: Severity::Warning, title: "publish".to_owned(), message, place: None }
}
