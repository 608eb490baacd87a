//! The time budget for optional work: 5 s a job, including the post stage.
//!
//! The requests to GitHub before the first event, the history at the end, the last messages and the post stage share
//! it. Time that one of them does not use is available to the next; each leaves enough for those that follow.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::inputs::runner::RunnerEnv;

/// Name in `GITHUB_STATE`: the budget of the post stage in milliseconds.
pub const LEFT: &str = "left";

const TOTAL: Duration = Duration::from_secs(5);
/// Time limit of the requests to GitHub before the run begins.
const BEFORE: Duration = Duration::from_secs(2);
/// Time limit for the history of previous runs at the end of a run.
const HISTORY: Duration = Duration::from_secs(1);
/// Time limit of the last messages of a run; it is shorter after a cancellation, when the runner soon kills the
/// process.
const FINAL_REPORTS: Duration = Duration::from_millis(2500);
const FINAL_REPORTS_CANCELLED: Duration = Duration::from_secs(2);
/// Reserved time: for the last messages of a run, and for its post stage.
const KEPT_FOR_FINAL_REPORTS: Duration = Duration::from_secs(1);
const KEPT_FOR_POST: Duration = Duration::from_secs(1);

/// The rest of the 5 s.
#[derive(Debug)]
pub struct Allowance(Duration);

/// How soon the runner kills the process after the end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The runner waits.
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
    /// Returns the budget of the post stage: the time that the run did not use. After a killed run it is all of it.
    pub fn of_post(env: &RunnerEnv) -> Duration {
        let left = env.state(LEFT).and_then(|text| text.parse().ok()).map_or(TOTAL, Duration::from_millis);
        left.clamp(KEPT_FOR_POST, TOTAL)
    }

    /// Returns the limit for the requests to GitHub before the run begins.
    pub fn before(&self) -> Duration {
        BEFORE.min(self.0)
    }

    /// Returns the limit for the history, at the end.
    pub fn history(&self) -> Duration {
        HISTORY.min(self.0.saturating_sub(KEPT_FOR_FINAL_REPORTS + KEPT_FOR_POST))
    }

    /// Returns the limit for the last messages.
    pub fn final_reports(&self, pace: Pace) -> Duration {
        let most = match pace {
            Pace::Usual => FINAL_REPORTS,
            Pace::Cancelled => FINAL_REPORTS_CANCELLED,
        };
        most.min(self.0.saturating_sub(KEPT_FOR_POST))
    }

    /// Returns the budget of the post stage, as it is saved under [`LEFT`].
    pub fn left(&self) -> String {
        self.0.as_millis().to_string()
    }

    /// Runs `work` for at most `limit`, and deducts the time that it used. Returns `None` if it timed out.
    pub async fn spend<T>(&mut self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        self.measured(timeout(limit, work)).await.ok()
    }

    /// Runs `work`, which has its own limit, and deducts the time that it used.
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
            let final_reports = allowance.final_reports(pace);
            assert!(final_reports >= Duration::from_secs(1));
            assert_eq!(allowance.spend(final_reports, pending::<()>()).await, None);
            sleep(post(&allowance.left())).await;
            // Each timer may be a millisecond late.
            assert!(began.elapsed() <= TOTAL + Duration::from_millis(10), "{:?}", began.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_used_is_there_for_the_next() {
        let mut allowance = Allowance::default();
        assert_eq!(allowance.spend(allowance.before(), async { 1 }).await, Some(1));
        let _ = allowance.spend(allowance.final_reports(Pace::Usual), sleep(Duration::from_millis(300))).await;
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
