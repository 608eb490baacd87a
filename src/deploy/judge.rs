//! Whether a release runs: the verdict on what was switched, from samples of its containers. Pure.
//!
//! Nothing here asks whether a target is "stable". Each sample is compared with the release: the containers of every
//! switched service must run its image, be up, and stay the same for the whole settle time.

use std::{collections::BTreeMap, time::Duration};

use crate::domain::digest::Digest;

/// A container that was started anew this often is not waited for any longer.
const CRASHES: u64 = 3;
/// A service without a container in so many samples is not waited for any longer. An engine that replaces a container has
/// none for a moment.
const MISSES: u32 = 5;

/// A container, or what other kinds of targets have in its place, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The service that it belongs to.
    pub service: String,
    /// Its id.
    pub id: String,
    /// The digests under which its image is known, its id among them.
    pub image: Vec<String>,
    /// Its state.
    pub state: State,
    /// How often it was started anew.
    pub restarts: u64,
    /// When it was started last, in any format.
    pub started_at: String,
    /// The result of its health check.
    pub health: Health,
}

/// The state of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Running.
    Running,
    /// Ended with this exit code. Nothing starts it again.
    Exited(i64),
    /// Ended and about to be started again.
    Restarting,
    /// Anything else, in the target's own word.
    Other(String),
}

/// The result of a health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// The container has no health check.
    None,
    /// Not known yet.
    Starting,
    /// Healthy.
    Healthy,
    /// Unhealthy.
    Unhealthy,
}

/// What a service must run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The digest of its image.
    pub digest: Digest,
    /// What it ran before the switch.
    pub before: Option<Digest>,
    /// Whether it was up before the switch. A service that was not may be one that does its work and exits.
    pub was_up: bool,
}

/// The verdict so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not known yet.
    Pending,
    /// Everything was up for the whole settle time.
    Good,
    /// A service failed.
    Bad(Fault),
    /// A service runs an image that is neither the release nor what ran before: somebody else has deployed.
    Foreign(Fault),
}

/// What is wrong with a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The service.
    pub service: String,
    /// What is wrong, without the service's name.
    pub problem: String,
}

/// The fold over the samples.
#[derive(Clone, Debug)]
pub struct Judge {
    expected: BTreeMap<String, Expected>,
    settle: Duration,
    limit: Duration,
    /// How often each container had been started anew when it was first seen.
    first: BTreeMap<String, u64>,
    /// How many samples in a row lacked a container of the service.
    missing: BTreeMap<String, u32>,
    /// The last sample, and since when it has been the same and up.
    last: Vec<(String, String, u64)>,
    since: Option<Duration>,
}

impl Judge {
    /// A judge that waits until everything was up for `settle`, and no longer than `limit`.
    pub fn new(expected: BTreeMap<String, Expected>, settle: Duration, limit: Duration) -> Self {
        let (first, missing) = (BTreeMap::new(), BTreeMap::new());
        Self { expected, settle, limit, first, missing, last: Vec::new(), since: None }
    }

    /// The verdict after another sample, taken this long after the first.
    pub fn see(&mut self, at: Duration, containers: &[Container]) -> Verdict {
        let mut waits_for = None;
        let mut look = Vec::new();
        for (service, expected) in &self.expected {
            let fault = |problem: String| Fault { service: service.clone(), problem };
            let mut own = containers.iter().filter(|container| container.service == *service).peekable();
            let missing = self.missing.entry(service.clone()).or_default();
            *missing = if own.peek().is_some() { 0 } else { *missing + 1 };
            if *missing >= MISSES {
                return Verdict::Bad(fault("has no container".to_owned()));
            }
            if *missing > 0 {
                waits_for = Some(fault("has no container".to_owned()));
            }
            for container in own {
                let first = *self.first.entry(container.id.clone()).or_insert(container.restarts);
                match condition(container, expected, first) {
                    Condition::Up => {}
                    Condition::NotYet(problem) => waits_for = Some(fault(problem)),
                    Condition::Failed(problem) => return Verdict::Bad(fault(problem)),
                    Condition::Foreign(problem) => return Verdict::Foreign(fault(problem)),
                }
                look.push((container.id.clone(), container.started_at.clone(), container.restarts));
            }
        }
        look.sort();
        if waits_for.is_some() {
            self.since = None;
        } else if self.since.is_none() || look != self.last {
            self.since = Some(at);
        }
        self.last = look;
        match (self.since, waits_for) {
            (Some(since), _) if at.saturating_sub(since) >= self.settle => Verdict::Good,
            (_, Some(Fault { service, problem })) if at >= self.limit => {
                let problem = format!("{problem}, after {} s", self.limit.as_secs());
                Verdict::Bad(Fault { service, problem })
            }
            // What came up late still gets its settle time.
            (Some(_), _) if at >= self.limit + self.settle => {
                let service = self.expected.keys().next().cloned().unwrap_or_default();
                Verdict::Bad(Fault { service, problem: "the containers do not stay the same".to_owned() })
            }
            _ => Verdict::Pending,
        }
    }
}

enum Condition {
    Up,
    NotYet(String),
    Failed(String),
    Foreign(String),
}

fn condition(container: &Container, expected: &Expected, first: u64) -> Condition {
    let runs = |digest: &Digest| container.image.iter().any(|one| one == digest.as_str());
    if !runs(&expected.digest) {
        let is_old = expected.before.as_ref().is_some_and(runs);
        let names = container.image.first().map_or("an unknown image", String::as_str);
        return if is_old {
            Condition::NotYet(format!("still runs the other image, {names}"))
        } else {
            Condition::Foreign(format!("runs {names}, which another deployment has started"))
        };
    }
    let restarts = container.restarts;
    let crashes = restarts.saturating_sub(first);
    match (&container.state, container.health) {
        (State::Restarting, _) if restarts >= CRASHES => {
            Condition::Failed(format!("keeps crashing (restarted {restarts} times)"))
        }
        _ if crashes >= CRASHES => Condition::Failed(format!("keeps crashing (restarted {crashes} times)")),
        (State::Exited(0), _) if !expected.was_up => Condition::Up,
        (State::Exited(code), _) => Condition::Failed(format!("exited with code {code}")),
        (State::Running, Health::Unhealthy) => Condition::Failed("is unhealthy".to_owned()),
        (State::Running, Health::Starting) => Condition::NotYet("the health check has not succeeded".to_owned()),
        (State::Running, Health::None | Health::Healthy) => Condition::Up,
        (State::Restarting, _) => Condition::NotYet("is restarting".to_owned()),
        (State::Other(state), _) => Condition::NotYet(format!("is {state}, not running")),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::{Container, Expected, Health, Judge, State, Verdict};
    use crate::domain::digest::Digest;

    fn container(service: &str) -> Container {
        Container {
            service: service.into(),
            id: format!("{service}-1"),
            image: vec![Digest::of(b"new").to_string()],
            state: State::Running,
            restarts: 0,
            started_at: "12:00".into(),
            health: Health::None,
        }
    }

    fn judge(was_up: bool) -> Judge {
        let expected = Expected { digest: Digest::of(b"new"), before: Some(Digest::of(b"old")), was_up };
        let expected = BTreeMap::from([("web".to_owned(), expected)]);
        Judge::new(expected, Duration::from_secs(15), Duration::from_mins(1))
    }

    /// The second of the first verdict that is not pending, and the verdict, of samples that are taken each second.
    fn verdict(was_up: bool, sample: impl Fn(u64) -> Vec<Container>) -> (u64, Verdict) {
        let mut judge = judge(was_up);
        for second in 0.. {
            let verdict = judge.see(Duration::from_secs(second), &sample(second));
            if verdict != Verdict::Pending {
                return (second, verdict);
            }
        }
        unreachable!()
    }

    fn problem(was_up: bool, sample: impl Fn(u64) -> Vec<Container>) -> (u64, String) {
        match verdict(was_up, sample) {
            (second, Verdict::Bad(fault)) => (second, fault.problem),
            (second, other) => (second, format!("{other:?}")),
        }
    }

    #[test]
    fn what_stays_up_is_good_after_the_settle_time() {
        assert_eq!(verdict(true, |_| vec![container("web")]), (15, Verdict::Good));
        let late = |second| if second < 4 { Health::Starting } else { Health::Healthy };
        let sample = |second| vec![Container { health: late(second), ..container("web") }];
        assert_eq!(verdict(true, sample), (19, Verdict::Good));
    }

    #[test]
    fn one_restart_starts_the_settle_time_again() {
        let sample = |second: u64| {
            let restarts = u64::from(second >= 10);
            vec![Container { restarts, started_at: format!("{restarts}"), ..container("web") }]
        };
        assert_eq!(verdict(true, sample), (25, Verdict::Good));
        // The same container, started again by hand: the engine does not count that.
        let sample = |second: u64| vec![Container { started_at: format!("{}", second / 10), ..container("web") }];
        assert_eq!(problem(true, sample), (75, "the containers do not stay the same".into()));
    }

    #[test]
    fn crashes() {
        let loops = |second: u64| {
            let state = if second.is_multiple_of(2) { State::Running } else { State::Restarting };
            vec![Container { state, restarts: second / 2, started_at: format!("{second}"), ..container("web") }]
        };
        assert_eq!(problem(true, loops), (6, "keeps crashing (restarted 3 times)".into()));
        let seen_late = |second: u64| {
            let state = if second == 0 { State::Restarting } else { State::Running };
            vec![Container { state, restarts: 7, ..container("web") }]
        };
        assert_eq!(problem(true, seen_late), (0, "keeps crashing (restarted 7 times)".into()));
        let old = |_| vec![Container { restarts: 7, ..container("web") }];
        assert_eq!(verdict(true, old), (15, Verdict::Good), "crashes of last month");
        let exited = |_| vec![Container { state: State::Exited(3), ..container("web") }];
        assert_eq!(problem(true, exited), (0, "exited with code 3".into()));
    }

    #[test]
    fn a_service_that_does_its_work_and_exits_is_fine() {
        let done = |_| vec![Container { state: State::Exited(0), ..container("web") }];
        assert_eq!(verdict(false, done), (15, Verdict::Good));
        assert_eq!(problem(true, done), (0, "exited with code 0".into()), "this one was up before");
    }

    #[test]
    fn health() {
        let sick = |second| {
            let health = if second < 3 { Health::Healthy } else { Health::Unhealthy };
            vec![Container { health, ..container("web") }]
        };
        assert_eq!(problem(true, sick), (3, "is unhealthy".into()));
        let never = |_| vec![Container { health: Health::Starting, ..container("web") }];
        assert_eq!(problem(true, never), (60, "the health check has not succeeded, after 60 s".into()));
    }

    #[test]
    fn only_the_release_counts() {
        let image = |text: &str| vec![Digest::of(text.as_bytes()).to_string()];
        let old = |_| vec![Container { image: image("old"), ..container("web") }];
        let (second, text) = problem(true, old);
        assert!(second == 60 && text.starts_with("still runs the other image"), "{text}");
        let foreign = |second| {
            let image = image(if second < 5 { "new" } else { "newer" });
            vec![Container { image, ..container("web") }]
        };
        assert!(matches!(verdict(true, foreign), (5, Verdict::Foreign(_))));
        let other = |_| vec![container("web"), Container { state: State::Exited(1), ..container("db") }];
        assert_eq!(verdict(true, other), (15, Verdict::Good), "the deployment has not touched it");
        let one_of_two = |_| {
            let second = Container { id: "web-2".into(), state: State::Exited(1), ..container("web") };
            vec![container("web"), second]
        };
        assert_eq!(problem(true, one_of_two), (0, "exited with code 1".into()));
        assert_eq!(problem(true, |_| vec![]), (4, "has no container".into()));
    }
}
