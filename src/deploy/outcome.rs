//! What the reports of all targets mean for the run.

use crate::domain::{
    deploy::{DeployReport, DeployResult},
    failure::{Blame, Failure, Subject},
    stage::Stage,
};

/// How the deployments of a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Every target runs the release, or a newer one.
    Good,
    /// The run was stopped.
    Stopped,
    /// A deployment failed.
    Failed(Box<Failure>),
}

/// Judges the reports of a run, and returns the failures besides that of the verdict. The worst failure decides, of equal
/// ones the first. A stop decides if nothing failed.
pub fn verdict(reports: &[DeployReport]) -> (Verdict, Vec<Failure>) {
    let mut failed: Vec<&DeployReport> = reports.iter().filter(|report| !report.result.lets_others_follow()).collect();
    failed.sort_by_key(|report| match report.result {
        DeployResult::FailedNotRolledBack => 0,
        DeployResult::Cancelled => 2,
        _ => 1,
    });
    let mut failed = failed.into_iter();
    let verdict = match failed.next() {
        None => Verdict::Good,
        Some(report) if report.result == DeployResult::Cancelled => Verdict::Stopped,
        Some(report) => Verdict::Failed(Box::new(failure(report))),
    };
    let others = failed.filter(|report| report.result != DeployResult::Cancelled).map(failure).collect();
    (verdict, others)
}

fn failure(report: &DeployReport) -> Failure {
    let is_said = report.reason.as_ref().is_some_and(|reason| reason.ends_with("nothing was switched"));
    let end = match report.result {
        DeployResult::FailedRolledBack if report.was_switched => "; rolled back to the previous release",
        DeployResult::FailedRolledBack | DeployResult::MigrationFailed if !is_said => "; nothing was switched",
        DeployResult::FailedNotRolledBack => "; the failed release was NOT rolled back",
        _ => "",
    };
    let reason = report.reason.as_deref().unwrap_or("the deployment failed");
    let hint = if report.by_hand.is_empty() {
        report.hint.clone()
    } else {
        Some(format!("continue by hand: {}", report.by_hand.join("; ")))
    };
    let blame = match report.result {
        DeployResult::FailedNotRolledBack => Blame::BadRelease,
        _ => Blame::World,
    };
    let last = report.log.len().saturating_sub(Failure::LOG_LINES);
    Failure {
        blame,
        subject: Subject::Target(report.name.clone()),
        log: report.log.iter().skip(last).cloned().collect(),
        ..Failure::new(Stage::Deploy, format!("{reason}{end}"), hint)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::{Verdict, verdict};
    use crate::domain::{
        deploy::{DeployReport, DeployResult},
        failure::Blame,
    };

    fn report(name: &str, result: DeployResult, was_switched: bool) -> DeployReport {
        DeployReport {
            name: name.into(),
            kind: "compose",
            result,
            services: BTreeMap::new(),
            url: None,
            duration: Duration::ZERO,
            reason: Some("web: exited with code 3".into()),
            by_hand: if result == DeployResult::FailedNotRolledBack {
                vec!["cd /srv".into(), "up".into()]
            } else {
                vec![]
            },
            hint: None,
            was_switched,
            failed_service: None,
            log: vec!["boom".into()],
        }
    }

    #[test]
    fn the_worst_failure_decides() {
        use DeployResult::{Cancelled, Deployed, FailedNotRolledBack, FailedRolledBack, MigrationFailed, Skipped};
        let of = |results: &[(DeployResult, bool)]| {
            let reports: Vec<DeployReport> =
                results.iter().enumerate().map(|(i, (result, on))| report(&format!("t{i}"), *result, *on)).collect();
            verdict(&reports).0
        };
        assert_eq!(of(&[(Deployed, true), (Skipped, false)]), Verdict::Good);
        assert_eq!(of(&[(Cancelled, false)]), Verdict::Stopped);
        let several = [(MigrationFailed, false), (Cancelled, true), (FailedNotRolledBack, true)];
        assert!(
            matches!(of(&several), Verdict::Failed(failure) if failure.blame == Blame::BadRelease && failure.target() == Some("t2"))
        );
        let reports = several.map(|(result, switched)| report("x", result, switched));
        let [other] = &verdict(&reports).1[..] else { panic!("the migration failed, too") };
        assert_eq!(other.headline, "web: exited with code 3; nothing was switched");
        for (result, switched, headline, blame) in [
            (FailedRolledBack, true, "web: exited with code 3; rolled back to the previous release", Blame::World),
            (FailedRolledBack, false, "web: exited with code 3; nothing was switched", Blame::World),
            (MigrationFailed, false, "web: exited with code 3; nothing was switched", Blame::World),
            (
                FailedNotRolledBack,
                true,
                "web: exited with code 3; the failed release was NOT rolled back",
                Blame::BadRelease,
            ),
        ] {
            let Verdict::Failed(failure) = of(&[(Deployed, true), (result, switched), (Skipped, false)]) else {
                panic!("{result:?} is no failure");
            };
            assert_eq!((failure.headline.as_str(), failure.blame), (headline, blame));
            assert_eq!((failure.target(), failure.log.as_slice()), (Some("t1"), &["boom".to_owned()][..]));
            let by_hand = failure.hint.is_some_and(|hint| hint.contains("cd /srv; up"));
            assert_eq!(by_hand, result == FailedNotRolledBack);
        }
    }
}
