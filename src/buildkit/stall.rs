//! Notices that a build waits for a registry: BuildKit waits without an end, and tells nothing while it does. Pure.

use std::{collections::HashMap, time::Duration};

use bollard_buildkit_proto::moby::buildkit::v1::VertexStatus;
use tokio::time::Instant;

use super::steps::StepId;

/// How long a step may wait before that is told; each further notice takes twice as long.
const FIRST: Duration = Duration::from_mins(1);

/// What a step is waiting for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// An answer, or more of a download, from this registry.
    Registry(String),
    /// The end of the image's upload. BuildKit does not tell how far uploads are.
    Upload,
}

/// The transfers that a step tells of.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    /// Bytes that came so far, by what is transferred.
    open: HashMap<String, i64>,
    changes: u64,
}

impl Transfers {
    /// Takes in what the step tells.
    pub(super) fn take(&mut self, status: &VertexStatus) {
        if !status.id.starts_with(LAYER) && !status.id.starts_with(UPLOAD) {
            return;
        }
        let change = if status.completed.is_some() {
            self.open.remove(&status.id).is_some()
        } else {
            self.open.insert(status.id.clone(), status.current) != Some(status.current)
        };
        self.changes += u64::from(change);
    }

    /// How many changes there were: a number that stays the same while nothing is transferred.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    fn has(&self, prefix: &str) -> bool {
        self.open.keys().any(|id| id.starts_with(prefix))
    }
}

const LAYER: &str = "sha256:";
const UPLOAD: &str = "pushing ";

/// What the step `name` waits for, if it is a registry.
pub(super) fn wait(name: &str, transfers: &Transfers) -> Option<Wait> {
    if transfers.has(UPLOAD) {
        return Some(Wait::Upload);
    }
    let image = name.split_once("] load metadata for ").or_else(|| name.split_once("] FROM "));
    match image {
        Some((_, image)) => Some(Wait::Registry(registry_of(image).to_owned())),
        None => transfers.has(LAYER).then(|| Wait::Registry("the registry of the base image".to_owned())),
    }
}

/// The registry in an image's name as BuildKit writes it.
fn registry_of(image: &str) -> &str {
    let first = image.split('/').next().unwrap_or_default();
    if image.contains('/') && (first.contains(['.', ':']) || first == "localhost") { first } else { "docker.io" }
}

/// The steps that wait, and since when.
#[derive(Debug, Default)]
pub(super) struct Stalls(HashMap<StepId, Stall>);

#[derive(Debug)]
struct Stall {
    wait: Wait,
    changes: u64,
    since: Instant,
    told: u32,
}

impl Stalls {
    /// Takes in which steps wait now, for what, and how many changes their transfers have seen.
    pub(super) fn update(&mut self, waiting: Vec<(StepId, Wait, u64)>, now: Instant) {
        let mut known = std::mem::take(&mut self.0);
        for (step, wait, changes) in waiting {
            let same = known.remove(&step).filter(|stall| stall.changes == changes && stall.wait == wait);
            self.0.insert(step, same.unwrap_or(Stall { wait, changes, since: now, told: 0 }));
        }
    }

    /// When there may be something to tell.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(Stall::next).min()
    }

    /// What is to be told now: how long which step has been waiting for what.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(StepId, Wait, Duration)> {
        let mut due = Vec::new();
        for (step, stall) in &mut self.0 {
            if stall.next() <= now {
                stall.told += 1;
                due.push((*step, stall.wait.clone(), now - stall.since));
            }
        }
        due.sort_by_key(|(step, ..)| *step);
        due
    }
}

impl Stall {
    fn next(&self) -> Instant {
        self.since + FIRST * 2_u32.saturating_pow(self.told)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bollard_buildkit_proto::{google::protobuf::Timestamp, moby::buildkit::v1::VertexStatus};
    use tokio::time::Instant;

    use super::{Stalls, Transfers, Wait, wait};

    fn status(id: &str, current: i64, ended: bool) -> VertexStatus {
        let completed = ended.then(Timestamp::default);
        VertexStatus { id: id.into(), current, completed, ..VertexStatus::default() }
    }

    #[test]
    fn only_registries_are_waited_for() {
        let none = Transfers::default();
        let registry = |host: &str| Some(Wait::Registry(host.to_owned()));
        for (name, host) in [
            ("[internal] load metadata for ghcr.io/o/base:1", "ghcr.io"),
            ("[linux/arm64 internal] load metadata for docker.io/library/python:3", "docker.io"),
            ("[build 1/2] FROM localhost:5000/base@sha256:ab", "localhost:5000"),
            ("[1/2] FROM library/python", "docker.io"),
        ] {
            assert_eq!(wait(name, &none), registry(host), "{name}");
        }
        for name in ["[2/3] RUN sleep 1000", "[internal] load build context", "exporting to image"] {
            assert_eq!(wait(name, &none), None, "{name}");
        }
        let mut transfers = Transfers::default();
        transfers.take(&status("exporting layers", 0, false));
        assert_eq!(wait("exporting to image", &transfers), None);
        transfers.take(&status("pushing layers", 0, false));
        assert_eq!(wait("exporting to image", &transfers), Some(Wait::Upload));
        transfers.take(&status("pushing layers", 0, true));
        assert_eq!(wait("exporting to image", &transfers), None);
        transfers.take(&status("sha256:ab", 5, false));
        assert!(wait("[2/2] COPY x /", &transfers).is_some());
    }

    #[test]
    fn a_transfer_that_goes_on_is_no_stall() {
        let mut transfers = Transfers::default();
        for (current, changes) in [(5, 1), (5, 1), (6, 2)] {
            transfers.take(&status("sha256:ab", current, false));
            assert_eq!(transfers.changes(), changes, "{current}");
        }
    }

    #[test]
    fn a_stall_is_told_after_a_minute_and_then_less_and_less_often() {
        let (began, second) = (Instant::now(), Duration::from_secs(1));
        let mut stalls = Stalls::default();
        let waiting = |changes| vec![(3, Wait::Upload, changes)];
        let mut told = Vec::new();
        for passed in 0..400 {
            let now = began + second * passed;
            // Something moves after 10 s, and never again.
            stalls.update(waiting(u64::from(passed >= 10)), now);
            told.extend(stalls.due(now).into_iter().map(|(step, _, time)| (step, passed, time.as_secs())));
        }
        assert_eq!(told, [(3, 70, 60), (3, 130, 120), (3, 250, 240)]);
        assert_eq!(stalls.next(), Some(began + second * 490));
        stalls.update(Vec::new(), began);
        assert_eq!(stalls.next(), None);
    }
}
