//! Keeps the message of a run up to date in each channel while the run goes on.
//!
//! [`start`] posts at once and beside the build; edits follow the run's state, no closer than
//! [`Timing::edit_gap`] and only if they change something; [`Live::finish`] brings the last state out.
//! The build never waits for any of it but in `finish`, and there for no longer than the budget it gives:
//! [`FINAL_BUDGET`] at most, [`CANCEL_BUDGET`] when the runner is about to kill us. A channel that has
//! not taken the last state by then (it is down, stalls, or asks for a longer wait) is a warning in its
//! [`Report`], and the post stage can try again with [`super::once::repeat`].

use std::{cell::LazyCell, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{
    delivery::{Channel, End, Timing},
    http::Client,
    occasion::{MentionOn, NotifyOn},
    service::{Posted, Service},
    teller::Teller,
};
use crate::domain::run::RunState;

/// What a run may spend on its last message at most: a Discord that is down or slow costs no build more.
pub const FINAL_BUDGET: Duration = Duration::from_secs(5);

/// The same after a cancel: the runner kills us 7.5 s after the first signal.
pub const CANCEL_BUDGET: Duration = Duration::from_secs(2);

/// When messages are sent.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// At which moments.
    pub on: NotifyOn,
    /// When someone is mentioned.
    pub mention_on: MentionOn,
    /// How long things may take.
    pub timing: Timing,
}

/// What came of the messages to one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which channel, in the order they were given.
    pub channel: usize,
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
    /// A message that does not show the end, or none where one was due. The post stage may try again.
    Stale,
    /// The same, but to try again would not help, or might show the end a third time.
    Lost,
}

/// The messages of a run under way. If it is dropped, they stay as they are.
#[derive(Debug)]
pub struct Live {
    end: watch::Sender<Option<End>>,
    last: watch::Sender<Option<Arc<RunState>>>,
    posted: watch::Receiver<Vec<Option<Posted>>>,
    tasks: Vec<JoinHandle<Report>>,
    names: Vec<String>,
}

/// Starts telling of the run to each channel: its first message is under way when this returns.
///
/// Must be called within a tokio runtime. Where the HTTP client cannot be made, every report says so.
pub fn start(channels: Vec<Arc<dyn Service>>, options: Options, states: &watch::Receiver<Arc<RunState>>) -> Live {
    let (end, ends) = watch::channel(None);
    let (last, lasts) = watch::channel(None);
    let (post, posted) = watch::channel(vec![None; channels.len()]);
    let post = Arc::new(post);
    let names: Vec<String> = names(&channels);
    // Reading the CA certificates for nobody would cost as much as a build without changes.
    let client = LazyCell::new(|| Client::new(options.timing.connect));
    let tasks = channels.into_iter().zip(&names).enumerate().map(|(index, (service, name))| match &*client {
        Ok(client) => {
            let channel = Channel::new(client.clone(), service, options.timing);
            let teller = Teller::new(index, name.clone(), channel, options, ends.clone(), post.clone());
            tokio::spawn(teller.run(states.clone(), lasts.clone()))
        }
        Err(error) => {
            let warning = Some(warning(name, &error.to_string()));
            tokio::spawn(async move { Report { channel: index, posted: None, left: Left::Stale, warning } })
        }
    });
    let tasks = tasks.collect();
    Live { end, last, posted, tasks, names }
}

/// What each channel is called in warnings: numbered if there are several of a kind.
fn names(channels: &[Arc<dyn Service>]) -> Vec<String> {
    let all = |name: &str| channels.iter().filter(|channel| channel.name() == name).count();
    let number = |index: usize, name: &str| channels.iter().take(index + 1).filter(|c| c.name() == name).count();
    let name = |(index, channel): (usize, &Arc<dyn Service>)| match channel.name() {
        name if all(name) == 1 => name.to_owned(),
        name => format!("{name} {}", number(index, name)),
    };
    channels.iter().enumerate().map(name).collect()
}

impl Live {
    /// The messages known so far, one entry a channel, to be saved for the post stage as soon as they are there.
    pub fn posted(&self) -> watch::Receiver<Vec<Option<Posted>>> {
        self.posted.clone()
    }

    /// Shows how the run ended (`state` has an ending) and reports. Takes no longer than `budget`, of which more than
    /// [`FINAL_BUDGET`] is not used; with a service in good health it is one call, some tenths of a second.
    pub async fn finish(self, state: Arc<RunState>, budget: Duration) -> Vec<Report> {
        let budget = budget.min(FINAL_BUDGET);
        let deadline = Instant::now() + budget;
        // The state first: who sees the end also sees what is to be said.
        self.last.send_replace(Some(state));
        // A little earlier than ours, so that a channel that fails can still say why.
        self.end.send_replace(Some(End { deadline: deadline - budget / 20 }));
        let mut reports = Vec::with_capacity(self.tasks.len());
        for (index, (mut task, name)) in self.tasks.into_iter().zip(&self.names).enumerate() {
            let report = if let Ok(Ok(report)) = timeout_at(deadline, &mut task).await {
                report
            } else {
                // Past the deadline, or a panic in it: neither may cost the build anything.
                task.abort();
                let posted = self.posted.borrow().get(index).cloned().flatten();
                let warning = Some(warning(name, "gave up: no time left"));
                Report { channel: index, posted, left: Left::Stale, warning }
            };
            reports.push(report);
        }
        reports
    }
}

/// The text of [`Report::warning`].
pub(super) fn warning(name: &str, why: &str) -> String {
    format!("no message to {name}: {why}")
}
