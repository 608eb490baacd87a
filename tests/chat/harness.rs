//! The notifications of a run in progress, for tests.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use build_deploy::{
    domain::{history::History, run::RunState},
    notify::{
        delivery::Timing,
        notifier::{self, Notifier},
        options::Options,
        policy::{MentionOn, NotifyOn},
        report::ChannelReport,
        service::Service,
    },
};
use stand_ins::receiver::{Call, Desk, Receiver};
use tokio::sync::watch;

use crate::runs::{End, run};

pub(crate) fn anywhere() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

pub(crate) fn quick() -> Options {
    Options {
        on: NotifyOn::ALWAYS,
        mention_on: MentionOn::Failure,
        timing: Timing { edit_gap: Duration::from_millis(20), backoff: Duration::from_millis(10), ..Timing::default() },
    }
}

pub(crate) struct RunningNotifier {
    pub(crate) notifier: Notifier,
    pub(crate) states: watch::Sender<Arc<RunState>>,
    pub(crate) last: Arc<RunState>,
}

pub(crate) fn begin(service: impl Service + 'static, options: Options, end: End) -> RunningNotifier {
    let mut all = run(end);
    let last = Arc::new(all.pop().expect("an end"));
    let (states, receiver) = watch::channel(Arc::new(all.swap_remove(3)));
    RunningNotifier { notifier: notifier::start(vec![Arc::new(service)], options, &receiver), states, last }
}

impl RunningNotifier {
    pub(crate) async fn posted(&self) -> String {
        let mut posted = self.notifier.posted();
        let all = tokio::time::timeout(Duration::from_secs(10), posted.wait_for(|all| all.iter().all(Option::is_some)));
        let all = all.await.expect("in time").expect("is posted");
        all[0].as_ref().expect("posted").message_id.clone()
    }

    /// Sets the number of failed runs before this one.
    pub(crate) fn after(mut self, failures: Option<u32>) -> Self {
        Arc::make_mut(&mut self.last).history = failures.map(|failures| History { failures, succeeded: true });
        self
    }

    pub(crate) async fn end(self, budget: Duration) -> (ChannelReport, Duration) {
        let began = Instant::now();
        let mut reports = self.notifier.finish(self.last, budget).await;
        (reports.remove(0), began.elapsed())
    }
}

/// Waits for this number of calls.
pub(crate) async fn calls<D: Desk>(receiver: &Receiver<D>, count: usize) -> Vec<Call> {
    let mut changes = receiver.changes();
    loop {
        let calls = receiver.calls();
        if calls.len() >= count {
            return calls;
        }
        tokio::time::timeout(Duration::from_secs(10), changes.changed()).await.expect("more calls").expect("runs");
    }
}

pub(crate) fn assert_all_right<D: Desk>(receiver: &Receiver<D>) {
    for call in receiver.calls() {
        assert!(call.wrong.is_empty(), "{} {} {:#}: {:?}", call.method, call.path, call.body, call.wrong);
    }
}
