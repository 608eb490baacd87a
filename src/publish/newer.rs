//! Tags that belong to a newer commit of the branch, which a run that ends late must not take back.

use futures_util::future::join_all;

use super::{
    Context,
    board::{Before, Board, Slot},
    is_open, survey, tags,
};
use crate::{
    builder::Content,
    domain::{
        diagnostic::{Diagnostic, Severity},
        event::Event,
        publication::TagState,
    },
    github::{
        branch_head::{self, Head},
        client::Client,
    },
    plan::{
        ImagePlan,
        superseded::{REVISION, moving, tag_of_commit},
    },
    registry::remote::Access,
};

/// The branch that a run publishes for, and the commit that it builds.
#[derive(Clone, Debug)]
pub struct Branch {
    /// Where GitHub is asked.
    pub client: Client,
    /// The branch's short name.
    pub name: String,
    /// The commit.
    pub sha: String,
}

impl Branch {
    /// What the commit is to the branch now.
    pub(super) async fn head(&self) -> Head {
        branch_head::head(&self.client, &self.name, &self.sha).await
    }
}

/// Leaves the tags that move where they are, for every image of which the registry has that of a newer commit already.
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
    // What the tags pointed to when the build began is of no use here.
    let is_moving = |slot: &Slot| {
        let image = images.iter().find(|(image, _)| image.name == slot.image);
        image.is_some_and(|(image, _)| moving(image).iter().any(|tag| tag.as_str() == slot.tag))
    };
    tags::look(cx, board, board.slots(|slot| is_open(slot) && is_moving(slot))).await;
    let newer = join_all(images.iter().map(|(image, _)| has_image_of(cx, image, &head, board))).await;
    let mut kept = Vec::new();
    for ((image, _), _) in images.iter().zip(newer).filter(|(_, newer)| *newer) {
        // A tag that does not exist yet takes nothing back.
        let exists = |slot: &Slot| slot.image == image.name && slot.before != Before::Nothing;
        for (place, slot) in board.slots(|slot| is_open(slot) && is_moving(slot) && exists(slot)) {
            board.set(place, TagState::Kept);
            kept.push(format!("{}:{}", slot.repository, slot.tag));
        }
    }
    if kept.is_empty() {
        return;
    }
    let message = format!(
        "{} is a newer commit of {}, and the registry has its images already, or does not say whether it has them; so these \
         tags stay where they are: {}; set `when-superseded: publish` to move them in any case",
        short(&head),
        branch.name,
        kept.join(", ")
    );
    cx.events.emit(Event::Superseded(head)).await;
    cx.events.emit(Event::Diagnostic(notice(message))).await;
}

/// Whether the registry has an image of that commit, or does not say.
async fn has_image_of(cx: Context<'_>, image: &ImagePlan, head: &str, board: &Board) -> bool {
    let repository = image.destinations.repository.as_str();
    let remote = cx.builder.registries.repository(repository, Access::Push);
    let remote = remote.filter(|_| cx.survey.reaches(repository));
    match (tag_of_commit(image, head), remote) {
        (Some(tag), Some(remote)) => !matches!(survey::digest(&remote, tag.as_str()).await, Ok(Before::Nothing)),
        (Some(tag), None) => survey::by_engine(cx.builder, repository, tag.as_str()).await != Before::Nothing,
        (None, Some(remote)) => {
            let moving = moving(image);
            let is_moving = |tag: &str| moving.iter().any(|one| one.as_str() == tag);
            let slots = board.slots(|slot| slot.image == image.name && slot.repository == repository);
            let before =
                slots.into_iter().filter(|(_, slot)| is_moving(&slot.tag)).find_map(|(_, slot)| match slot.before {
                    Before::Image(digest) => Some(digest),
                    Before::Unknown | Before::Nothing => None,
                });
            let Some(digest) = before else { return false };
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
