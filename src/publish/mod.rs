//! Moves the tags: the last thing that a run does to a registry, once all of its images are there.
//!
//! Every tag is given the manifest of its image by `PUT /v2/<name>/manifests/<tag>`
//! (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests>), all of them at the same
//! time. Where this process does not reach a registry, the builder pushes under the tags instead; an image in the classic
//! store is uploaded by the engine under one tag first.
//!
//! If a tag cannot be moved, those that moved are moved back to what they pointed to before, as far as that is known and
//! the registry allows it. What became of each tag is told in any case ([`ImageEvent::Published`]).

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

/// How long tags that are being moved may take after the run was asked to stop.
const AFTER_STOP: Duration = Duration::from_millis(1500);

/// An image under its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The image's name in the plan.
    pub image: String,
    /// `registry/path`, its own repository.
    pub repository: String,
    /// The digest.
    pub digest: Digest,
    /// What its first tag pointed to before; `None` if nothing, or if that is unknown.
    pub previous: Option<Digest>,
}

/// Why the tags of a run are not, or not all, where they should be.
#[derive(Clone, Debug, PartialEq)]
pub enum Unpublished {
    /// A tag could not be moved.
    Failed(Box<Failure>),
    /// The run was stopped.
    Stopped(Stop),
}

/// What is about to be moved, for those who must know of it should this process be killed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Move {
    /// `registry/path`.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// The digest that it is given; `None` while an engine uploads the image, which names the digest only afterwards.
    pub digest: Option<Digest>,
    /// What it points to now; `None` if nothing, or if that is unknown.
    pub previous: Option<Digest>,
}

/// What publishing needs besides the images.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What is published, and under which names.
    pub plan: &'a Plan,
    /// What built it.
    pub builder: &'a Builder,
    /// How it was built, for a builder that pushes under the tags.
    pub specs: &'a [BuildSpec],
    /// The branch whose tags must not move backwards; `None` if there is none, or nobody to ask about it.
    pub branch: Option<&'a Branch>,
    /// What the tags pointed to before.
    pub survey: &'a Survey,
    /// Hears what happens.
    pub events: &'a Events,
    /// Asks to stop.
    pub cancel: &'a Cancel,
    /// Writes down what is about to be moved.
    pub journal: &'a dyn Fn(&[Move]),
}

/// Moves all tags of these images.
///
/// # Errors
/// A tag that could not be moved, or a stop that came first. Tags that had moved were moved back where that was possible;
/// the events say what became of each.
pub async fn all(cx: Context<'_>, built: &[Built]) -> Result<Vec<Release>, Unpublished> {
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
    result.map(|()| releases)
}

async fn moved(cx: Context<'_>, images: &[(&ImagePlan, &Content)], board: &Board) -> Result<(), Unpublished> {
    tags::assign(images, board);
    // Nothing has moved yet: a stop ends this at once.
    let look = async {
        look::refresh(cx, board).await;
        newer::keep(cx, images, board).await;
    };
    cx.cancel.unless(look).await.map_err(Unpublished::Stopped)?;
    let work = async {
        if images.iter().any(|(_, content)| matches!(content, Content::InEngine)) {
            engine::upload(cx, images, board).await?;
            // That may have taken minutes.
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
        // A stop that came while the last tags moved changes nothing any more.
        (Ok(()), None) => match cx.cancel.reason().filter(|_| unfinished) {
            Some(stop) => Err(Unpublished::Stopped(stop)),
            None => Ok(()),
        },
        (_, Some(failure)) => Err(Unpublished::Failed(Box::new(failure))),
        (Err(failure), None) => Err(Unpublished::Failed(failure)),
    }
}

/// Saves the tags that are about to move, and those that may have moved already.
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

/// The failure of a push to `repository`, from what the engine or the registry says.
fn failure(cx: Context<'_>, image: &str, repository: &str, message: &str) -> Failure {
    let target = PushTarget { host: host_of(repository), has_login: cx.builder.registries.login(repository).is_some() };
    let Explanation { stage, headline, hint } = explain::push(message, target);
    Failure::new(stage, headline, hint).of_image(image)
}

/// The failure of a request to `repository`, made by this process. `about` is the tag or image that it was about.
fn refusal(cx: Context<'_>, image: &str, repository: &str, about: &str, error: &RemoteError) -> Failure {
    let (host, reason, outage) = match error {
        RemoteError::Unreachable { host, reason, outage } => (host, reason, outage),
        RemoteError::Refused { status, message, .. } => {
            let told = if message.is_empty() { String::new() } else { format!(": {message}") };
            return failure(cx, image, repository, &format!("{about}: {status}{told}"));
        }
        error => return failure(cx, image, repository, &format!("{about}: {error}")),
    };
    let again = "check the runner's network and run the job again";
    let (headline, hint) = match outage {
        Outage::Untrusted => {
            let hint = "name a file with the registry's CA in the variable `SSL_CERT_FILE` of the step";
            (format!("the certificate of {host} is not trusted by this step"), hint)
        }
        Outage::NoConnection => (format!("{host} cannot be reached from this step"), again),
        Outage::Broken => (format!("the connection to {host} broke"), again),
        Outage::TimedOut => (format!("{host} did not answer in time"), "run the job again"),
    };
    let hint = Some(format!("{hint}; pushing {about}: {reason}"));
    Failure::new(Stage::Publish, headline, hint).of_image(image)
}

/// Whether nothing was done about a tag yet.
fn is_open(slot: &Slot) -> bool {
    slot.state == TagState::NotMoved
}
