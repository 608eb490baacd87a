//! The field of one deploy target. PURE.

use std::collections::BTreeMap;

use super::{Field, Line, Span, duration};
use crate::domain::{
    deploy::{DeployReport, DeployResult, DeployStep, DeployedService, Runs},
    run::{RunState, TargetState},
};

pub(super) fn target_field(target: &TargetState, run: &RunState) -> Field {
    let (emoji, mut lines) = match &target.step {
        None if run.outcome.is_none() => ("▫️", vec![vec![Span::text("waiting")]]),
        None => ("▫️", vec![vec![Span::text("not deployed")]]),
        Some(DeployStep::Finished(report)) => finished(report),
        Some(step) => ("⏳", vec![progress(step)]),
    };
    lines.extend(match target.report() {
        Some(report) => changes(&report.services, report.runs()),
        None => changes(&target.services, Runs::Release),
    });
    Field { emoji: emoji.into(), name: target.name.clone(), lines }
}

fn progress(step: &DeployStep) -> Line {
    match step {
        DeployStep::Planned(_) | DeployStep::Preparing | DeployStep::Alike(_) => vec![Span::text("preparing")],
        DeployStep::Waiting(holder) => vec![Span::text("waiting for another deployment: "), Span::text(holder)],
        DeployStep::Migrating { service, command } => {
            vec![Span::text("migrating: "), Span::code(format!("{service}: {command}"))]
        }
        DeployStep::Switching => vec![Span::text("switching")],
        DeployStep::Watching => vec![Span::text("switched, watching")],
        DeployStep::RollingBack { reason } => vec![Span::text("rolling back: "), Span::text(reason)],
        DeployStep::WatchingPrevious => vec![Span::text("rolled back, watching")],
        // They do not become the current step.
        DeployStep::FoundUnfinished(_) | DeployStep::Warning(_) | DeployStep::Finished(_) => Line::new(),
    }
}

fn finished(report: &DeployReport) -> (&'static str, Vec<Line>) {
    let (emoji, words) = match report.result {
        DeployResult::Unchanged => ("✅", "unchanged"),
        DeployResult::Deployed => ("✅", "deployed"),
        DeployResult::FailedRolledBack if report.was_switched => ("↩️", "failed, rolled back"),
        DeployResult::FailedRolledBack => ("❌", "failed, nothing was switched"),
        DeployResult::FailedNotRolledBack => ("🚨", "failed and NOT rolled back"),
        DeployResult::Superseded => ("⏭️", "superseded by a newer release"),
        DeployResult::MigrationFailed => ("❌", "migration failed, nothing was switched"),
        DeployResult::Locked => ("🔒", "locked by another deployment"),
        DeployResult::Cancelled => ("⏹️", "cancelled"),
        DeployResult::Skipped => ("⏭️", "skipped"),
    };
    let mut first = vec![Span::text(format!("{words} · {}", duration(report.duration)))];
    if let Some(url) = &report.url {
        first.extend([Span::text(" · "), Span::Link("open".to_owned(), url.clone())]);
    }
    let mut lines = vec![first];
    lines.extend(report.reason.as_ref().map(|reason| vec![Span::text(reason)]));
    if let Some((first, rest)) = report.by_hand.split_first() {
        lines.push(vec![Span::text("continue by hand: "), Span::code(first)]);
        lines.extend(rest.iter().map(|command| vec![Span::code(command)]));
    }
    (emoji, lines)
}

/// The services that change, in one line for all that change alike: messages show few lines. After a deployment that failed,
/// a line says what the services run instead.
fn changes(services: &BTreeMap<String, DeployedService>, runs: Runs) -> Vec<Line> {
    let mut alike: Vec<(&DeployedService, Vec<&str>)> = Vec::new();
    for (name, service) in services.iter().filter(|(_, service)| service.changes()) {
        let is_alike =
            |other: &DeployedService| (&other.previous, &other.digest) == (&service.previous, &service.digest);
        match alike.iter_mut().find(|(other, _)| is_alike(other)) {
            Some((_, names)) => names.push(name),
            None => alike.push((service, vec![name])),
        }
    }
    let line = |(service, names): (&DeployedService, Vec<&str>)| {
        let mut line = vec![Span::text(format!("{}: ", names.join(", ")))];
        let new = Span::code(service.digest.short());
        let old = service.previous.as_ref().map(|previous| Span::code(previous.short()));
        line.extend(match (runs, old) {
            (Runs::Release, Some(old)) => vec![old, Span::text(" → "), new],
            (Runs::Release, None) => vec![new],
            (Runs::PreviousAgain, Some(old)) => vec![old, Span::text(" again, not "), new],
            (Runs::PreviousAgain, None) => vec![Span::text("removed again, not "), new],
            (Runs::AsBefore, _) => vec![Span::text("not switched to "), new],
            (Runs::Unknown, Some(old)) => vec![old, Span::text(" or "), new],
            (Runs::Unknown, None) => vec![Span::text("possibly "), new],
        });
        line
    };
    alike.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use chrono::DateTime;

    use super::target_field;
    use crate::{
        domain::{
            deploy::{DeployReport, DeployResult, DeployStep, DeployedService},
            digest::Digest,
            event::Event,
            failure::Failure,
            outcome::RunOutcome,
            run::{RunInfo, RunState, TargetState, Work},
            stage::Stage,
        },
        notify::message::{Message, Phase, Span},
    };

    fn report(result: DeployResult, was_switched: bool) -> DeployReport {
        let service =
            DeployedService { image: "django".into(), digest: Digest::of(b"new"), previous: Some(Digest::of(b"old")) };
        let by_hand =
            if result == DeployResult::FailedNotRolledBack { vec!["docker compose up".into()] } else { vec![] };
        DeployReport {
            name: "production".into(),
            kind: "compose",
            result,
            services: BTreeMap::from([("web".into(), service.clone()), ("worker".into(), service)]),
            url: Some("https://shop.example".into()),
            duration: Duration::from_secs(4),
            reason: Some("web: exited with code 3".into()),
            by_hand,
            hint: None,
            was_switched,
            failed_service: None,
            log: Vec::new(),
        }
    }

    fn ended(report: DeployReport) -> RunState {
        let mut state = RunState::new(RunInfo::default(), DateTime::UNIX_EPOCH);
        state.targets = vec![TargetState::new("production")];
        let step = DeployStep::Finished(Box::new(report));
        let failure = Failure::new(Stage::Deploy, "no", None);
        for event in [
            Event::StageStarted(Stage::Deploy),
            Event::Deploy { target: "production".into(), step },
            Event::Finished(RunOutcome::Failure(Box::new(failure))),
        ] {
            state.apply(&event, DateTime::UNIX_EPOCH);
        }
        state
    }

    #[test]
    fn a_rollback_on_request_is_no_deployment_of_the_newest_commit() {
        let of = |work, result| {
            let mut state = ended(report(result, true));
            state.work = work;
            state.info.actor = "octocat".into();
            state.outcome = Some((RunOutcome::Success, Duration::ZERO));
            let message = Message::of(&state);
            (message.status, message.intro.iter().map(|line| text(line)).collect::<Vec<_>>().join("|"))
        };
        let (status, intro) = of(Work::Rollback, DeployResult::Deployed);
        assert_eq!(status, "rolled back on request");
        assert!(intro.contains("requested a rollback") && intro.ends_with("|An earlier release runs again"), "{intro}");
        let (status, intro) = of(Work::Deploy, DeployResult::Deployed);
        assert!(status == "succeeded" && intro.ends_with("|Deployed"), "{status} {intro}");
    }

    fn text(spans: &[Span]) -> String {
        let one = |span: &Span| match span {
            Span::Text(text)
            | Span::Strong(text)
            | Span::Code(text)
            | Span::CodeLink(text, _)
            | Span::Link(text, _) => text.clone(),
            Span::Ago(_) => String::new(),
        };
        spans.iter().map(one).collect()
    }

    #[test]
    fn every_end_of_a_deployment_has_its_own_phase_and_words() {
        use DeployResult::{FailedNotRolledBack, FailedRolledBack, MigrationFailed};
        let [old, new] = ["old", "new"].map(|content| Digest::of(content.as_bytes()).short().to_owned());
        let [again, or] = [format!("{old} again, not {new}"), format!("{old} or {new}")];
        let not = format!("not switched to {new}");
        for (result, switched, phase, words, runs) in [
            (FailedRolledBack, true, Phase::RolledBack, "failed, rolled back · 4.0s · open", &again),
            (FailedRolledBack, false, Phase::Failed, "failed, nothing was switched · 4.0s · open", &not),
            (MigrationFailed, false, Phase::Failed, "migration failed, nothing was switched · 4.0s · open", &not),
            (FailedNotRolledBack, true, Phase::RollbackFailed, "failed and NOT rolled back · 4.0s · open", &or),
        ] {
            let state = ended(report(result, switched));
            let message = Message::of(&state);
            assert_eq!(message.phase, phase, "{result:?}");
            let lines: Vec<String> = message.fields[0].lines.iter().map(|line| text(line)).collect();
            assert_eq!((lines[0].as_str(), lines[1].as_str()), (words, "web: exited with code 3"));
            let by_hand = lines.iter().any(|line| line == "continue by hand: docker compose up");
            assert_eq!(by_hand, result == FailedNotRolledBack);
            assert_eq!(lines.last(), Some(&format!("web, worker: {runs}")));
        }
    }

    #[test]
    fn steps_are_shown_as_they_happen() {
        let mut target = TargetState::new("production");
        let run = RunState::new(RunInfo::default(), DateTime::UNIX_EPOCH);
        let shown = |target: &TargetState| text(&target_field(target, &run).lines[0]);
        assert_eq!(shown(&target), "waiting");
        for (step, want) in [
            (DeployStep::Preparing, "preparing"),
            (DeployStep::Waiting("bob".into()), "waiting for another deployment: bob"),
            (DeployStep::Switching, "switching"),
            (DeployStep::RollingBack { reason: "web: exited".into() }, "rolling back: web: exited"),
        ] {
            target.step = Some(step);
            assert_eq!(shown(&target), want);
        }
    }
}
