//! The chat messages of a run: their channels, and their state for the post stage.

mod channels;

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use self::channels::Channels;
use crate::{
    domain::{
        diagnostic::{Diagnostic, Severity},
        run::RunState,
        secret::Secret,
    },
    inputs::{runner::RunnerEnv, typed::Inputs},
    notify::{
        delivery::DeliveryError,
        final_message::FinalMessage,
        notifier::{self, Notifier},
        options::Options,
        report::{ChannelReport, DeliveryStatus, not_mentioned, not_sent},
        service::{DeliveryMode, Posted, Service},
        single_message::{self, FirstAttempt, MessageKind},
    },
    run::saved,
};

/// Names in `GITHUB_STATE`.
const MESSAGES: &str = "messages";
const SETTLED: &str = "settled";
const ELSEWHERE: &str = "elsewhere";
/// The last message of a run, before it is sent.
const OUTCOME: &str = "outcome";
/// The channels whose last message was sent or failed permanently; missing if the run was killed.
const DONE: &str = "done";

/// Time limit for one message of the command `notify`; only the job waits for it.
const NOTIFY_LIMIT: Duration = Duration::from_secs(20);

/// The channels to notify, and the options.
#[derive(Clone, Debug)]
pub struct Chat {
    channels: Vec<Arc<dyn Service>>,
    options: Options,
    /// Warnings about inputs that have no effect.
    pub warnings: Vec<Diagnostic>,
    /// Whether all addresses in the inputs are valid.
    pub complete: bool,
}

/// A message, as it is saved for the post stage.
#[derive(Debug, Deserialize, Serialize)]
struct Saved {
    channel: usize,
    message: String,
}

impl Chat {
    /// Creates the channels from the inputs. An invalid address causes a warning: it must not stop a build.
    pub fn new(inputs: &Inputs) -> Self {
        let Channels { services, warnings, unusable } = Channels::new(inputs);
        Self { channels: services, options: channels::options(inputs), warnings, complete: unusable == 0 }
    }

    /// Returns the texts to mask and redact besides the inputs: the normalized addresses.
    pub fn secrets(&self) -> Vec<Secret> {
        self.channels.iter().flat_map(|channel| channel.secrets()).collect()
    }

    /// Starts the notifier. The first message is already being sent when this returns.
    pub fn start(&self, states: &watch::Receiver<Arc<RunState>>) -> Notifier {
        notifier::start(self.channels.clone(), self.options, states)
    }

    /// Sends the message of a job that builds by other means to every channel that wants it. Messages in `old` are
    /// edited; no new ones are posted for them.
    pub async fn notify(&self, state: &RunState, old: &[Option<Posted>]) -> Vec<ChannelReport> {
        let notify = |(channel, service): (usize, &Arc<dyn Service>)| {
            let old = old.get(channel).cloned().flatten();
            self.notify_one(channel, service.clone(), state, old)
        };
        join_all(self.channels.iter().enumerate().map(notify)).await
    }

    async fn notify_one(
        &self,
        channel: usize,
        service: Arc<dyn Service>,
        state: &RunState,
        old: Option<Posted>,
    ) -> ChannelReport {
        let Options { on, mention_on, timing } = self.options;
        let phase = single_message::phase(state);
        let can_edit = service.delivery_mode() != DeliveryMode::EndOnly;
        let old = old.filter(|_| can_edit);
        let wanted = if phase.is_running() { on.start() && can_edit } else { on.end(phase, state) };
        // An old message that shows the job as running is always updated.
        if !wanted && old.is_none() {
            return ChannelReport { channel, posted: None, status: DeliveryStatus::Done, warning: None };
        }
        let name = service.name();
        let report = single_message::notify(service.clone(), state, old.as_ref(), timing, NOTIFY_LIMIT).await;
        let posted = match report {
            Ok(posted) => posted,
            Err(error) => {
                let warning = Some(not_sent(name, &error.to_string()));
                return ChannelReport { channel, posted: old, status: DeliveryStatus::Retryable, warning };
            }
        };
        let mut warning = None;
        if wanted && service.mentions() && mention_on.end(phase, state) {
            let mentioned = single_message::mention(service, state, posted.as_ref(), timing, NOTIFY_LIMIT).await;
            warning = mentioned.err().map(|error| not_mentioned(name, &error.to_string()));
        }
        ChannelReport { channel, posted, status: DeliveryStatus::Done, warning }
    }

    /// Parses message ids: one for each entry of [`Chat::channels`] that supports edits.
    pub fn known(&self, ids: &[Option<String>]) -> Vec<Option<Posted>> {
        let mut ids = ids.iter();
        let mut known = |channel: &Arc<dyn Service>| match channel.delivery_mode() {
            DeliveryMode::EndOnly => None,
            DeliveryMode::Edit | DeliveryMode::StartAndEnd => ids.next().and_then(|id| Posted::parse(id.as_deref()?)),
        };
        self.channels.iter().map(&mut known).collect()
    }

    /// Returns the output `message-id`, which [`Chat::known`] parses. It is empty without messages.
    pub fn ids(&self, reports: &[ChannelReport]) -> String {
        let editable = reports.iter().filter(|report| {
            self.channels.get(report.channel).is_some_and(|channel| channel.delivery_mode() != DeliveryMode::EndOnly)
        });
        let ids: Vec<Option<String>> = editable.map(|r| r.posted.as_ref().map(ToString::to_string)).collect();
        if ids.iter().all(Option::is_none) {
            return String::new();
        }
        ids.into_iter().map(|id| id.unwrap_or_else(|| "-".to_owned())).collect::<Vec<_>>().join("\n")
    }

    /// Saves the last message of the run before it is sent: if sending fails, the post stage sends it.
    pub fn save_outcome(&self, env: &RunnerEnv, state: &RunState) {
        let Options { on, mention_on, timing: _ } = self.options;
        if let Some(text) = FinalMessage::of(state, on, mention_on).to_json().filter(|_| !self.channels.is_empty()) {
            // If this fails, the post stage reports less detail.
            let _ = saved::write(env, &[(OUTCOME, &text)]);
        }
    }

    /// In the post stage, sends last messages that the run failed to send; messages that a killed run left as running
    /// get the outcome in `state`, or else become gray. Takes at most `budget`.
    pub async fn repair(self, env: &RunnerEnv, state: &RunState, budget: Duration) -> Vec<Diagnostic> {
        if env.state(SETTLED).is_some() {
            return Vec::new();
        }
        match (env.state(OUTCOME).and_then(FinalMessage::from_json), env.state(ELSEWHERE)) {
            (Some(outcome), None) => self.repeat(env, &outcome, budget).await,
            (None, None) => self.finish(env, state, MessageKind::Run, budget).await,
            // The job succeeded or continues elsewhere: a later step updates its message.
            (_, Some(_)) if state.outcome.is_none() => Vec::new(),
            (_, Some(_)) => self.finish(env, state, MessageKind::ExternalJob, budget).await,
        }
    }

    async fn repeat(self, env: &RunnerEnv, message: &FinalMessage, budget: Duration) -> Vec<Diagnostic> {
        let done: Option<Vec<usize>> = env.state(DONE).and_then(|text| serde_json::from_str(text).ok());
        let before = if done.is_some() { FirstAttempt::Failed } else { FirstAttempt::Unknown };
        let done = done.unwrap_or_default();
        let mut known: BTreeMap<usize, Posted> = posted_before(env).collect();
        let due = self.channels.into_iter().enumerate().filter(|(channel, _)| !done.contains(channel));
        let repeats = due.map(|(channel, service)| {
            let posted = known.remove(&channel);
            let timing = self.options.timing;
            async move {
                let name = service.name();
                let repeated = single_message::resend(service, posted.as_ref(), message, before, timing, budget).await;
                repeated.err().map(|error| warning("notify", not_sent(name, &error.to_string())))
            }
        });
        join_all(repeats).await.into_iter().flatten().collect()
    }

    async fn finish(self, env: &RunnerEnv, state: &RunState, kind: MessageKind, budget: Duration) -> Vec<Diagnostic> {
        let timing = self.options.timing;
        let repairs = posted_before(env).filter_map(|(channel, posted)| {
            let service = self.channels.get(channel)?.clone();
            Some(async move {
                let name = service.name();
                let repaired = single_message::repair(service, &posted, state, kind, timing, budget).await;
                // A deleted message cannot mislead anyone.
                let failed = repaired.err().filter(|error| *error != DeliveryError::MessageGone)?;
                Some(warning("notify", format!("{name}: message not updated: {failed}")))
            })
        });
        join_all(repairs).await.into_iter().flatten().collect()
    }
}

/// Returns the messages that the main stage saved, by channel.
fn posted_before(env: &RunnerEnv) -> impl Iterator<Item = (usize, Posted)> {
    let saved: Vec<Saved> = env.state(MESSAGES).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    saved.into_iter().filter_map(|Saved { channel, message }| Some((channel, Posted::parse(&message)?)))
}

/// Saves each message for the post stage as soon as it is known. Never returns.
pub async fn save(env: &RunnerEnv, mut posted: watch::Receiver<Vec<Option<Posted>>>) -> Infallible {
    loop {
        let text = as_saved(&posted.borrow_and_update());
        if let Some(text) = text {
            // If this fails, the post stage repairs nothing.
            let _ = saved::write(env, &[(MESSAGES, &text)]);
        }
        if posted.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// The state of a saved message after its command has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// The run is over, and its messages show that.
    Nothing,
    /// The message shows a running job that builds by other means.
    Elsewhere,
}

/// Saves the results of the messages. Returns warnings for the log, and whether all due messages were sent.
pub fn settle(env: &RunnerEnv, reports: &[ChannelReport], open: Open) -> (Vec<Diagnostic>, bool) {
    let settled = reports.iter().all(|report| report.status == DeliveryStatus::Done);
    let done: Vec<usize> = reports
        .iter()
        .filter(|report| report.status != DeliveryStatus::Retryable)
        .map(|report| report.channel)
        .collect();
    let done = serde_json::to_string(&done).unwrap_or_default();
    let mut warnings: Vec<Diagnostic> =
        reports.iter().filter_map(|report| Some(warning("notify", report.warning.clone()?))).collect();
    let posted: Vec<Option<Posted>> = reports.iter().map(|report| report.posted.clone()).collect();
    let text = as_saved(&posted).unwrap_or_default();
    let mut values = vec![(MESSAGES, text.as_str())];
    match open {
        Open::Elsewhere => values.push((ELSEWHERE, "true")),
        Open::Nothing if settled => values.push((SETTLED, "true")),
        Open::Nothing => values.push((DONE, &done)),
    }
    if let Err(error) = saved::write(env, &values) {
        warnings.push(warning("state", error));
    }
    (warnings, settled)
}

fn as_saved(posted: &[Option<Posted>]) -> Option<String> {
    let known = posted.iter().enumerate();
    let all: Vec<Saved> =
        known.filter_map(|(channel, posted)| Some(Saved { channel, message: posted.as_ref()?.to_string() })).collect();
    if all.is_empty() { None } else { serde_json::to_string(&all).ok() }
}

/// Returns a warning about optional work.
pub fn warning(title: &str, message: String) -> Diagnostic {
    Diagnostic { severity: Severity::Warning, title: title.to_owned(), message, place: None }
}
