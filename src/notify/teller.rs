//! Tells one channel of a run, from its first message to its last.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    delivery::{Channel, DeliveryError, End, Urgency, ended},
    live::{Left, Options, Report, warning},
    message::{Message, Phase},
    outcome::Outcome,
    service::{Attention, Manner, Posted},
};
use crate::domain::run::RunState;

/// From here on Discord counts edits (an hour after the post, less a margin): only what matters is shown.
const OLD: Duration = Duration::from_mins(50);

/// Tells one channel.
#[derive(Debug)]
pub(super) struct Teller {
    index: usize,
    name: String,
    channel: Channel,
    options: Options,
    ends: watch::Receiver<Option<End>>,
    post: Arc<watch::Sender<Vec<Option<Posted>>>>,
    posted: Option<Posted>,
}

impl Teller {
    /// A teller that has said nothing yet. `post` gets to know the message at `index`.
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

    /// Tells of the states as they come, then of the last one when the end is announced.
    pub(super) async fn run(
        mut self,
        mut states: watch::Receiver<Arc<RunState>>,
        lasts: watch::Receiver<Option<Arc<RunState>>>,
    ) -> Report {
        if self.options.on.start() && self.manner() != Manner::Last {
            self.tell_progress(&mut states).await;
        }
        let end = ended(&mut self.ends).await;
        let last = lasts.borrow().clone();
        match last {
            Some(state) => self.tell_end(&state, end).await,
            None => self.report(Left::Stale, None),
        }
    }

    /// The first message and its edits, until the run ends.
    async fn tell_progress(&mut self, states: &mut watch::Receiver<Arc<RunState>>) {
        let urgency = || Urgency::Progress(self.ends.clone());
        let twice = self.manner() == Manner::Twice;
        let attention = if twice { Attention::Silent } else { Attention::Usual };
        let urgency_now = urgency();
        let began = Instant::now();
        let state = states.borrow_and_update().clone();
        let mut shown = Message::of(&state);
        let opened = self.channel.create(&shown, attention, urgency_now, began + self.options.timing.opening).await;
        let Ok(Some(posted)) = opened else { return };
        self.remember(posted);
        if twice {
            return;
        }
        loop {
            let next = Instant::now() + self.options.timing.edit_gap;
            let mut ends = self.ends.clone();
            tokio::select! {
                _ = ended(&mut ends) => return,
                () = sleep_until(next) => {}
            }
            // Comes back at once if something happened meanwhile; an error means that nothing will any more.
            tokio::select! {
                _ = ended(&mut ends) => return,
                changed = states.changed() => if changed.is_err() { return },
            }
            let state = states.borrow_and_update().clone();
            let message = Message::of(&state);
            let matters = began.elapsed() < OLD || message.phase != shown.phase;
            // The end is `finish`'s, which has the caller's deadline.
            if message == shown || !matters || !matches!(message.phase, Phase::Running(_)) {
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
                    let anew = self.channel.create(&message, Attention::Silent, urgency, deadline).await;
                    let Ok(Some(posted)) = anew else { return };
                    self.remember(posted);
                    shown = message;
                }
                Err(DeliveryError::ChannelGone(_) | DeliveryError::EditsExhausted | DeliveryError::Superseded) => {
                    return;
                }
                Err(DeliveryError::Refused(_) | DeliveryError::GaveUp { .. }) => {}
            }
        }
    }

    async fn tell_end(&mut self, state: &RunState, end: End) -> Report {
        let Outcome { message, wanted, mention } = Outcome::of(state, self.options.on, self.options.mention_on);
        let old = if self.manner() == Manner::Live { self.posted.clone() } else { None };
        // A yellow message is never left, whatever `notify-on` says of the end.
        if old.is_none() && !wanted {
            return self.report(Left::Settled, None);
        }
        let edited = match old {
            Some(old) => self.channel.edit(&old, &message, Urgency::Final, end.deadline).await,
            None => Err(DeliveryError::MessageGone),
        };
        let told = match edited {
            Err(DeliveryError::MessageGone | DeliveryError::EditsExhausted) => {
                match self.channel.create(&message, Attention::Usual, Urgency::Final, end.deadline).await {
                    Ok(posted) => {
                        if let Some(posted) = posted {
                            self.remember(posted);
                        }
                        Ok(())
                    }
                    Err(error) if error.allows_another_try() => Err((Left::Stale, error)),
                    Err(error) => Err((Left::Lost, error)),
                }
            }
            // An edit can be repeated as often as one likes.
            Err(error @ (DeliveryError::ChannelGone(_) | DeliveryError::Refused(_))) => Err((Left::Lost, error)),
            Err(error) => Err((Left::Stale, error)),
            Ok(()) => Ok(()),
        };
        if let Err((left, error)) = told {
            return self.report(left, Some(warning(&self.name, &error.to_string())));
        }
        let mentioned = if mention && self.channel.service().mentions() {
            self.channel.mention(self.posted.as_ref(), &message, end.deadline).await
        } else {
            Ok(())
        };
        let failed = |error: DeliveryError| format!("nobody was mentioned by {}: {error}", self.name);
        self.report(Left::Settled, mentioned.err().map(failed))
    }

    fn manner(&self) -> Manner {
        self.channel.service().manner()
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

    fn report(&self, left: Left, warning: Option<String>) -> Report {
        Report { channel: self.index, posted: self.posted.clone(), left, warning }
    }
}
