//! How long a build waits for its caches. BuildKit waits for ever for one that takes connections and does not answer: the
//! preflight asks for a sign of life, this is for what falls silent later. Pure.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;

use super::caches::{self, CacheStep};

/// To read a cache is to read a few small files; GitHub's service may ask for some patience, which is bounded too
/// (`timeout` of `plan/caches.rs`).
const IMPORT: Duration = Duration::from_secs(150);
/// To write one takes as long as its layers do, of which only beginnings and ends are told.
const EXPORT: Duration = Duration::from_mins(10);

/// The wait for a cache, if there is one.
#[derive(Debug, Default)]
pub struct Patience(Option<Wait>);

#[derive(Debug)]
struct Wait {
    step: String,
    limit: Duration,
    since: Instant,
}

impl Patience {
    /// The daemon said something; `running` is the cache step that is running by now.
    pub fn heard(&mut self, running: Option<(CacheStep, &str)>, now: Instant) {
        self.0 = running.map(|(kind, name)| {
            let same = self.0.take().filter(|wait| wait.step == name);
            match (kind, same) {
                // What else goes on says nothing about the service.
                (CacheStep::Import, Some(wait)) => wait,
                (CacheStep::Import, None) => Wait { step: name.to_owned(), limit: IMPORT, since: now },
                (CacheStep::Export, _) => Wait { step: name.to_owned(), limit: EXPORT, since: now },
            }
        });
    }

    /// When it is over.
    pub fn end(&self) -> Option<Instant> {
        self.0.as_ref().map(|wait| wait.since + wait.limit)
    }

    /// The error of a build that waited for so long.
    pub fn verdict(&self) -> Option<Status> {
        let wait = self.0.as_ref()?;
        Some(Status::deadline_exceeded(format!("{}{} {} s", wait.step, caches::SILENT, wait.limit.as_secs())))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{EXPORT, IMPORT, Patience};
    use crate::builder::caches::{self, CacheStep};

    #[test]
    fn only_a_cache_is_waited_for_with_a_limit() {
        let (import, began) = ("importing cache manifest from r/x:c", Instant::now());
        let later = began + Duration::from_secs(20);
        let mut patience = Patience::default();
        patience.heard(None, began);
        assert!(patience.end().is_none() && patience.verdict().is_none());
        patience.heard(Some((CacheStep::Import, import)), began);
        patience.heard(Some((CacheStep::Import, import)), later);
        assert_eq!(patience.end(), Some(began + IMPORT), "other steps do not prolong it");
        let verdict = patience.verdict().unwrap();
        assert_eq!(verdict.message(), "importing cache manifest from r/x:c: no answer within 150 s");
        assert!(!caches::is_about(verdict.message()), "to solve again would wait again");
        patience.heard(Some((CacheStep::Export, "exporting cache to registry")), later);
        assert_eq!(patience.end(), Some(later + EXPORT));
        assert!(caches::is_about(patience.verdict().unwrap().message()));
        patience.heard(None, later);
        assert!(patience.verdict().is_none());
    }
}
