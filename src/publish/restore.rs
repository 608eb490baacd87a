//! Restores tags to their previous images.

use std::{cell::RefCell, collections::HashMap, time::Duration};

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use super::{
    Context, Move,
    board::{Before, Board, Slot},
    settle::warning,
    survey,
};
use crate::{
    cancel::Stop,
    domain::{
        digest::Digest,
        event::Event,
        publication::{TagResult, TagState},
    },
    registry::{
        registries::Registries,
        remote::{Access, Remote, RemoteError},
    },
    retry::RetryPolicy,
};

/// Time limit for restoring all tags.
const RESTORE: Duration = Duration::from_secs(20);
/// The same after the run was asked to stop. The runner kills the step 7.5 s after the signal, and the last message must be
/// sent before that.
const RESTORE_AFTER_STOP: Duration = Duration::from_millis(2500);
/// In the post stage, the time limit for a registry to report what a tag points to.
const READ: Duration = Duration::from_secs(2);
/// In the post stage, the time limit for restoring one tag.
const BACK: Duration = Duration::from_millis(2500);

/// The result of repairing a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// The tag and its state.
    pub tag: TagResult,
    /// Why it could not be restored, or why its state is unknown.
    pub problem: Option<String>,
}

/// Restores tags whose previous digest is known, if this process can connect to their registry. A new tag is not removed,
/// since most registries do not support that. Emits a warning for each tag that could not be restored, with the reason.
pub(super) async fn all(cx: Context<'_>, board: &Board) {
    let moved = board.slots(|slot| matches!(slot.state, TagState::Moved | TagState::Unknown));
    let waiting: RefCell<HashMap<usize, Slot>> = RefCell::default();
    let report = async |slot: &Slot, problem: &str| {
        cx.events.emit(Event::Diagnostic(warning(by_hand(slot, problem)))).await;
    };
    let work = join_all(moved.into_iter().map(async |(place, slot)| {
        if matches!(slot.before, Before::Image(_)) {
            // Known again once the tag is restored.
            board.set(place, TagState::Unknown);
            waiting.borrow_mut().insert(place, slot.clone());
        }
        let back = slot_back(&cx.builder.registries, &slot, RetryPolicy::default()).await;
        waiting.borrow_mut().remove(&place);
        let (state, problem) = back.unwrap_or((slot.state.clone(), None));
        board.set(place, state);
        if let Some(problem) = problem {
            report(&slot, &problem).await;
        }
    }));
    let limit = tokio::select! {
        _ = work => return,
        () = sleep(RESTORE) => RESTORE,
        () = hurry(cx) => RESTORE_AFTER_STOP,
    };
    let mut late: Vec<_> = waiting.take().into_iter().collect();
    late.sort_by_key(|(place, _)| *place);
    for (_, slot) in late {
        report(&slot, &no_answer(limit)).await;
    }
}

/// Resolves when a run that was stopped by a signal has no more time to restore tags.
async fn hurry(cx: Context<'_>) {
    if cx.cancel.requested().await == Stop::Timeout {
        // After a timeout, the runner does not kill the process.
        std::future::pending::<()>().await;
    }
    sleep(RESTORE_AFTER_STOP).await;
}

/// Returns the warning for a tag that could not be restored, with a command that restores it.
fn by_hand(slot: &Slot, problem: &str) -> String {
    let Slot { repository, tag, before, .. } = slot;
    let fix = match before {
        Before::Image(previous) => format!("; restore it with `{}`", restore_command(repository, tag, previous)),
        Before::Nothing | Before::Unknown => String::new(),
    };
    format!("{repository}:{tag} could not be restored: {problem}{fix}")
}

fn restore_command(repository: &str, tag: &str, previous: &Digest) -> String {
    format!("docker buildx imagetools create --tag {repository}:{tag} {repository}@{previous}")
}

/// Describes a tag that changed while an engine uploaded an image under it. Without the image's digest, this run cannot
/// know whether the tag points to that image or was moved by another run.
fn uploading(one: &Move) -> String {
    let fix = one.previous.as_ref().map_or_else(String::new, |previous| {
        let command = restore_command(&one.repository, &one.tag, previous);
        format!("; restore the previous image with `{command}`")
    });
    format!("the engine was uploading an image under this tag when the run was killed, and the tag has changed{fix}")
}

/// Repairs the tags of a run that was killed while it moved them: restores the moved ones if only some had moved. Returns
/// the state of each tag.
pub async fn after_kill(registries: &Registries, moves: &[Move]) -> Vec<Repaired> {
    let served = join_all(moves.iter().map(async |one| {
        let remote = registries.repository(&one.repository, Access::Push).ok_or("it cannot be asked")?;
        let digest = match timeout(READ, remote.digest(&one.tag)).await {
            Ok(answer) => answer.map_err(|error| error.to_string())?,
            Err(_) => return Err(no_answer(READ)),
        };
        Ok::<_, String>(digest.map_or(Before::Nothing, Before::Image))
    }))
    .await;
    let is_moved = |one: &Move, served: &Before| one.digest.clone().map(Before::Image).as_ref() == Some(served);
    // A registry that does not answer is not counted. After an unfinished upload, more tags were to follow.
    let all = moves.iter().all(|one| one.digest.is_some())
        && !moves.iter().zip(&served).any(|(one, served)| served.as_ref().is_ok_and(|served| !is_moved(one, served)));
    join_all(moves.iter().zip(&served).map(async |(one, served)| {
        let (state, problem) = match served {
            Err(problem) => (TagState::Unknown, Some(problem.clone())),
            Ok(served) if one.digest.is_none() && *served != Slot::of(one).before => {
                (TagState::Unknown, Some(uploading(one)))
            }
            Ok(served) if !is_moved(one, served) => (TagState::NotMoved, None),
            Ok(_) if all => (TagState::Moved, None),
            Ok(_) => {
                // The runner is waiting, so retry only once, after a short pause.
                let policy = RetryPolicy {
                    first_pause: Duration::from_millis(500),
                    longest_pause: BACK,
                    ..RetryPolicy::attempts(2)
                };
                let back = timeout(BACK, slot_back(registries, &Slot::of(one), policy)).await;
                match back {
                    Ok(done) => done.unwrap_or((TagState::Moved, None)),
                    Err(_) => (TagState::Unknown, Some(no_answer(BACK))),
                }
            }
        };
        let tag = TagResult { repository: one.repository.clone(), tag: one.tag.clone(), state };
        Repaired { tag, problem }
    }))
    .await
}

fn no_answer(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs_f64())
}

/// Restores one tag if it still points to the run's image. Returns its state and the problem, if any; `None` if nothing was
/// done and nothing new is known.
async fn slot_back(registries: &Registries, slot: &Slot, policy: RetryPolicy) -> Option<(TagState, Option<String>)> {
    let remote = registries.repository(&slot.repository, Access::Push)?;
    let served = match survey::digest(&remote, &slot.tag).await {
        Ok(served) => served,
        Err(error) => {
            let state = if slot.state == TagState::Moved { TagState::RestoreFailed } else { TagState::Unknown };
            return matches!(slot.before, Before::Image(_)).then(|| (state, Some(error.to_string())));
        }
    };
    match &slot.before {
        // A request that was abandoned may still move the tag.
        before if *before == served && slot.state == TagState::Unknown => None,
        before if *before == served => Some((TagState::NotMoved, None)),
        // Without the new digest, it is unknown whether this run moved the tag.
        _ if slot.digest.is_none() => None,
        // Another client has moved it in the meantime.
        _ if slot.digest.clone().is_some_and(|digest| served != Before::Image(digest)) => {
            Some((TagState::Unknown, None))
        }
        Before::Image(previous) => Some(match back(&remote, &slot.tag, previous, policy).await {
            Ok(digest) if digest.as_ref() == Some(previous) => (TagState::Restored, None),
            // The answer does not confirm it or was lost, so read the tag back.
            answer => {
                let problem = answer.err();
                match survey::digest(&remote, &slot.tag).await {
                    Ok(served) if served == slot.before => (TagState::Restored, None),
                    Ok(Before::Image(served)) if slot.digest.as_ref() == Some(&served) => {
                        let problem = problem.unwrap_or_else(|| "the registry did not move it".to_owned());
                        (TagState::RestoreFailed, Some(problem))
                    }
                    Ok(_) => (TagState::Unknown, problem),
                    Err(error) => (TagState::Unknown, Some(problem.unwrap_or_else(|| error.to_string()))),
                }
            }
        }),
        Before::Nothing | Before::Unknown => Some((TagState::Moved, None)),
    }
}

/// Points a tag to an image that is still in the registry. Returns the tag's digest, if the registry's answer contains it.
///
/// # Errors
/// If the image is missing or the registry rejects the request. The error is the reason.
async fn back(remote: &Remote, tag: &str, previous: &Digest, policy: RetryPolicy) -> Result<Option<Digest>, String> {
    let words = |error: RemoteError| error.to_string();
    let manifest = policy.quietly(async || remote.manifest(previous.as_str()).await).await.map_err(words)?;
    let Some(manifest) = manifest else { return Err(format!("the registry does not have {previous} any more")) };
    policy.quietly(async || remote.put(tag, &manifest).await).await.map_err(words)
}
