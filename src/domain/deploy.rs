//! The deployment of a release to one target: its steps as they happen, and the report at its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize, Serializer};

use super::digest::Digest;

/// An image that a service runs or is to run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pin {
    /// `repository@digest`. For an image that came from no registry, a tag on the server.
    pub reference: String,
    /// The digest. For an image that came from no registry, its id on the server.
    pub digest: Digest,
}

/// The result of a deployment to one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeployResult {
    /// The target ran this release already. Nothing was changed.
    Unchanged,
    /// The release runs.
    Deployed,
    /// The deployment failed, and what ran before runs: nothing was switched, or the previous release was put back and
    /// proved to run. [`DeployReport::was_switched`] says which.
    FailedRolledBack,
    /// The deployment failed, and the failed release may still run.
    FailedNotRolledBack,
    /// A newer release is deployed, or somebody else deployed meanwhile. Their release was not touched.
    Superseded,
    /// The migration failed. Nothing was switched.
    MigrationFailed,
    /// Another deployment held the lock for too long. Nothing was changed.
    Locked,
    /// The run was cancelled.
    Cancelled,
    /// Nothing was attempted.
    Skipped,
}

impl DeployResult {
    /// Whether the targets after this one may be deployed to.
    pub fn lets_others_follow(self) -> bool {
        match self {
            Self::Unchanged | Self::Deployed | Self::Superseded | Self::Skipped => true,
            Self::FailedRolledBack
            | Self::FailedNotRolledBack
            | Self::MigrationFailed
            | Self::Locked
            | Self::Cancelled => false,
        }
    }
}

/// What a deployment did to one target, complete enough for a reader who does not open the log. Serialized as in the output
/// `deploy-result`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeployReport {
    /// The target's name. Written by the workflow's author.
    pub name: String,
    /// The kind of target, such as `compose`.
    pub kind: &'static str,
    /// The result.
    pub result: DeployResult,
    /// The services that the release has an image for.
    pub services: BTreeMap<String, DeployedService>,
    /// URL of the deployed site.
    pub url: Option<String>,
    /// How long it took.
    #[serde(serialize_with = "seconds")]
    pub duration: Duration,
    /// Why it ended so, in one line; `None` if it went as planned.
    pub reason: Option<String>,
    /// The commands that finish the work if the failed release still runs.
    pub by_hand: Vec<String>,
    /// What to do about it, in the imperative.
    #[serde(skip)]
    pub hint: Option<String>,
    /// Whether any service was switched to the release, even if it was put back.
    #[serde(skip)]
    pub was_switched: bool,
    /// The service that failed.
    #[serde(skip)]
    pub failed_service: Option<String>,
    /// The last lines that it, or the command that failed, printed. Untrusted text, not redacted.
    #[serde(skip)]
    pub log: Vec<String>,
}

impl DeployReport {
    /// What its services run now.
    pub fn runs(&self) -> Runs {
        match self.result {
            DeployResult::Unchanged | DeployResult::Deployed => Runs::Release,
            DeployResult::FailedRolledBack if self.was_switched => Runs::PreviousAgain,
            DeployResult::FailedNotRolledBack => Runs::Unknown,
            DeployResult::Superseded | DeployResult::Cancelled if self.was_switched => Runs::Unknown,
            DeployResult::FailedRolledBack
            | DeployResult::Superseded
            | DeployResult::MigrationFailed
            | DeployResult::Locked
            | DeployResult::Cancelled
            | DeployResult::Skipped => Runs::AsBefore,
        }
    }
}

/// What the services of a target run after a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// The release.
    Release,
    /// What they ran before: they were switched and put back.
    PreviousAgain,
    /// What they ran before: they were not switched.
    AsBefore,
    /// One of both, or what somebody else has started.
    Unknown,
}

/// One service of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeployedService {
    /// The image's name.
    pub image: String,
    /// The digest of the release.
    pub digest: Digest,
    /// What the service ran before; `None` if it did not exist.
    pub previous: Option<Digest>,
}

impl DeployedService {
    /// Whether the release has another image than the one that ran before.
    pub fn changes(&self) -> bool {
        self.previous.as_ref() != Some(&self.digest)
    }
}

/// A step of a deployment, as it happens.
#[derive(Clone, Debug, PartialEq)]
pub enum DeployStep {
    /// The difference between what runs and the release became known. Only services that change.
    Planned(BTreeMap<String, DeployedService>),
    /// An earlier deployment was not finished: this release was switched, or was about to be, and was never proved to run.
    FoundUnfinished(String),
    /// Another deployment holds the lock. The text says who.
    Waiting(String),
    /// The images are fetched, and everything else that the switch needs is put in place.
    Preparing,
    /// What these services run contains the same as their new image. They do not change after all.
    Alike(BTreeSet<String>),
    /// A migration runs.
    Migrating {
        /// The service whose image it runs in.
        service: String,
        /// The command.
        command: String,
    },
    /// The services are switched to the release.
    Switching,
    /// The release runs and is watched.
    Watching,
    /// The release failed, and the previous one is put back.
    RollingBack {
        /// Why.
        reason: String,
    },
    /// The previous release runs again and is watched.
    WatchingPrevious,
    /// Something that does not change the result.
    Warning(String),
    /// It ended.
    Finished(Box<DeployReport>),
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use serde_json::{json, to_value};

    use super::{DeployReport, DeployResult, DeployedService};
    use crate::domain::digest::Digest;

    #[test]
    fn results_have_the_words_of_the_interface() {
        use DeployResult::{
            Cancelled, Deployed, FailedNotRolledBack, FailedRolledBack, Locked, MigrationFailed, Skipped, Superseded,
            Unchanged,
        };
        for (result, word) in [
            (Unchanged, "unchanged"),
            (Deployed, "deployed"),
            (FailedRolledBack, "failed-rolled-back"),
            (FailedNotRolledBack, "failed-not-rolled-back"),
            (Superseded, "superseded"),
            (MigrationFailed, "migration-failed"),
            (Locked, "locked"),
            (Cancelled, "cancelled"),
            (Skipped, "skipped"),
        ] {
            assert_eq!(to_value(result).unwrap(), word);
        }
    }

    #[test]
    fn a_report_is_serialized_as_the_interface_says() {
        let service = DeployedService { image: "django".into(), digest: Digest::of(b"new"), previous: None };
        let report = DeployReport {
            name: "production".into(),
            kind: "compose",
            result: DeployResult::FailedRolledBack,
            services: BTreeMap::from([("web".into(), service)]),
            url: None,
            duration: Duration::from_millis(12_340),
            reason: Some("web: exited with code 3".into()),
            by_hand: vec![],
            hint: Some("not in the output".into()),
            was_switched: true,
            failed_service: Some("web".into()),
            log: vec!["boom".into()],
        };
        let web = json!({"image": "django", "digest": Digest::of(b"new").as_str(), "previous": null});
        let want = json!({
            "name": "production", "kind": "compose", "result": "failed-rolled-back", "services": {"web": web},
            "url": null, "duration": 12.3, "reason": "web: exited with code 3", "by_hand": [],
        });
        assert_eq!(to_value(report).unwrap(), want);
    }
}
