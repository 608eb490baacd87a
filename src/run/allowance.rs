//! How much longer a job may take for the sake of what is not its build: 5 s, the post stage included.
//!
//! What is asked of GitHub before the first event, the history at the end, the last messages and the post stage share
//! them. What one of them does not use is there for the next; each leaves enough for those that follow.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::inputs::runner::RunnerEnv;

/// Name in `GITHUB_STATE`: what the post stage has, in milliseconds.
pub const LEFT: &str = "left";

const TOTAL: Duration = Duration::from_secs(5);
/// What GitHub may take before the run begins.
const BEFORE: Duration = Duration::from_secs(2);
/// How long the end of a run waits for what the runs before it were like.
const HISTORY: Duration = Duration::from_secs(1);
/// How long the last messages of a run may take; after a cancellation the runner is about to kill us.
const LAST_WORD: Duration = Duration::from_millis(2500);
const LAST_WORD_CANCELLED: Duration = Duration::from_secs(2);
/// What is left at least: for the last messages of a run, and for its post stage.
const KEPT_FOR_LAST_WORD: Duration = Duration::from_secs(1);
const KEPT_FOR_POST: Duration = Duration::from_secs(1);

/// What is left of the 5 s.
#[derive(Debug)]
pub struct Allowance(Duration);

/// How a run ended, as far as the runner's patience depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Nobody is in a hurry.
    Usual,
    /// The run was cancelled.
    Cancelled,
}

impl Default for Allowance {
    fn default() -> Self {
        Self(TOTAL)
    }
}

impl Allowance {
    /// The post stage's: what the run left. A run that was killed left all of it.
    pub fn of_post(env: &RunnerEnv) -> Duration {
        let left = env.state(LEFT).and_then(|text| text.parse().ok()).map_or(TOTAL, Duration::from_millis);
        left.clamp(KEPT_FOR_POST, TOTAL)
    }

    /// For what GitHub is asked before the run begins.
    pub fn before(&self) -> Duration {
        BEFORE.min(self.0)
    }

    /// For the history, at the end.
    pub fn history(&self) -> Duration {
        HISTORY.min(self.0.saturating_sub(KEPT_FOR_LAST_WORD + KEPT_FOR_POST))
    }

    /// For the last messages.
    pub fn last_word(&self, pace: Pace) -> Duration {
        let most = match pace {
            Pace::Usual => LAST_WORD,
            Pace::Cancelled => LAST_WORD_CANCELLED,
        };
        most.min(self.0.saturating_sub(KEPT_FOR_POST))
    }

    /// What the post stage gets, as it is saved under [`LEFT`].
    pub fn left(&self) -> String {
        self.0.as_millis().to_string()
    }

    /// Does `work` for at most `limit`, and takes what it used off. `None` if it did not get done.
    pub async fn spend<T>(&mut self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        self.measured(timeout(limit, work)).await.ok()
    }

    /// Does `work`, which has a limit of its own, and takes what it used off.
    pub async fn measured<T>(&mut self, work: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let done = work.await;
        self.0 = self.0.saturating_sub(began.elapsed());
        done
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use tokio::time::{Instant, sleep};

    use super::{Allowance, Pace, TOTAL};
    use crate::inputs::runner::RunnerEnv;

    fn post(left: &str) -> Duration {
        Allowance::of_post(&RunnerEnv::new([("STATE_left", left)]))
    }

    #[tokio::test(start_paused = true)]
    async fn a_world_that_never_answers_costs_five_seconds_in_all() {
        for pace in [Pace::Usual, Pace::Cancelled] {
            let began = Instant::now();
            let mut allowance = Allowance::default();
            for limit in [Allowance::before, Allowance::history] {
                assert_eq!(allowance.spend(limit(&allowance), pending::<()>()).await, None);
            }
            let last_word = allowance.last_word(pace);
            assert!(last_word >= Duration::from_secs(1));
            assert_eq!(allowance.spend(last_word, pending::<()>()).await, None);
            sleep(post(&allowance.left())).await;
            // Each timer may be a millisecond late.
            assert!(began.elapsed() <= TOTAL + Duration::from_millis(10), "{:?}", began.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_used_is_there_for_the_next() {
        let mut allowance = Allowance::default();
        assert_eq!(allowance.spend(allowance.before(), async { 1 }).await, Some(1));
        let _ = allowance.spend(allowance.last_word(Pace::Usual), sleep(Duration::from_millis(300))).await;
        let left = post(&allowance.left());
        assert!((Duration::from_millis(4690)..=Duration::from_millis(4700)).contains(&left), "{left:?}");
    }

    #[test]
    fn the_post_stage_of_a_killed_run_has_all_of_it() {
        assert_eq!(
            (post(""), post("no number"), post("99999"), post("0")),
            (TOTAL, TOTAL, TOTAL, Duration::from_secs(1))
        );
    }
}
