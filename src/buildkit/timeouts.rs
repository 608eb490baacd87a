//! How long a build waits for a cache. BuildKit itself waits forever for a cache service that accepts connections and does
//! not answer. Pure.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;

use super::caches::{CacheStep, NO_ANSWER};

/// Time limit for reading a cache, which reads a few small files. BuildKit limits GitHub's cache service with a separate
/// attribute, of up to 2 minutes.
const IMPORT: Duration = Duration::from_secs(150);
/// Time limit for writing a cache. It takes as long as the layers do, and BuildKit reports only when each begins and ends.
const EXPORT: Duration = Duration::from_mins(10);

/// The time limit of the cache step that is running, if there is one.
#[derive(Debug, Default)]
pub(super) struct CacheTimeout(Option<Wait>);

#[derive(Debug)]
struct Wait {
    step: String,
    limit: Duration,
    since: Instant,
}

impl CacheTimeout {
    /// Records that the daemon reported something at `now`. `running` is the cache step that is running.
    pub(super) fn update(&mut self, running: Option<(CacheStep, &str)>, now: Instant) {
        self.0 = running.map(|(kind, name)| {
            let same = self.0.take().filter(|wait| wait.step == name);
            match (kind, same) {
                // Reports about other steps are not about the cache.
                (CacheStep::Import, Some(wait)) => wait,
                (CacheStep::Import, None) => Wait { step: name.to_owned(), limit: IMPORT, since: now },
                (CacheStep::Export, _) => Wait { step: name.to_owned(), limit: EXPORT, since: now },
            }
        });
    }

    /// The deadline.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.as_ref().map(|wait| wait.since + wait.limit)
    }

    /// The error of a build that waited until the deadline.
    pub(super) fn error(&self) -> Option<Status> {
        let wait = self.0.as_ref()?;
        Some(Status::deadline_exceeded(format!("{}{NO_ANSWER} {} s", wait.step, wait.limit.as_secs())))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{CacheStep, CacheTimeout, EXPORT, IMPORT};
    use crate::buildkit::caches;

    #[test]
    fn only_cache_steps_have_a_deadline() {
        let (import, began) = ("importing cache manifest from r/x:c", Instant::now());
        let later = began + Duration::from_secs(20);
        let mut timeout = CacheTimeout::default();
        timeout.update(None, began);
        assert!(timeout.deadline().is_none() && timeout.error().is_none());
        timeout.update(Some((CacheStep::Import, import)), began);
        timeout.update(Some((CacheStep::Import, import)), later);
        assert_eq!(timeout.deadline(), Some(began + IMPORT), "other steps do not prolong it");
        let error = timeout.error().unwrap();
        assert_eq!(error.message(), "importing cache manifest from r/x:c: no answer within 150 s");
        assert!(!caches::is_cause(error.message()), "to solve again would wait again");
        timeout.update(Some((CacheStep::Export, "exporting cache to registry")), later);
        assert_eq!(timeout.deadline(), Some(later + EXPORT));
        assert!(caches::is_cause(timeout.error().unwrap().message()));
        timeout.update(None, later);
        assert!(timeout.error().is_none());
    }
}
