//! Keeps the message of a run up to date in each Discord channel while the run goes on.
//!
//! [`start`] posts at once and beside the build; edits follow the run's state, no closer than
//! [`Timing::edit_gap`] and only if they change something; [`Live::finish`] brings the last state out.
//! The build never waits for any of it but in `finish`, and there for no longer than the budget it gives:
//! [`FINAL_BUDGET`] at most, [`CANCEL_BUDGET`] when the runner is about to kill us. A channel that has
//! not taken the last state by then (it is down, stalls, or asks for a longer wait) is a warning in its
//! [`Report`], and `post` can try again with [`repair`].

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    answer::Posted,
    delivery::{Channel, DeliveryError, End, Timing, Urgency, ended},
    discord::{Attention, Look},
    http::Client,
    message::{Message, Phase, Role},
    webhook::DiscordWebhook,
};
use crate::domain::run::RunState;

/// What a run may spend on its last message at most: a Discord that is down or slow costs no build more.
pub const FINAL_BUDGET: Duration = Duration::from_secs(5);

/// The same after a cancel: the runner kills us 7.5 s after the first signal.
pub const CANCEL_BUDGET: Duration = Duration::from_secs(2);

/// From here on Discord counts edits (an hour after the post, less a margin): only what matters is shown.
const OLD: Duration = Duration::from_mins(50);

/// Whether one message tells it all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// One message that is edited until it shows the end.
    #[default]
    Edit,
    /// One message at the start, without a sound, and one at the end.
    Post,
}

/// Which moments are worth a message: the input `notify-on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotifyOn(u8);

impl NotifyOn {
    /// No message at all.
    pub const NEVER: Self = Self(0);
    /// All of them.
    pub const ALWAYS: Self = Self(0b1111);

    /// These and one more. A run that timed out has failed.
    #[must_use]
    pub fn and(self, role: Role) -> Self {
        Self(self.0 | Self::bit(role))
    }

    /// Whether it is among them.
    pub fn has(self, role: Role) -> bool {
        self.0 & Self::bit(role) != 0
    }

    fn bit(role: Role) -> u8 {
        match role {
            Role::Started => 1,
            Role::Success => 2,
            Role::Failure | Role::TimedOut => 4,
            Role::Cancelled => 8,
        }
    }
}

/// How messages are sent.
#[derive(Clone, Debug)]
pub struct Options {
    /// How they look.
    pub look: Look,
    /// One message or two.
    pub mode: Mode,
    /// At which moments.
    pub on: NotifyOn,
    /// How long things may take.
    pub timing: Timing,
}

/// What came of the messages to one webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which webhook, in the order they were given.
    pub webhook: usize,
    /// The message that shows the end, or the last that is known.
    pub posted: Option<Posted>,
    /// Whether a message is left that still says that the run goes on.
    pub left: Left,
    /// What the user should know; holds no secret.
    pub warning: Option<String>,
}

/// What a channel shows after the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// The end, or nothing because nothing was asked for.
    Settled,
    /// A message that does not show the end, or none where one was due.
    Stale,
}

/// The messages of a run under way. If it is dropped, they stay as they are.
#[derive(Debug)]
pub struct Live {
    end: watch::Sender<Option<End>>,
    last: watch::Sender<Option<Arc<RunState>>>,
    posted: watch::Receiver<Vec<Option<Posted>>>,
    tasks: Vec<JoinHandle<Report>>,
}

/// Starts telling of the run to each webhook: its first message is under way when this returns.
///
/// Must be called within a tokio runtime. Where the HTTP client cannot be made, every report says so.
pub fn start(webhooks: Vec<DiscordWebhook>, options: Options, states: &watch::Receiver<Arc<RunState>>) -> Live {
    let (end, ends) = watch::channel(None);
    let (last, lasts) = watch::channel(None);
    let (post, posted) = watch::channel(vec![None; webhooks.len()]);
    let post = Arc::new(post);
    let look = Arc::new(options.look);
    let client = Client::new(options.timing.connect);
    let tasks = webhooks.into_iter().enumerate().map(|(index, webhook)| match &client {
        Ok(client) => {
            let channel = Channel::new(client.clone(), webhook, look.clone(), options.timing);
            let (mode, on, timing) = (options.mode, options.on, options.timing);
            let teller =
                Teller { index, channel, mode, on, timing, ends: ends.clone(), post: post.clone(), posted: None };
            tokio::spawn(teller.run(states.clone(), lasts.clone()))
        }
        Err(error) => {
            let warning = Some(warning(index, &error.to_string()));
            tokio::spawn(async move { Report { webhook: index, posted: None, left: Left::Stale, warning } })
        }
    });
    let tasks = tasks.collect();
    Live { end, last, posted, tasks }
}

impl Live {
    /// The messages known so far, one entry a webhook, to be saved for the post stage as soon as they are there.
    pub fn posted(&self) -> watch::Receiver<Vec<Option<Posted>>> {
        self.posted.clone()
    }

    /// Shows how the run ended (`state` has an ending) and reports. Takes no longer than `budget`, of which more than
    /// [`FINAL_BUDGET`] is not used; with a Discord in good health it is one call, some tenths of a second.
    pub async fn finish(self, state: Arc<RunState>, budget: Duration) -> Vec<Report> {
        let budget = budget.min(FINAL_BUDGET);
        let deadline = Instant::now() + budget;
        // The state first: who sees the end also sees what is to be said.
        self.last.send_replace(Some(state));
        // A little earlier than ours, so that a channel that fails can still say why.
        self.end.send_replace(Some(End { deadline: deadline - budget / 20 }));
        let mut reports = Vec::with_capacity(self.tasks.len());
        for (index, mut task) in self.tasks.into_iter().enumerate() {
            let report = if let Ok(Ok(report)) = timeout_at(deadline, &mut task).await {
                report
            } else {
                // Past the deadline, or a panic in it: neither may cost the build anything.
                task.abort();
                let posted = self.posted.borrow().get(index).cloned().flatten();
                let warning = Some(warning(index, "gave up: no time left"));
                Report { webhook: index, posted, left: Left::Stale, warning }
            };
            reports.push(report);
        }
        reports
    }
}

/// Turns a message that a killed run left behind into `interrupted`, or into the end that `state` has. Looks first: a
/// message that is not yellow any more stays as it is. Takes at most `budget`.
pub async fn repair(
    webhook: DiscordWebhook,
    message_id: &str,
    state: &RunState,
    options: &Options,
    budget: Duration,
) -> Result<(), DeliveryError> {
    let deadline = Instant::now() + budget;
    let client = Client::new(options.timing.connect).map_err(|error| DeliveryError::Refused(error.to_string()))?;
    let mut channel = Channel::new(client, webhook, Arc::new(options.look.clone()), options.timing);
    let looking = Instant::now() + budget / 3;
    if channel.color_of(message_id, looking).await?.is_some_and(|color| color != options.look.colors.started) {
        return Ok(());
    }
    let message = if state.ending.is_some() { Message::of(state) } else { Message::interrupted(state) };
    channel.edit(message_id, &message, Urgency::Final, deadline).await
}

/// Sends one message on its own, for the command `notify`.
pub async fn send(
    webhook: DiscordWebhook,
    message: &Message,
    options: &Options,
    budget: Duration,
) -> Result<Option<Posted>, DeliveryError> {
    let client = Client::new(options.timing.connect).map_err(|error| DeliveryError::Refused(error.to_string()))?;
    let mut channel = Channel::new(client, webhook, Arc::new(options.look.clone()), options.timing);
    channel.create(message, Attention::Usual, Urgency::Final, Instant::now() + budget).await
}

/// Tells one channel.
#[derive(Debug)]
struct Teller {
    index: usize,
    channel: Channel,
    mode: Mode,
    on: NotifyOn,
    timing: Timing,
    ends: watch::Receiver<Option<End>>,
    post: Arc<watch::Sender<Vec<Option<Posted>>>>,
    posted: Option<Posted>,
}

impl Teller {
    async fn run(
        mut self,
        mut states: watch::Receiver<Arc<RunState>>,
        lasts: watch::Receiver<Option<Arc<RunState>>>,
    ) -> Report {
        if self.on.has(Role::Started) {
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
        let attention = if self.mode == Mode::Post { Attention::Silent } else { Attention::Usual };
        let urgency_now = urgency();
        let began = Instant::now();
        let state = states.borrow_and_update().clone();
        let mut shown = Message::of(&state);
        let opened = self.channel.create(&shown, attention, urgency_now, began + self.timing.opening).await;
        let Ok(Some(posted)) = opened else { return };
        self.remember(posted);
        if self.mode == Mode::Post {
            return;
        }
        loop {
            let next = Instant::now() + self.timing.edit_gap;
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
            let Some(id) = self.posted.as_ref().map(|posted| posted.message_id.clone()) else { return };
            let deadline = Instant::now() + self.timing.opening;
            let urgency = Urgency::Progress(ends.clone());
            match self.channel.edit(&id, &message, urgency, deadline).await {
                Ok(()) => shown = message,
                Err(DeliveryError::MessageGone) => {
                    self.forget();
                    let urgency = Urgency::Progress(ends.clone());
                    let anew = self.channel.create(&message, Attention::Silent, urgency, deadline).await;
                    let Ok(Some(posted)) = anew else { return };
                    self.remember(posted);
                    shown = message;
                }
                Err(DeliveryError::WebhookGone(_) | DeliveryError::EditsExhausted | DeliveryError::Superseded) => {
                    return;
                }
                Err(DeliveryError::Refused(_) | DeliveryError::GaveUp { .. }) => {}
            }
        }
    }

    async fn tell_end(&mut self, state: &RunState, end: End) -> Report {
        let message = Message::of(state);
        let old = if self.mode == Mode::Edit { self.posted.clone() } else { None };
        // A yellow message is never left, whatever `notify-on` says of the end.
        if old.is_none() && !self.on.has(message.phase.role()) {
            return self.report(Left::Settled, None);
        }
        let edited = match old {
            Some(old) => self.channel.edit(&old.message_id, &message, Urgency::Final, end.deadline).await,
            None => Err(DeliveryError::MessageGone),
        };
        let told = match edited {
            Err(DeliveryError::MessageGone | DeliveryError::EditsExhausted) => {
                self.channel.create(&message, Attention::Usual, Urgency::Final, end.deadline).await.map(|posted| {
                    if let Some(posted) = posted {
                        self.remember(posted);
                    }
                })
            }
            other => other,
        };
        match told {
            Ok(()) => self.report(Left::Settled, None),
            Err(error) => self.report(Left::Stale, Some(error)),
        }
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

    fn report(&self, left: Left, error: Option<DeliveryError>) -> Report {
        let warning = error.map(|error| warning(self.index, &error.to_string()));
        Report { webhook: self.index, posted: self.posted.clone(), left, warning }
    }
}

fn warning(index: usize, why: &str) -> String {
    format!("no message to Discord webhook {}: {why}", index + 1)
}
