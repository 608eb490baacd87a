//! Moves the tags, after all images of the run have been uploaded.
//!
//! Each tag is moved by uploading the manifest of its image with `PUT /v2/<name>/manifests/<tag>`
//! (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests>), all tags concurrently. If
//! this process cannot connect to a registry, the builder pushes the tags instead. An image in the classic store is first
//! uploaded by the engine under one tag.
//!
//! If a tag cannot be moved, the tags that moved are restored to their previous images, if these are known and the registry
//! allows it. The state of each tag is reported in any case ([`ImageEvent::Published`]).

mod board;
mod branch;
mod engine;
mod look;
mod newer;
mod restore;
mod settle;
mod survey;
mod tags;

use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use self::board::{Board, Slot};
pub use self::{
    board::Before,
    branch::Branch,
    restore::{Repaired, after_kill},
    survey::Survey,
};
use crate::{
    builder::{
        Builder, Built, Content,
        explain::{self, Explanation},
        spec::BuildSpec,
    },
    cancel::{Cancel, Stop},
    domain::{
        digest::Digest,
        event::ImageEvent,
        failure::Failure,
        publication::{Publication, TagState},
        repository::host_of,
        stage::Stage,
    },
    events::Events,
    plan::{ImagePlan, Plan},
    registry::{
        permissions::PushTarget,
        remote::{Outage, RemoteError},
    },
};

/// Time limit for moves in progress after the run was asked to stop.
const AFTER_STOP: Duration = Duration::from_millis(1500);

/// A published image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The image's name in the plan.
    pub image: String,
    /// The image's own repository, as `registry/path`.
    pub repository: String,
    /// The digest.
    pub digest: Digest,
    /// The previous digest of its first tag; `None` if the tag was new or the digest is unknown.
    pub previous: Option<Digest>,
}

/// The images of a run, published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Each image under its tags.
    pub releases: Vec<Release>,
    /// Whether a newer commit's image kept any tag.
    pub superseded: bool,
}

/// Why the tags of a run were not all moved.
#[derive(Clone, Debug, PartialEq)]
pub enum Unpublished {
    /// A tag could not be moved.
    Failed(Box<Failure>),
    /// The run was stopped.
    Stopped(Stop),
}

/// A tag that is about to be moved, saved for the post stage in case this process is killed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Move {
    /// `registry/path`.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// The new digest; `None` while an engine uploads the image, which returns the digest only afterwards.
    pub digest: Option<Digest>,
    /// The current digest; `None` if the tag does not exist or the digest is unknown.
    pub previous: Option<Digest>,
}

/// The context of publishing, besides the images.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The images, their tags and their repositories.
    pub plan: &'a Plan,
    /// The builder of the images.
    pub builder: &'a Builder,
    /// The build specs, for a builder that pushes the tags.
    pub specs: &'a [BuildSpec],
    /// The branch whose tags must not move backwards; `None` if there is none or GitHub cannot be asked about it.
    pub branch: Option<&'a Branch>,
    /// The targets of the tags before the run.
    pub survey: &'a Survey,
    /// Receives the events.
    pub events: &'a Events,
    /// Signals a request to stop.
    pub cancel: &'a Cancel,
    /// Saves the tags that are about to be moved.
    pub journal: &'a dyn Fn(&[Move]),
}

/// Moves all tags of these images.
///
/// # Errors
/// If a tag could not be moved, or a stop was requested before. Tags that had moved were restored if possible; the events
/// report the state of each.
pub async fn all(cx: Context<'_>, built: &[Built]) -> Result<Published, Unpublished> {
    let images: Vec<(&ImagePlan, &Content)> = built
        .iter()
        .filter(|built| !matches!(built.content, Content::Unpublished))
        .filter_map(|built| Some((cx.plan.images.iter().find(|image| image.name == built.image)?, &built.content)))
        .collect();
    let board = Board::new(images.iter().map(|(image, _)| *image), |repository, tag| cx.survey.before(repository, tag));
    let result = moved(cx, &images, &board).await;
    if result.is_err() {
        restore::all(cx, &board).await;
    }
    let publications = join_all(images.iter().map(async |(image, content)| {
        let mut publication = board.publication(&image.name)?;
        publication.size = engine::size(cx, image, content, &publication).await;
        Some(publication)
    }))
    .await;
    let mut releases = Vec::new();
    for ((image, _), publication) in images.iter().zip(publications) {
        let Some(publication) = publication else { continue };
        releases.extend(release(image, &publication, &board));
        cx.events.image(&image.name, ImageEvent::Published(Box::new(publication))).await;
    }
    let superseded = !board.slots(|slot| slot.state == TagState::Kept).is_empty();
    result.map(|()| Published { releases, superseded })
}

async fn moved(cx: Context<'_>, images: &[(&ImagePlan, &Content)], board: &Board) -> Result<(), Unpublished> {
    tags::assign(images, board);
    // Nothing has moved yet, so a stop takes effect immediately.
    let look = async {
        look::refresh(cx, board).await;
        newer::keep(cx, images, board).await;
    };
    cx.cancel.unless(look).await.map_err(Unpublished::Stopped)?;
    let work = async {
        if images.iter().any(|(_, content)| matches!(content, Content::InEngine)) {
            engine::upload(cx, images, board).await?;
            // The upload may have taken minutes.
            look::refresh(cx, board).await;
            newer::keep(cx, images, board).await;
        }
        if cx.cancel.reason().is_some() {
            return Ok(());
        }
        journal(cx, board);
        tags::all(cx, images, board).await
    };
    let done = tokio::select! {
        biased;
        done = work => done,
        stop = async {
            let stop = cx.cancel.requested().await;
            tokio::time::sleep(AFTER_STOP).await;
            stop
        } => return Err(Unpublished::Stopped(stop)),
    };
    let unfinished = !board.slots(|slot| matches!(slot.state, TagState::NotMoved | TagState::Unknown)).is_empty();
    match (done, board.failure()) {
        // A stop that was requested during the last moves has no effect if all of them finished.
        (Ok(()), None) => match cx.cancel.reason().filter(|_| unfinished) {
            Some(stop) => Err(Unpublished::Stopped(stop)),
            None => Ok(()),
        },
        (_, Some(failure)) => Err(Unpublished::Failed(Box::new(failure))),
        (Err(failure), None) => Err(Unpublished::Failed(failure)),
    }
}

/// Saves the tags that are about to move and those that may have moved already.
fn journal(cx: Context<'_>, board: &Board) {
    let is_moving = |slot: &Slot| match slot.state {
        TagState::Kept => false,
        TagState::Unknown => true,
        _ => slot.digest.is_some(),
    };
    let moves: Vec<Move> = board.slots(is_moving).into_iter().map(|(_, slot)| as_move(slot)).collect();
    (cx.journal)(&moves);
}

fn as_move(slot: Slot) -> Move {
    let previous = match slot.before {
        Before::Image(digest) => Some(digest),
        Before::Unknown | Before::Nothing => None,
    };
    Move { repository: slot.repository, tag: slot.tag, digest: slot.digest, previous }
}

fn release(image: &ImagePlan, publication: &Publication, board: &Board) -> Option<Release> {
    let own = board.slots(|slot| slot.image == image.name);
    let previous = own.first().and_then(|(_, slot)| match &slot.before {
        Before::Image(digest) => Some(digest.clone()),
        Before::Unknown | Before::Nothing => None,
    });
    Some(Release {
        image: image.name.clone(),
        repository: image.destinations.repository.to_string(),
        digest: publication.digest.clone()?,
        previous,
    })
}

/// Creates the failure of a push to `repository` from the message of the engine or the registry.
fn failure(cx: Context<'_>, image: &str, repository: &str, message: &str) -> Failure {
    let target = PushTarget { host: host_of(repository), has_login: cx.builder.registries.login(repository).is_some() };
    let Explanation { stage, headline, hint } = explain::push(message, target);
    Failure::new(stage, headline, hint).of_image(image)
}

/// Creates the failure of this process's request to `repository`. `about` is the tag or image of the request.
fn refusal(cx: Context<'_>, image: &str, repository: &str, about: &str, error: &RemoteError) -> Failure {
    let (host, reason, outage) = match error {
        RemoteError::Unreachable { host, reason, outage } => (host, reason, outage),
        RemoteError::Refused { status, message, .. } => {
            let detail = if message.is_empty() { String::new() } else { format!(": {message}") };
            return failure(cx, image, repository, &format!("{about}: {status}{detail}"));
        }
        error => return failure(cx, image, repository, &format!("{about}: {error}")),
    };
    let headline = match outage {
        Outage::Untrusted => format!("the certificate of {host} is not trusted by this step"),
        Outage::NoConnection => format!("{host} cannot be reached from this step"),
        Outage::Broken => format!("the connection to {host} broke"),
        Outage::TimedOut => format!("{host} did not answer in time"),
    };
    let hint = Some(format!("{}; pushing {about}: {reason}", outage.hint()));
    Failure::new(Stage::Publish, headline, hint).of_image(image)
}

/// Whether the tag has not been processed yet.
fn is_open(slot: &Slot) -> bool {
    slot.state == TagState::NotMoved
}
