//! The releases that a server remembers, and what of them it keeps. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    deploy::{
        plan::Plan,
        release::{Content, Release, ServiceImage},
    },
    domain::{deploy::DeployResult, digest::Digest},
};

/// How many releases are remembered; of most of them only this line.
const REMEMBERED: usize = 100;

/// A line of `releases.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) time: String,
    pub(super) commit: String,
    pub(super) actor: String,
    pub(super) run_url: String,
    pub(super) result: DeployResult,
    /// Whether it put back an earlier release.
    #[serde(default)]
    pub(super) is_rollback: bool,
    /// Everything that is pinned, also what this release did not change.
    pub(super) services: BTreeMap<String, ServiceImage>,
    /// What changed, and the way back, of a release that failed and was not rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) left: Option<Plan>,
}

impl Record {
    /// The release, to be deployed again.
    pub(super) fn release(&self) -> Release {
        Release {
            id: self.id.clone(),
            commit: self.commit.clone(),
            actor: self.actor.clone(),
            run_url: self.run_url.clone(),
            content: Content::Services(self.services.clone()),
        }
    }
}

/// The records in a file. A line that another version wrote is skipped.
pub(super) fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<Record> {
    lines.into_iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The file with these records.
pub(super) fn render(records: &[Record]) -> String {
    let last = &records[records.len().saturating_sub(REMEMBERED)..];
    last.iter().filter_map(|record| serde_json::to_string(record).ok()).map(|line| line + "\n").collect()
}

/// Whether the release runs after a deployment with this result.
pub(super) fn runs(result: DeployResult) -> bool {
    matches!(result, DeployResult::Deployed | DeployResult::Unchanged)
}

/// The releases that were deployed, the newest first. Each id once.
pub(super) fn deployed(records: &[Record]) -> Vec<&Record> {
    let mut seen = BTreeSet::new();
    let deployed = records.iter().rev().filter(|record| runs(record.result));
    deployed.filter(|record| seen.insert(&record.id)).collect()
}

/// The newest deployed releases, whose files and images are kept.
pub(super) fn kept(records: &[Record], keep: usize) -> Vec<&Record> {
    deployed(records).into_iter().take(keep.max(1)).collect()
}

/// What still runs of the last deployment that failed and was not rolled back. Its own note is gone once a later deployment
/// ended before it switched anything.
pub(super) fn left_running(records: &[Record], runs: impl Fn(&str, &Digest) -> bool) -> Option<Plan> {
    let since = records.iter().rev().take_while(|record| !self::runs(record.result));
    let mut plan = since.into_iter().find_map(|record| record.left.clone())?;
    plan.changes.retain(|service, change| runs(service, &change.next.digest));
    (!plan.changes.is_empty()).then_some(plan)
}

/// Images that are not needed any more.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rubbish {
    /// References of images.
    pub(super) images: BTreeSet<String>,
    /// Digests of the same images.
    pub(super) digests: BTreeSet<String>,
}

/// The images that are not needed once the newest `keep` deployed releases are kept.
pub(super) fn rubbish(records: &[Record], keep: usize) -> Rubbish {
    let kept = kept(records, keep);
    let pins = |record: &Record| record.services.values().map(|service| service.pin.clone()).collect::<Vec<_>>();
    let needed: BTreeSet<_> = kept.iter().flat_map(|record| pins(record)).collect();
    let mut rubbish = Rubbish::default();
    for record in records {
        for pin in pins(record).into_iter().filter(|pin| !needed.contains(pin)) {
            // Another name of an image that is needed stays out of this.
            if !needed.iter().any(|one| one.digest == pin.digest) {
                rubbish.digests.insert(pin.digest.to_string());
            }
            rubbish.images.insert(pin.reference);
        }
    }
    rubbish
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Record, deployed, left_running, parse, render, rubbish};
    use crate::{
        deploy::{
            plan::{Change, Plan},
            release::ServiceImage,
        },
        domain::{
            deploy::{DeployResult, Pin},
            digest::Digest,
        },
    };

    fn record(id: &str, content: &str, result: DeployResult) -> Record {
        let digest = Digest::of(content.as_bytes());
        let pin = Pin { reference: format!("x/y@{digest}"), digest };
        Record {
            id: id.into(),
            time: String::new(),
            commit: String::new(),
            actor: String::new(),
            run_url: String::new(),
            result,
            is_rollback: false,
            services: BTreeMap::from([("web".into(), ServiceImage { image: "web".into(), pin })]),
            left: None,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let records = [record("1", "a", DeployResult::Deployed), record("2", "b", DeployResult::FailedRolledBack)];
        let text = render(&records);
        assert_eq!(parse(text.lines().chain(["garbage", ""])), records);
        let many: Vec<Record> = (0..150).map(|n| record(&n.to_string(), "a", DeployResult::Deployed)).collect();
        assert_eq!(render(&many).lines().count(), 100);
    }

    #[test]
    fn only_what_no_kept_release_needs_is_removed() {
        use DeployResult::{Deployed, FailedRolledBack, Unchanged};
        let records = [
            record("1", "a", Unchanged),
            record("2", "b", Deployed),
            record("3", "bad", FailedRolledBack),
            record("4", "a", Deployed),
            record("5", "c", Deployed),
        ];
        let ids: Vec<&str> = deployed(&records).iter().map(|record| record.id.as_str()).collect();
        assert_eq!(ids, ["5", "4", "2", "1"]);
        let rubbish = rubbish(&records, 2);
        let digests: Vec<&String> = rubbish.digests.iter().collect();
        assert_eq!(digests.len(), 2, "b and bad; a is in release 4");
        assert!(!rubbish.digests.contains(Digest::of(b"a").as_str()));
    }

    #[test]
    fn the_way_back_from_a_release_that_stayed_is_that_of_its_own_plan() {
        use DeployResult::{Deployed, FailedNotRolledBack, FailedRolledBack, MigrationFailed};
        let pin = |content: &str| record("", content, Deployed).services["web"].pin.clone();
        let change = Change { image: "web".into(), next: pin("bad"), previous: Some(pin("by hand")), was_up: false };
        let plan = Plan { release: "2".into(), changes: [("web".into(), change)].into(), same: BTreeMap::new() };
        let left = |records: &[Record], running: &str| {
            let running = Digest::of(running.as_bytes());
            left_running(records, |service, digest| service == "web" && *digest == running)
        };
        let good = record("1", "a", Deployed);
        let bad = Record { left: Some(plan.clone()), ..record("2", "bad", FailedNotRolledBack) };
        let migration = record("3", "c", MigrationFailed);
        assert_eq!(left(&[good.clone(), bad.clone(), migration.clone()], "bad"), Some(plan.clone()));
        assert_eq!(left(&[good.clone(), bad.clone(), migration.clone()], "a"), None, "put back by hand");
        assert_eq!(left(&[bad.clone(), migration], "bad"), Some(plan), "there was no good release");
        assert_eq!(left(&[good.clone(), bad.clone(), record("3", "c", FailedRolledBack)], "a"), None);
        assert_eq!(left(&[good, bad, record("3", "bad", Deployed)], "bad"), None, "it was proved to run later");
    }
}
