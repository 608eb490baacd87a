//! Sends the messages of a run to one channel, from the first to the final one.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    delivery::{Channel, DeliveryError, End, Urgency, ended},
    final_message::FinalMessage,
    message::{Message, Phase},
    options::Options,
    report::{ChannelReport, DeliveryStatus, not_mentioned, not_sent},
    service::{Alert, DeliveryMode, Posted},
};
use crate::domain::run::RunState;

/// Age from which only a change of phase is shown. Discord limits the edits of messages older than an hour.
const OLD: Duration = Duration::from_mins(50);

/// The notifications of one channel.
#[derive(Debug)]
pub(super) struct ChannelNotifier {
    index: usize,
    name: String,
    channel: Channel,
    options: Options,
    ends: watch::Receiver<Option<End>>,
    post: Arc<watch::Sender<Vec<Option<Posted>>>>,
    posted: Option<Posted>,
}

impl ChannelNotifier {
    /// A notifier that has sent nothing yet. It publishes its message in `post` at `index`.
    pub(super) fn new(
        index: usize,
        name: String,
        channel: Channel,
        options: Options,
        ends: watch::Receiver<Option<End>>,
        post: Arc<watch::Sender<Vec<Option<Posted>>>>,
    ) -> Self {
        Self { index, name, channel, options, ends, post, posted: None }
    }

    /// Shows the states as they change, then the final one when the end is announced.
    pub(super) async fn run(
        mut self,
        mut states: watch::Receiver<Arc<RunState>>,
        final_states: watch::Receiver<Option<Arc<RunState>>>,
    ) -> ChannelReport {
        if self.options.on.start() && self.delivery_mode() != DeliveryMode::EndOnly {
            self.send_progress(&mut states).await;
        }
        let end = ended(&mut self.ends).await;
        let final_state = final_states.borrow().clone();
        match final_state {
            Some(state) => self.send_final(&state, end).await,
            None => self.report(DeliveryStatus::Retryable, None),
        }
    }

    /// Sends the first message and its edits, until the run ends.
    async fn send_progress(&mut self, states: &mut watch::Receiver<Arc<RunState>>) {
        let urgency = Urgency::Progress(self.ends.clone());
        let start_only = self.delivery_mode() == DeliveryMode::StartAndEnd;
        let alert = if start_only { Alert::Silent } else { Alert::Normal };
        let began = Instant::now();
        let state = states.borrow_and_update().clone();
        let mut shown = Message::of(&state);
        let opened = self.channel.create(&shown, alert, urgency, began + self.options.timing.opening).await;
        let Ok(Some(posted)) = opened else { return };
        self.remember(posted);
        if start_only {
            return;
        }
        loop {
            let next = Instant::now() + self.options.timing.edit_gap;
            let mut ends = self.ends.clone();
            tokio::select! {
                _ = ended(&mut ends) => return,
                () = sleep_until(next) => {}
            }
            // Ready at once if the state changed during the pause; an error means that it will not change again.
            tokio::select! {
                _ = ended(&mut ends) => return,
                changed = states.changed() => if changed.is_err() { return },
            }
            let state = states.borrow_and_update().clone();
            let message = Message::of(&state);
            let is_due = began.elapsed() < OLD || message.phase != shown.phase;
            // The final state is sent by `finish`, with the caller's deadline.
            if message == shown || !is_due || !matches!(message.phase, Phase::Running(_)) {
                continue;
            }
            let Some(posted) = self.posted.clone() else { return };
            let deadline = Instant::now() + self.options.timing.opening;
            let urgency = Urgency::Progress(ends.clone());
            match self.channel.edit(&posted, &message, urgency, deadline).await {
                Ok(()) => shown = message,
                Err(DeliveryError::MessageGone) => {
                    self.forget();
                    let urgency = Urgency::Progress(ends.clone());
                    let reposted = self.channel.create(&message, Alert::Silent, urgency, deadline).await;
                    let Ok(Some(posted)) = reposted else { return };
                    self.remember(posted);
                    shown = message;
                }
                Err(DeliveryError::ChannelGone(_) | DeliveryError::EditsExhausted | DeliveryError::Superseded) => {
                    return;
                }
                Err(DeliveryError::Rejected(_) | DeliveryError::GaveUp { .. }) => {}
            }
        }
    }

    /// Edits the message to its final text, or posts a final message.
    async fn send_final(&mut self, state: &RunState, end: End) -> ChannelReport {
        let FinalMessage { message, wanted, mention } =
            FinalMessage::of(state, self.options.on, self.options.mention_on);
        let old = if self.delivery_mode() == DeliveryMode::Edit { self.posted.clone() } else { None };
        // A message that shows a running job is always updated, even if `notify-on` excludes the outcome.
        if old.is_none() && !wanted {
            return self.report(DeliveryStatus::Done, None);
        }
        let edited = match old {
            Some(old) => self.channel.edit(&old, &message, Urgency::Final, end.deadline).await,
            None => Err(DeliveryError::MessageGone),
        };
        let delivered = match edited {
            Err(DeliveryError::MessageGone | DeliveryError::EditsExhausted) => {
                match self.channel.create(&message, Alert::Normal, Urgency::Final, end.deadline).await {
                    Ok(posted) => {
                        if let Some(posted) = posted {
                            self.remember(posted);
                        }
                        Ok(())
                    }
                    Err(error) if error.is_retryable() => Err((DeliveryStatus::Retryable, error)),
                    Err(error) => Err((DeliveryStatus::Failed, error)),
                }
            }
            Err(error @ (DeliveryError::ChannelGone(_) | DeliveryError::Rejected(_))) => {
                Err((DeliveryStatus::Failed, error))
            }
            // Repeating an edit does no harm.
            Err(error) => Err((DeliveryStatus::Retryable, error)),
            Ok(()) => Ok(()),
        };
        if let Err((status, error)) = delivered {
            return self.report(status, Some(not_sent(&self.name, &error.to_string())));
        }
        let mentioned = if mention && self.channel.service().mentions() {
            self.channel.mention(self.posted.as_ref(), &message, end.deadline).await
        } else {
            Ok(())
        };
        let warning = mentioned.err().map(|error| not_mentioned(&self.name, &error.to_string()));
        self.report(DeliveryStatus::Done, warning)
    }

    fn delivery_mode(&self) -> DeliveryMode {
        self.channel.service().delivery_mode()
    }

    fn remember(&mut self, posted: Posted) {
        self.posted = Some(posted);
        self.publish();
    }

    fn forget(&mut self) {
        self.posted = None;
        self.publish();
    }

    fn publish(&self) {
        self.post.send_modify(|all| {
            if let Some(entry) = all.get_mut(self.index) {
                entry.clone_from(&self.posted);
            }
        });
    }

    fn report(&self, status: DeliveryStatus, warning: Option<String>) -> ChannelReport {
        ChannelReport { channel: self.index, posted: self.posted.clone(), status, warning }
    }
}
