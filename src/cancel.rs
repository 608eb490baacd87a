//! Cancellation of a run.
//!
//! Most work is cancelled by dropping its future with [`Cancel::unless`]. A stage that must not stop halfway, such as
//! publishing or a deployment, checks [`Cancel::reason`] or awaits [`Cancel::requested`], and then finishes or undoes its
//! work.

use tokio::sync::watch;

/// Why a run is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The runner sent a signal.
    Signal,
    /// The run took longer than the input `timeout` allows.
    Timeout,
}

/// Requests cancellation.
#[derive(Debug)]
pub struct Canceller(watch::Sender<Option<Stop>>);

/// Receives the request for cancellation. Clones receive it too.
#[derive(Clone, Debug)]
pub struct Cancel(watch::Receiver<Option<Stop>>);

/// Creates a sender and a receiver.
pub fn channel() -> (Canceller, Cancel) {
    let (sender, receiver) = watch::channel(None);
    (Canceller(sender), Cancel(receiver))
}

impl Canceller {
    /// Requests cancellation. Only the first reason counts.
    pub fn stop(&self, reason: Stop) {
        self.0.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert(reason);
            first
        });
    }
}

impl Cancel {
    /// The reason, if cancellation was requested.
    pub fn reason(&self) -> Option<Stop> {
        *self.0.borrow()
    }

    /// Resolves when cancellation is requested.
    pub async fn requested(&self) -> Stop {
        let mut receiver = self.0.clone();
        match receiver.wait_for(Option::is_some).await {
            Ok(stop) => stop.unwrap_or(Stop::Signal),
            // The sender was dropped: no request can come.
            Err(_) => std::future::pending().await,
        }
    }

    /// Runs the work, or drops it if cancellation is requested first.
    ///
    /// # Errors
    /// Returns the reason for the cancellation.
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
    async fn all_receivers_get_the_first_reason() {
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
