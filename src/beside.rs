//! Runs optional work in parallel with required work.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select};

/// Runs the optional `courtesy` concurrently with `work`. Once the work is done, waits at most `grace` of its result for the
/// courtesy, which is `None` if it did not finish by then. So a server that never answers delays the work only briefly.
pub async fn beside<T, U>(
    work: impl Future<Output = T>,
    courtesy: impl Future<Output = U>,
    grace: impl FnOnce(&T) -> Duration,
) -> (T, Option<U>) {
    match select(pin!(work), pin!(courtesy)).await {
        Either::Left((done, courtesy)) => {
            let known = tokio::time::timeout(grace(&done), courtesy).await.ok();
            (done, known)
        }
        Either::Right((known, work)) => (work.await, Some(known)),
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use tokio::time::{Instant, sleep};

    use super::beside;

    #[tokio::test(start_paused = true)]
    async fn a_courtesy_never_holds_the_work_up() {
        let began = Instant::now();
        let second = Duration::from_secs(1);
        let (done, known) = beside(sleep(second), pending::<()>(), |()| second).await;
        assert_eq!((done, known, began.elapsed()), ((), None, 2 * second));
        let ((), known) = beside(sleep(3 * second), sleep(second), |()| second).await;
        assert_eq!((known, began.elapsed()), (Some(()), 5 * second));
        let ((), known) = beside(sleep(second), async { sleep(second / 2).await }, |()| second).await;
        assert_eq!(known, Some(()));
    }
}
