//! Sends or edits a single message: for the post stage, and for the command `notify`.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::{
    delivery::{Channel, DeliveryError, Timing, Urgency},
    final_message::FinalMessage,
    http::Client,
    message::{Message, Phase},
    service::{Alert, DeliveryMode, Posted, Service},
};
use crate::domain::run::RunState;

/// Which kind of job posted a message that was left unfinished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// A run of this action.
    Run,
    /// A job that builds by other means and calls the command `notify`.
    ExternalJob,
}

/// Updates the message of a killed run to the outcome in `state`, or to `interrupted` if it has none. A message that no
/// longer shows a running job is left unchanged. Takes at most `budget`.
pub async fn repair(
    service: Arc<dyn Service>,
    posted: &Posted,
    state: &RunState,
    kind: MessageKind,
    timing: Timing,
    budget: Duration,
) -> Result<(), DeliveryError> {
    let deadline = Instant::now() + budget;
    let mut channel = open(service, timing)?;
    if channel.shows_running(posted, Instant::now() + budget / 3).await? == Some(false) {
        return Ok(());
    }
    let state = with_start_of(state, channel.service(), posted);
    let message = match kind {
        MessageKind::ExternalJob => Message::external_job(&state),
        MessageKind::Run if state.outcome.is_some() => Message::of(&state),
        MessageKind::Run => Message::at(&state, Phase::Interrupted),
    };
    channel.edit(posted, &message, Urgency::Final, deadline).await
}

/// What happened to the final message in the run itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstAttempt {
    /// It failed in a way that allows another try.
    Failed,
    /// The run was killed; whether the message arrived is unknown.
    Unknown,
}

/// Sends the saved final message of a run that could not send it: edits `old`, the message of the run, or posts a new
/// one. A message that already shows an outcome is left unchanged. Takes at most `budget`.
pub async fn resend(
    service: Arc<dyn Service>,
    old: Option<&Posted>,
    saved: &FinalMessage,
    first: FirstAttempt,
    timing: Timing,
    budget: Duration,
) -> Result<(), DeliveryError> {
    let deadline = Instant::now() + budget;
    let FinalMessage { message, wanted, mention } = saved;
    let mut channel = open(service, timing)?;
    let old = old.filter(|_| channel.service().delivery_mode() == DeliveryMode::Edit);
    let edited = match old {
        Some(old) => match channel.shows_running(old, Instant::now() + budget / 3).await {
            // The edit arrived but its answer did not, or a later step updated the message.
            Ok(Some(false)) if first == FirstAttempt::Failed => Ok(()),
            Ok(Some(false)) => return Ok(()),
            Ok(Some(true) | None) => channel.edit(old, message, Urgency::Final, deadline).await,
            Err(error) => Err(error),
        },
        // The killed run may have sent it: do not post it twice.
        None if first == FirstAttempt::Unknown => return Ok(()),
        None => Err(DeliveryError::MessageGone),
    };
    let mut shown = old.cloned();
    match edited {
        Err(DeliveryError::MessageGone | DeliveryError::EditsExhausted) if *wanted => {
            shown = channel.create(message, Alert::Normal, Urgency::Final, deadline).await?;
        }
        // Someone deleted it, or there never was one: no message shows a wrong state.
        Err(DeliveryError::MessageGone) => return Ok(()),
        other => other?,
    }
    if *mention && channel.service().mentions() {
        channel.mention(shown.as_ref(), message, deadline).await?;
    }
    Ok(())
}

/// The phase of a job that builds by other means.
pub fn phase(state: &RunState) -> Phase {
    Message::external_job(state).phase
}

/// Sends the message of a job that builds by other means: edits `old` if that is still possible, otherwise posts a new
/// message. Takes at most `budget`. Returns `None` if the service does not identify the message.
pub async fn notify(
    service: Arc<dyn Service>,
    state: &RunState,
    old: Option<&Posted>,
    timing: Timing,
    budget: Duration,
) -> Result<Option<Posted>, DeliveryError> {
    let deadline = Instant::now() + budget;
    let mut channel = open(service, timing)?;
    let Some(old) = old else {
        let message = Message::external_job(state);
        return channel.create(&message, Alert::Normal, Urgency::Final, deadline).await;
    };
    let message = Message::external_job(&with_start_of(state, channel.service(), old));
    match channel.edit(old, &message, Urgency::Final, deadline).await {
        Ok(()) => Ok(Some(old.clone())),
        Err(DeliveryError::MessageGone | DeliveryError::EditsExhausted) => {
            channel.create(&message, Alert::Normal, Urgency::Final, deadline).await
        }
        Err(error) => Err(error),
    }
}

/// Mentions the configured users in a message about a job that builds by other means.
pub async fn mention(
    service: Arc<dyn Service>,
    state: &RunState,
    about: Option<&Posted>,
    timing: Timing,
    budget: Duration,
) -> Result<(), DeliveryError> {
    let mut channel = open(service, timing)?;
    channel.mention(about, &Message::external_job(state), Instant::now() + budget).await
}

/// Posts a message.
pub async fn send(
    service: Arc<dyn Service>,
    message: &Message,
    timing: Timing,
    budget: Duration,
) -> Result<Option<Posted>, DeliveryError> {
    open(service, timing)?.create(message, Alert::Normal, Urgency::Final, Instant::now() + budget).await
}

fn open(service: Arc<dyn Service>, timing: Timing) -> Result<Channel, DeliveryError> {
    let client = Client::new(timing.connect).map_err(|error| DeliveryError::Rejected(error.to_string()))?;
    Ok(Channel::new(client, service, timing))
}

/// The state with its start set to the time at which the message was posted, if the message id contains that time.
fn with_start_of(state: &RunState, service: &dyn Service, posted: &Posted) -> RunState {
    let mut state = state.clone();
    let start = service.posted_at(&posted.message_id).and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    // A wrong clock or an id of another format would give an impossible duration.
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
