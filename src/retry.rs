//! The retry policy for all calls to other systems.

use std::time::Duration;

use tokio::time::Instant;

/// Whether to retry a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Do not retry.
    Never,
    /// Retry once: the error is most likely permanent, but was not expected.
    Once,
    /// Retry after the usual pause.
    Later,
    /// Retry after the pause that the server asks for (`Retry-After`).
    After(Duration),
}

/// An error that knows whether to retry its call.
pub trait Transient {
    /// Whether to retry.
    fn retry(&self) -> Retry;
}

/// The number of attempts and the pauses between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Total number of attempts.
    pub attempts: u32,
    /// The pause before the second attempt; each later one is twice as long.
    pub first_pause: Duration,
    /// Longest accepted pause. If the server asks for a longer one, the call fails.
    pub longest_pause: Duration,
    /// A call that took longer than this and failed is retried at most once, because the server, such as an engine, has
    /// already repeated the request itself.
    pub longest_call: Duration,
}

impl Default for RetryPolicy {
    /// Four attempts with pauses of 1, 2 and 4 seconds; up to 30 seconds if the server asks for it.
    fn default() -> Self {
        Self {
            attempts: 4,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
            longest_call: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// Returns the default policy with this number of attempts.
    pub fn attempts(attempts: u32) -> Self {
        Self { attempts, ..Self::default() }
    }

    /// The pause before attempt number `attempt`, which is at least 2, if the previous attempt took `took`; `None` if there
    /// are no more attempts.
    pub fn pause(&self, attempt: u32, retry: Retry, took: Duration) -> Option<Duration> {
        if attempt > self.attempts || (took > self.longest_call && attempt > 2) {
            return None;
        }
        let usual = self.usual_pause(attempt);
        match retry {
            Retry::Never => None,
            Retry::Once => Some(usual).filter(|_| attempt == 2),
            Retry::Later => Some(usual),
            // Pause even if the server asks for 0.
            Retry::After(asked) => Some(asked.max(usual)).filter(|_| asked <= self.longest_pause),
        }
    }

    /// The pause before attempt number `attempt`, if the server does not ask for a longer one.
    pub fn usual_pause(&self, attempt: u32) -> Duration {
        self.first_pause * 2_u32.saturating_pow(attempt.saturating_sub(2))
    }

    /// Makes a call until it succeeds, fails permanently, or no attempts are left. `notice` is called before each retry with
    /// the error, the number of the next attempt, and the pause before it.
    pub async fn run<T, E: Transient>(
        &self,
        mut call: impl AsyncFnMut() -> Result<T, E>,
        mut notice: impl AsyncFnMut(&E, u32, Duration),
    ) -> Result<T, E> {
        let mut attempt = 1;
        loop {
            let began = Instant::now();
            let error = match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            attempt += 1;
            let Some(pause) = self.pause(attempt, error.retry(), began.elapsed()) else { return Err(error) };
            notice(&error, attempt, pause).await;
            tokio::time::sleep(pause).await;
        }
    }

    /// [`Self::run`] without notices.
    pub async fn quietly<T, E: Transient>(&self, call: impl AsyncFnMut() -> Result<T, E>) -> Result<T, E> {
        self.run(call, async |_, _, _| {}).await
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, time::Duration};

    use tokio::time::Instant;

    use super::{Retry, RetryPolicy, Transient};

    #[derive(Debug, PartialEq)]
    struct Fault(Retry);

    impl Transient for Fault {
        fn retry(&self) -> Retry {
            self.0
        }
    }

    /// The result of a call with these answers, the seconds passed, and the announced attempts.
    async fn outcome(answers: &[Result<u8, Retry>]) -> (Result<u8, Fault>, u64, Vec<u32>) {
        let (began, mut answers) = (Instant::now(), answers.iter());
        let heard = RefCell::new(Vec::new());
        let call = async || answers.next().copied().unwrap().map_err(Fault);
        let result = RetryPolicy::default().run(call, async |_, attempt, _| heard.borrow_mut().push(attempt)).await;
        (result, began.elapsed().as_secs(), heard.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_respect_the_server() {
        let after = |seconds| Err(Retry::After(Duration::from_secs(seconds)));
        assert_eq!(outcome(&[Ok(1)]).await, (Ok(1), 0, vec![]));
        assert_eq!(outcome(&[Err(Retry::Never)]).await, (Err(Fault(Retry::Never)), 0, vec![]));
        assert_eq!(outcome(&[Err(Retry::Later), Ok(2)]).await, (Ok(2), 1, vec![2]));
        let always = [Err(Retry::Later); 4];
        assert_eq!(outcome(&always).await, (Err(Fault(Retry::Later)), 7, vec![2, 3, 4]));
        assert_eq!(outcome(&[after(20), Ok(3)]).await, (Ok(3), 20, vec![2]));
        assert_eq!(outcome(&[after(0), Ok(3)]).await, (Ok(3), 1, vec![2]), "never without a pause");
        let (result, seconds, _) = outcome(&[after(31)]).await;
        assert_eq!((result.is_err(), seconds), (true, 0), "nobody waits half a minute for a registry");
        let once = [Err(Retry::Once); 3];
        assert_eq!(outcome(&once).await, (Err(Fault(Retry::Once)), 1, vec![2]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_was_repeated_for_long_already_is_sent_once_more() {
        for (seconds, calls) in [(29, 4), (31, 2)] {
            let made = RefCell::new(0);
            let call = async || {
                *made.borrow_mut() += 1;
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                Err::<u8, _>(Fault(Retry::Later))
            };
            assert!(RetryPolicy::default().quietly(call).await.is_err());
            assert_eq!(made.into_inner(), calls, "{seconds} s");
        }
    }
}
