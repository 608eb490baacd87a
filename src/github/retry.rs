//! Retries for requests whose answers decide what is published.

use std::time::Duration;

use tokio::time::timeout;

use super::client::ApiError;
use crate::retry::RetryPolicy;

/// Timeout of a single call. After one that hangs, enough time remains for another.
const CALL: Duration = Duration::from_secs(2);
/// The first pause between calls.
const PAUSE: Duration = Duration::from_millis(250);

/// Makes a call until GitHub answers or refuses it, at most three times. `subject` names the request in errors.
///
/// # Errors
/// The error of the last call.
pub(super) async fn with_retries<T, F>(subject: &str, call: impl Fn() -> F) -> Result<T, ApiError>
where
    F: Future<Output = Result<T, ApiError>>,
{
    let policy = RetryPolicy { first_pause: PAUSE, ..RetryPolicy::attempts(3) };
    let bounded = async || {
        let answer = timeout(CALL, call()).await;
        answer.unwrap_or_else(|_| Err(ApiError::TimedOut(format!("for {subject}"))))
    };
    policy.quietly(bounded).await
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future, time::Duration};

    use tokio::time::Instant;

    use super::{ApiError, with_retries};

    fn broken(status: u16) -> ApiError {
        ApiError::Refused { path: "x".into(), status, message: "x".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_may_pass_is_asked_again_and_not_for_ever() {
        for (statuses, calls, succeeds, took) in [
            (&[200][..], 1, true, 0),
            (&[502, 200], 2, true, 250),
            (&[500, 503, 200], 3, true, 750),
            (&[500, 500, 500, 200], 3, false, 750),
            (&[404, 200], 1, false, 0),
            (&[403, 200], 1, false, 0),
            // No answer.
            (&[0, 200], 2, true, 2250),
            (&[0, 0, 0, 200], 3, false, 6750),
        ] {
            let made = Cell::new(0);
            let started = Instant::now();
            let answer = with_retries("x", || {
                let status = statuses[made.replace(made.get() + 1)];
                async move {
                    match status {
                        200 => Ok(()),
                        0 => future::pending().await,
                        status => Err(broken(status)),
                    }
                }
            });
            assert_eq!((answer.await.is_ok(), made.get()), (succeeds, calls), "{statuses:?}");
            assert_eq!(started.elapsed(), Duration::from_millis(took), "{statuses:?}");
        }
    }
}
