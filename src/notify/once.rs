//! Single messages: the repair of what a killed run left behind, and those of the command `notify`.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::{
    delivery::{Channel, DeliveryError, Timing, Urgency},
    http::Client,
    message::{Message, Phase},
    outcome::Outcome,
    service::{Attention, Manner, Posted, Service},
};
use crate::domain::run::RunState;

/// What a message that a run left behind is turned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// The run was ours: it ended as its state says, or was interrupted.
    Run,
    /// It was the message of a job that builds elsewhere.
    Elsewhere,
}

/// Turns a message that a killed run left behind into the end that `state` has, or into `interrupted`. Looks first: a
/// message that does not say that the run goes on stays as it is. Takes at most `budget`.
pub async fn repair(
    service: Arc<dyn Service>,
    posted: &Posted,
    state: &RunState,
    kind: Repair,
    timing: Timing,
    budget: Duration,
) -> Result<(), DeliveryError> {
    let deadline = Instant::now() + budget;
    let mut channel = open(service, timing)?;
    if channel.runs(posted, Instant::now() + budget / 3).await? == Some(false) {
        return Ok(());
    }
    let state = since(state, channel.service(), posted);
    let message = match kind {
        Repair::Elsewhere => Message::elsewhere(&state),
        Repair::Run if state.outcome.is_some() => Message::of(&state),
        Repair::Run => Message::at(&state, Phase::Interrupted),
    };
    channel.edit(posted, &message, Urgency::Final, deadline).await
}

/// What the run did about its last message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// It tried to send it, and failed in a way that allows another try.
    Failed,
    /// It was killed; whether the message arrived is unknown.
    Unknown,
}

/// Sends the last message of a run that could not, as it was to be: into `old`, which is the run's message, or as a new
/// one. A message that shows an end already stays as it is. Takes at most `budget`.
pub async fn repeat(
    service: Arc<dyn Service>,
    old: Option<&Posted>,
    outcome: &Outcome,
    before: Before,
    timing: Timing,
    budget: Duration,
) -> Result<(), DeliveryError> {
    let deadline = Instant::now() + budget;
    let Outcome { message, wanted, mention } = outcome;
    let mut channel = open(service, timing)?;
    let old = old.filter(|_| channel.service().manner() == Manner::Live);
    let edited = match old {
        Some(old) => match channel.runs(old, Instant::now() + budget / 3).await {
            // The edit arrived, and its answer did not; or somebody else told more.
            Ok(Some(false)) if before == Before::Failed => Ok(()),
            Ok(Some(false)) => return Ok(()),
            Ok(Some(true) | None) => channel.edit(old, message, Urgency::Final, deadline).await,
            Err(error) => Err(error),
        },
        // A message that may have been sent by a run that was killed is not sent twice.
        None if before == Before::Unknown => return Ok(()),
        None => Err(DeliveryError::MessageGone),
    };
    let mut shown = old.cloned();
    match edited {
        Err(DeliveryError::MessageGone | DeliveryError::EditsExhausted) if *wanted => {
            shown = channel.create(message, Attention::Usual, Urgency::Final, deadline).await?;
        }
        // Somebody deleted it, or there never was one: nothing wrong is said.
        Err(DeliveryError::MessageGone) => return Ok(()),
        other => other?,
    }
    if *mention && channel.service().mentions() {
        channel.mention(shown.as_ref(), message, deadline).await?;
    }
    Ok(())
}

/// Where a job that builds elsewhere stands.
pub fn phase(state: &RunState) -> Phase {
    Message::elsewhere(state).phase
}

/// Sends the message of a job that builds elsewhere: into `old` if there is one that can still be edited, else as a new
/// one. Takes at most `budget`. `None` if the service does not say which message it is.
pub async fn tell(
    service: Arc<dyn Service>,
    state: &RunState,
    old: Option<&Posted>,
    timing: Timing,
    budget: Duration,
) -> Result<Option<Posted>, DeliveryError> {
    let deadline = Instant::now() + budget;
    let mut channel = open(service, timing)?;
    let Some(old) = old else {
        let message = Message::elsewhere(state);
        return channel.create(&message, Attention::Usual, Urgency::Final, deadline).await;
    };
    let message = Message::elsewhere(&since(state, channel.service(), old));
    match channel.edit(old, &message, Urgency::Final, deadline).await {
        Ok(()) => Ok(Some(old.clone())),
        Err(DeliveryError::MessageGone | DeliveryError::EditsExhausted) => {
            channel.create(&message, Attention::Usual, Urgency::Final, deadline).await
        }
        Err(error) => Err(error),
    }
}

/// Mentions those who asked for it because of such a message.
pub async fn mention(
    service: Arc<dyn Service>,
    state: &RunState,
    about: Option<&Posted>,
    timing: Timing,
    budget: Duration,
) -> Result<(), DeliveryError> {
    let mut channel = open(service, timing)?;
    channel.mention(about, &Message::elsewhere(state), Instant::now() + budget).await
}

/// Sends a message as it is.
pub async fn send(
    service: Arc<dyn Service>,
    message: &Message,
    timing: Timing,
    budget: Duration,
) -> Result<Option<Posted>, DeliveryError> {
    open(service, timing)?.create(message, Attention::Usual, Urgency::Final, Instant::now() + budget).await
}

fn open(service: Arc<dyn Service>, timing: Timing) -> Result<Channel, DeliveryError> {
    let client = Client::new(timing.connect).map_err(|error| DeliveryError::Refused(error.to_string()))?;
    Ok(Channel::new(client, service, timing))
}

/// The state with its times counted from the moment at which the message was posted, if its id tells.
fn since(state: &RunState, service: &dyn Service, posted: &Posted) -> RunState {
    let mut state = state.clone();
    let start = service.posted_at(&posted.message_id).and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    // A clock that is off, or an id of another kind, gives times that no run takes.
    let longest = chrono::Duration::days(35);
    let now = Utc::now();
    if let Some(start) = start.filter(|start| (chrono::Duration::zero()..longest).contains(&(now - *start))) {
        state.started = start;
        if let Some((_, elapsed)) = &mut state.outcome {
            *elapsed = (now - start).to_std().unwrap_or_default();
        }
    }
    state
}
