//! The deployments of a run in words, for the log and the summary.

use crate::domain::{
    deploy::{DeployReport, DeployResult, DeployStep, DeployedService},
    digest::Digest,
};

/// Returns the lines of the log for a step.
pub fn step_lines(target: &str, step: &DeployStep) -> Vec<String> {
    let line = |text: String| vec![format!("{target}: {text}")];
    match step {
        DeployStep::Planned(services) if services.is_empty() => line("runs this release already".to_owned()),
        DeployStep::Planned(services) => {
            services.iter().map(|(name, service)| format!("{target}: {}", change(name, service))).collect()
        }
        DeployStep::FoundUnfinished(release) => line(format!("the deployment of release {release} was not finished")),
        DeployStep::Waiting(holder) => line(format!("waiting for another deployment ({holder})")),
        DeployStep::Preparing => line("preparing the images".to_owned()),
        DeployStep::Migrating { service, command } => line(format!("migrating: {service}: {command}")),
        DeployStep::Switching => line("switching".to_owned()),
        DeployStep::Watching => line("watching the new release".to_owned()),
        DeployStep::RollingBack { reason } => line(format!("rolling back: {reason}")),
        DeployStep::WatchingPrevious => line("watching the previous release".to_owned()),
        DeployStep::Warning(text) => line(format!("warning: {text}")),
        DeployStep::Finished(report) => vec![result_line(report)],
    }
}

/// A service with its old and new digest: `web: sha256:1a2b… → sha256:3c4d…`.
pub(super) fn change(name: &str, service: &DeployedService) -> String {
    let new = service.digest.short();
    match service.previous.as_ref().map(Digest::short) {
        Some(old) if old == new => format!("{name}: {new} (unchanged)"),
        Some(old) => format!("{name}: {old} → {new}"),
        None => format!("{name}: {new} (new)"),
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
        DeployResult::Triggered => "triggered",
        DeployResult::Skipped => "skipped",
    }
}
