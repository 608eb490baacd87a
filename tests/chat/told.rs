//! A run under way, told to channels.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use build_deploy::{
    domain::{history::History, run::RunState},
    notify::{
        delivery::Timing,
        live::{self, Live, Options, Report},
        occasion::{MentionOn, NotifyOn},
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

pub(crate) struct Told {
    pub(crate) live: Live,
    pub(crate) states: watch::Sender<Arc<RunState>>,
    pub(crate) last: Arc<RunState>,
}

pub(crate) fn begin(service: impl Service + 'static, options: Options, end: End) -> Told {
    let mut all = run(end);
    let last = Arc::new(all.pop().expect("an end"));
    let (states, receiver) = watch::channel(Arc::new(all.swap_remove(3)));
    Told { live: live::start(vec![Arc::new(service)], options, &receiver), states, last }
}

impl Told {
    pub(crate) async fn posted(&self) -> String {
        let mut posted = self.live.posted();
        let all = tokio::time::timeout(Duration::from_secs(10), posted.wait_for(|all| all.iter().all(Option::is_some)));
        let all = all.await.expect("in time").expect("is told");
        all[0].as_ref().expect("posted").message_id.clone()
    }

    /// The same with so many failures before it.
    pub(crate) fn after(mut self, failures: Option<u32>) -> Self {
        Arc::make_mut(&mut self.last).history = failures.map(|failures| History { failures });
        self
    }

    pub(crate) async fn end(self, budget: Duration) -> (Report, Duration) {
        let began = Instant::now();
        let mut reports = self.live.finish(self.last, budget).await;
        (reports.remove(0), began.elapsed())
    }
}

/// Waits for so many calls.
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
