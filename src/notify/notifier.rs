//! Keeps one message per channel up to date during a run.
//!
//! [`start`] posts the first message at once, in parallel with the build. Later edits follow the run's state: at least
//! [`Timing::edit_gap`](super::delivery::Timing::edit_gap) apart, and only if the message changes. [`Notifier::finish`]
//! sends the final message. The build waits for `finish` only, and no longer than its budget: at most [`FINAL_BUDGET`],
//! or [`CANCEL_BUDGET`](super::options::CANCEL_BUDGET) after a cancellation. If a channel does not accept the final
//! message in time, its [`ChannelReport`] has a warning, and the post stage can try again with
//! [`super::single_message::resend`].

use std::{cell::LazyCell, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{
    channel_notifier::ChannelNotifier,
    delivery::{Channel, End},
    http::Client,
    options::{FINAL_BUDGET, Options},
    report::{ChannelReport, DeliveryStatus, not_sent},
    service::{Posted, Service},
};
use crate::domain::run::RunState;

/// The notifications of a run in progress. If it is dropped, posted messages stay as they are.
#[derive(Debug)]
pub struct Notifier {
    end: watch::Sender<Option<End>>,
    final_state: watch::Sender<Option<Arc<RunState>>>,
    posted: watch::Receiver<Vec<Option<Posted>>>,
    tasks: Vec<JoinHandle<ChannelReport>>,
    names: Vec<String>,
}

/// Starts to notify each channel: the first messages are being sent when this returns.
///
/// Must be called within a tokio runtime. If the HTTP client cannot be created, every report has a warning.
pub fn start(channels: Vec<Arc<dyn Service>>, options: Options, states: &watch::Receiver<Arc<RunState>>) -> Notifier {
    let (end, ends) = watch::channel(None);
    let (final_state, final_states) = watch::channel(None);
    let (post, posted) = watch::channel(vec![None; channels.len()]);
    let post = Arc::new(post);
    let names: Vec<String> = names(&channels);
    // Created only if there is a channel: reading the CA certificates takes as long as a build without changes.
    let client = LazyCell::new(|| Client::new(options.timing.connect));
    let tasks = channels.into_iter().zip(&names).enumerate().map(|(index, (service, name))| match &*client {
        Ok(client) => {
            let channel = Channel::new(client.clone(), service, options.timing);
            let notifier = ChannelNotifier::new(index, name.clone(), channel, options, ends.clone(), post.clone());
            tokio::spawn(notifier.run(states.clone(), final_states.clone()))
        }
        Err(error) => {
            let warning = Some(not_sent(name, &error.to_string()));
            let status = DeliveryStatus::Retryable;
            tokio::spawn(async move { ChannelReport { channel: index, posted: None, status, warning } })
        }
    });
    let tasks = tasks.collect();
    Notifier { end, final_state, posted, tasks, names }
}

/// The name of each channel in warnings: numbered if there are several of a kind.
fn names(channels: &[Arc<dyn Service>]) -> Vec<String> {
    let all = |name: &str| channels.iter().filter(|channel| channel.name() == name).count();
    let number = |index: usize, name: &str| channels.iter().take(index + 1).filter(|c| c.name() == name).count();
    let name = |(index, channel): (usize, &Arc<dyn Service>)| match channel.name() {
        name if all(name) == 1 => name.to_owned(),
        name => format!("{name} {}", number(index, name)),
    };
    channels.iter().enumerate().map(name).collect()
}

impl Notifier {
    /// The messages posted so far, one entry per channel, for the caller to save for the post stage.
    pub fn posted(&self) -> watch::Receiver<Vec<Option<Posted>>> {
        self.posted.clone()
    }

    /// Sends the final message and returns one report per channel. `state` is that of a finished run. Takes at most
    /// `budget`, and never more than [`FINAL_BUDGET`]; a healthy service needs one call, some tenths of a second.
    pub async fn finish(self, state: Arc<RunState>, budget: Duration) -> Vec<ChannelReport> {
        let budget = budget.min(FINAL_BUDGET);
        let deadline = Instant::now() + budget;
        // The state first: a task that sees the end needs it.
        self.final_state.send_replace(Some(state));
        // A little earlier than our own deadline, so that a failing channel still has time to report why.
        self.end.send_replace(Some(End { deadline: deadline - budget / 20 }));
        let mut reports = Vec::with_capacity(self.tasks.len());
        for (index, (mut task, name)) in self.tasks.into_iter().zip(&self.names).enumerate() {
            let report = if let Ok(Ok(report)) = timeout_at(deadline, &mut task).await {
                report
            } else {
                // The deadline passed or the task panicked: neither may fail the build.
                task.abort();
                let posted = self.posted.borrow().get(index).cloned().flatten();
                let warning = Some(not_sent(name, &format!("timed out after {:.1} s", budget.as_secs_f64())));
                ChannelReport { channel: index, posted, status: DeliveryStatus::Retryable, warning }
            };
            reports.push(report);
        }
        reports
    }
}
