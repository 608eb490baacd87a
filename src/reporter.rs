//! Folds events into the state of the run and hands them to the renderers.

use std::sync::Arc;

use chrono::Utc;
use tokio::sync::{mpsc, watch};

use crate::domain::{
    event::{Event, ImageEvent},
    order::Order,
    outcome::RunOutcome,
    run::RunState,
    unfinished,
};

/// Takes events until all their senders are gone, and returns the last state. `log` gets every event; `states` gets
/// the state whenever an event changed it, which a line of output does not. The end of a run that timed out is preceded by
/// an error that names the steps it was in.
pub async fn report(
    mut events: mpsc::Receiver<Event>,
    mut state: RunState,
    states: watch::Sender<Arc<RunState>>,
    mut log: impl FnMut(&Event),
) -> RunState {
    let mut order = Order::default();
    while let Some(event) = events.recv().await {
        if let Err(error) = order.check(&event) {
            // The harness of the tests looks for these words in the log of every run.
            log(&Event::Note(format!("internal error, please report it: {error}")));
        }
        let now = Utc::now();
        if event == Event::Finished(RunOutcome::TimedOut) {
            let error = Event::Diagnostic(unfinished::timed_out(&state, now));
            state.apply(&error, now);
            log(&error);
        }
        state.apply(&event, now);
        log(&event);
        if !matches!(event, Event::Image { event: ImageEvent::StepLog { .. }, .. }) {
            states.send_replace(Arc::new(state.clone()));
        }
    }
    state
}
