//! The deployments of a run in words, for the log and the summary.

use crate::domain::{
    deploy::{DeployReport, DeployResult, DeployStep, DeployedService, Runs},
    digest::Digest,
};

/// Returns the lines of the log for a step.
pub fn step_lines(target: &str, step: &DeployStep) -> Vec<String> {
    let line = |text: String| vec![format!("{target}: {text}")];
    match step {
        DeployStep::Planned(services) if services.is_empty() => line("runs this release already".to_owned()),
        DeployStep::Planned(services) => services
            .iter()
            .map(|(name, service)| format!("{target}: {}", change(name, service, Runs::Release)))
            .collect(),
        DeployStep::FoundUnfinished(release) => line(format!("the deployment of release {release} was not finished")),
        DeployStep::Waiting(holder) => line(format!("waiting for another deployment ({holder})")),
        DeployStep::Preparing => line("preparing the images".to_owned()),
        DeployStep::Alike(services) => {
            let names: Vec<&str> = services.iter().map(String::as_str).collect();
            line(format!("not replaced, because only labels of the image differ: {}", names.join(", ")))
        }
        DeployStep::Migrating { service, command } => line(format!("migrating: {service}: {command}")),
        DeployStep::Switching => line("switching".to_owned()),
        DeployStep::Watching => line("watching the new release".to_owned()),
        DeployStep::RollingBack { reason } => line(format!("rolling back: {reason}")),
        DeployStep::WatchingPrevious => line("watching the previous release".to_owned()),
        DeployStep::Warning(text) => line(format!("warning: {text}")),
        DeployStep::Finished(report) => {
            // The difference in the first lines is what was to run.
            let differs = matches!(report.runs(), Runs::PreviousAgain | Runs::Unknown);
            let services = report.services.iter().filter(|(_, service)| differs && service.changes());
            let lines = services.map(|(name, service)| format!("{target}: {}", change(name, service, report.runs())));
            lines.chain([result_line(report)]).collect()
        }
    }
}

/// A service with its old and new digest: `web: sha256:1a2b… → sha256:3c4d…`, or what it runs instead.
pub(super) fn change(name: &str, service: &DeployedService, runs: Runs) -> String {
    let new = service.digest.short();
    match (runs, service.previous.as_ref().map(Digest::short)) {
        (_, Some(old)) if old == new => format!("{name}: {new} (unchanged)"),
        (Runs::Release, Some(old)) => format!("{name}: {old} → {new}"),
        (Runs::Release, None) => format!("{name}: {new} (new)"),
        (Runs::PreviousAgain, Some(old)) => format!("{name}: {old} again, not {new}"),
        (Runs::PreviousAgain, None) => format!("{name}: removed again, not {new}"),
        (Runs::AsBefore, _) => format!("{name}: not switched to {new}"),
        (Runs::Unknown, Some(old)) => format!("{name}: {old} or {new}"),
        (Runs::Unknown, None) => format!("{name}: possibly {new}"),
    }
}

fn result_line(report: &DeployReport) -> String {
    let mark = match report.result {
        DeployResult::Skipped => "–",
        result if result.lets_others_follow() => "✓",
        _ => "✗",
    };
    let mut text = format!("{mark} {}: {}", report.name, words(report));
    if let Some(reason) = &report.reason {
        text = format!("{text}: {reason}");
    }
    format!("{text}, {}", super::human::duration(report.duration))
}

/// The result in words.
pub fn words(report: &DeployReport) -> &'static str {
    match report.result {
        DeployResult::Unchanged => "unchanged",
        DeployResult::Deployed => "deployed",
        DeployResult::FailedRolledBack if report.was_switched => "failed, rolled back",
        DeployResult::FailedRolledBack => "failed, nothing was switched",
        DeployResult::FailedNotRolledBack => "failed, NOT rolled back",
        DeployResult::Superseded => "superseded",
        DeployResult::MigrationFailed => "migration failed, nothing was switched",
        DeployResult::Locked => "locked by another deployment",
        DeployResult::Cancelled => "cancelled",
        DeployResult::Skipped => "skipped",
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::step_lines;
    use crate::domain::{
        deploy::{DeployReport, DeployResult, DeployStep, DeployedService},
        digest::Digest,
    };

    #[test]
    fn the_end_says_what_runs() {
        use DeployResult::{Cancelled, Deployed, FailedNotRolledBack, FailedRolledBack, MigrationFailed, Superseded};
        let [old, new] = ["old", "new"].map(|content| Digest::of(content.as_bytes()));
        let service = |previous| DeployedService { image: "django".into(), digest: new.clone(), previous };
        let services = BTreeMap::from([
            ("db".to_owned(), service(Some(new.clone()))),
            ("job".to_owned(), service(None)),
            ("web".to_owned(), service(Some(old.clone()))),
        ]);
        let lines = |result, was_switched| {
            let report = DeployReport {
                name: "production".into(),
                kind: "compose",
                result,
                services: services.clone(),
                url: None,
                duration: Duration::from_secs(4),
                reason: None,
                by_hand: Vec::new(),
                hint: None,
                was_switched,
                failed_service: None,
                log: Vec::new(),
            };
            step_lines("production", &DeployStep::Finished(Box::new(report)))
        };
        let (old, new) = (old.short(), new.short());
        let again = [
            format!("production: job: removed again, not {new}"),
            format!("production: web: {old} again, not {new}"),
            "✗ production: failed, rolled back, 4.0s".to_owned(),
        ];
        assert_eq!(lines(FailedRolledBack, true), again);
        let unknown = [
            format!("production: job: possibly {new}"),
            format!("production: web: {old} or {new}"),
            "✗ production: failed, NOT rolled back, 4.0s".to_owned(),
        ];
        assert_eq!(lines(FailedNotRolledBack, true), unknown);
        assert_eq!(lines(Cancelled, true)[..2], unknown[..2]);
        for (result, was_switched) in [
            (Deployed, true),
            (FailedRolledBack, false),
            (MigrationFailed, false),
            (Superseded, false),
            (Cancelled, false),
        ] {
            assert_eq!(lines(result, was_switched).len(), 1, "{result:?}");
        }
    }
}
