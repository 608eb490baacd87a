//! The request to stop, which reaches every stage of a run.
//!
//! Most work is stopped by dropping its future, which [`Cancel::unless`] does. A stage that must not be dropped half way
//! (tags that move, a deployment) asks [`Cancel::reason`] or awaits [`Cancel::requested`], and finishes or undoes what it
//! began.

use tokio::sync::watch;

/// Why a run is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The runner sent a signal.
    Signal,
    /// The input `timeout` ran out.
    Timeout,
}

/// Asks for a stop.
#[derive(Debug)]
pub struct Canceller(watch::Sender<Option<Stop>>);

/// Hears of the request to stop. Clones hear the same.
#[derive(Clone, Debug)]
pub struct Cancel(watch::Receiver<Option<Stop>>);

/// A request that can be made, and its listener.
pub fn channel() -> (Canceller, Cancel) {
    let (sender, receiver) = watch::channel(None);
    (Canceller(sender), Cancel(receiver))
}

impl Canceller {
    /// Asks for a stop. The first reason stays.
    pub fn stop(&self, reason: Stop) {
        self.0.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert(reason);
            first
        });
    }
}

impl Cancel {
    /// Why to stop, if a stop was asked for.
    pub fn reason(&self) -> Option<Stop> {
        *self.0.borrow()
    }

    /// Resolves when a stop is asked for.
    pub async fn requested(&self) -> Stop {
        let mut receiver = self.0.clone();
        match receiver.wait_for(Option::is_some).await {
            Ok(stop) => stop.unwrap_or(Stop::Signal),
            // Nobody can ask any more.
            Err(_) => std::future::pending().await,
        }
    }

    /// Does the work unless a stop is asked for first, which drops it.
    ///
    /// # Errors
    /// The reason of the stop.
    pub async fn unless<T>(&self, work: impl Future<Output = T>) -> Result<T, Stop> {
        tokio::select! {
            biased;
            stop = self.requested() => Err(stop),
            done = work => Ok(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Stop, channel};

    #[tokio::test]
    async fn a_stop_reaches_everybody_and_keeps_its_first_reason() {
        let (canceller, cancel) = channel();
        let other = cancel.clone();
        assert_eq!(cancel.unless(async { 1 }).await, Ok(1));
        assert_eq!(cancel.reason(), None);
        canceller.stop(Stop::Timeout);
        canceller.stop(Stop::Signal);
        assert_eq!(other.requested().await, Stop::Timeout);
        assert_eq!(cancel.unless(std::future::pending::<()>()).await, Err(Stop::Timeout));
        let (canceller, cancel) = channel();
        drop(canceller);
        assert_eq!(cancel.unless(async { 2 }).await, Ok(2), "nobody can ask any more");
    }
}
