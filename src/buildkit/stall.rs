//! Notices that a build waits for a registry: BuildKit waits without a time limit and reports nothing meanwhile. Pure.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{steps::StepId, transfers::Wait};

/// How long a step may wait before the first notice. The time until each further notice doubles.
const FIRST: Duration = Duration::from_secs(30);

/// The waiting steps, with the time at which each began to wait.
#[derive(Debug, Default)]
pub(super) struct Stalls(HashMap<StepId, Stall>);

#[derive(Debug)]
struct Stall {
    wait: Wait,
    changes: u64,
    since: Instant,
    notices: u32,
}

impl Stalls {
    /// Records the waiting steps: what each waits for, and the number of changes of its transfers.
    pub(super) fn update(&mut self, waiting: Vec<(StepId, Wait, u64)>, now: Instant) {
        let mut known = std::mem::take(&mut self.0);
        for (step, wait, changes) in waiting {
            let same = known.remove(&step).filter(|stall| stall.changes == changes && stall.wait == wait);
            self.0.insert(step, same.unwrap_or(Stall { wait, changes, since: now, notices: 0 }));
        }
    }

    /// Returns the time of the next notice.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(Stall::next).min()
    }

    /// Returns the notices that are due: the step, what it waits for, and how long it has waited.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(StepId, Wait, Duration)> {
        let mut due = Vec::new();
        for (step, stall) in &mut self.0 {
            if stall.next() <= now {
                stall.notices += 1;
                due.push((*step, stall.wait.clone(), now - stall.since));
            }
        }
        due.sort_by_key(|(step, ..)| *step);
        due
    }
}

impl Stall {
    fn next(&self) -> Instant {
        self.since + FIRST * 2_u32.saturating_pow(self.notices)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Stalls, Wait};

    #[test]
    fn a_stall_is_told_after_half_a_minute_and_then_less_and_less_often() {
        let (began, second) = (Instant::now(), Duration::from_secs(1));
        let mut stalls = Stalls::default();
        let waiting = |changes| vec![(3, Wait::Upload, changes)];
        let mut due = Vec::new();
        for passed in 0..400 {
            let now = began + second * passed;
            // Something moves after 10 s, and never again.
            stalls.update(waiting(u64::from(passed >= 10)), now);
            due.extend(stalls.due(now).into_iter().map(|(step, _, time)| (step, passed, time.as_secs())));
        }
        assert_eq!(due, [(3, 40, 30), (3, 70, 60), (3, 130, 120), (3, 250, 240)]);
        assert_eq!(stalls.next(), Some(began + second * 490));
        stalls.update(Vec::new(), began);
        assert_eq!(stalls.next(), None);
    }
}
