//! What a run was doing when its time limit was exceeded. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{
    deploy::DeployResult,
    diagnostic::{Diagnostic, Severity},
    publication::TagState,
    run::{ImageState, ImageStatus, RunState, TargetState},
    stage::Stage,
};

/// Maximum number of steps that are named for each image.
const MOST: usize = 3;
/// Maximum length of a step's name, in characters.
const LONGEST: usize = 160;

/// Returns the error of a run that timed out at `now`, before [`super::event::Event::Finished`] is applied to its state. It
/// names the step that each image and target was in.
pub fn timed_out(run: &RunState, now: DateTime<Utc>) -> Diagnostic {
    let elapsed = (now - run.started).to_std().unwrap_or_default();
    let all: Vec<String> = match run.stage {
        Stage::Plan | Stage::Preflight => Vec::new(),
        Stage::Build => run.images.iter().flat_map(|image| building(image, elapsed)).collect(),
        Stage::Publish => run.images.iter().filter_map(publishing).collect(),
        Stage::Deploy => run.targets.iter().filter_map(deploying).collect(),
    };
    let problem = "the run took longer than the input `timeout` allows";
    let message = if all.is_empty() {
        format!("{problem}; it was in the stage {}", run.stage.word())
    } else {
        format!("{problem}; it was still in these steps:\n{}", all.join("\n"))
    };
    Diagnostic { severity: Severity::Error, title: "timeout".to_owned(), message, place: None }
}

/// Returns the steps of a build that were running. Without any, the daemon has not begun it, or waits for another image.
fn building(image: &ImageState, elapsed: Duration) -> Vec<String> {
    let since = |began: Duration| elapsed.saturating_sub(began).as_secs();
    let name = &image.name;
    match image.status {
        ImageStatus::Waiting => vec![format!("{name}: waiting to start")],
        ImageStatus::Pushing => {
            let time = image.pushing.map_or_else(String::new, |began| format!(" (for {} s)", since(began)));
            vec![format!("{name}: uploading to {}{time}", image.destinations.repository.host())]
        }
        ImageStatus::Building => {
            let running = image.steps.iter().filter(|step| step.outcome.is_none());
            let mut lines: Vec<String> = running
                .take(MOST)
                .map(|step| format!("{name}: {} (for {} s)", shortened(&step.name), since(step.began)))
                .collect();
            if lines.is_empty() {
                lines.push(format!("{name}: between two steps, such as while a base image is pulled"));
            }
            lines
        }
        ImageStatus::Done(_) | ImageStatus::Failed(_) | ImageStatus::Cancelled => Vec::new(),
    }
}

fn publishing(image: &ImageState) -> Option<String> {
    let ImageStatus::Done(result) = &image.status else { return None };
    let publication = image.publication.as_ref();
    let is_settled = |state: &TagState| matches!(state, TagState::Moved | TagState::Unchanged | TagState::Kept);
    if publication.is_some_and(|one| one.tags.iter().all(|tag| is_settled(&tag.state))) {
        return None;
    }
    let host = image.destinations.repository.host();
    let is_uploaded = result.digest.is_some() || publication.is_some_and(|one| one.digest.is_some());
    let step = if is_uploaded { "moving its tags in" } else { "uploading to" };
    Some(format!("{}: {step} {host}", image.name))
}

fn deploying(target: &TargetState) -> Option<String> {
    let step = match target.report() {
        Some(report) if report.result == DeployResult::Cancelled => report.reason.as_deref().unwrap_or("deploying"),
        None if target.step.is_some() => "deploying",
        _ => return None,
    };
    Some(format!("{}: {step}", target.name))
}

/// The beginning of a step's name, in one line.
fn shortened(name: &str) -> String {
    let line = name.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::timed_out;
    use crate::domain::{
        destinations::Destinations,
        digest::Digest,
        event::{Event, ImageEvent, ImageResult, StepOutcome},
        publication::{Publication, TagResult, TagState},
        repository::Repository,
        run::{ImageState, RunInfo, RunState},
        stage::Stage,
    };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn state(images: &[&str]) -> RunState {
        let mut state = RunState::new(RunInfo::default(), at(0));
        let image = |name: &&str| {
            let repository = Repository::parse(&format!("ghcr.io/acme/{name}")).unwrap();
            let destinations = Destinations { repository, copies: Vec::new(), tags: Vec::new() };
            ImageState::waiting((*name).to_owned(), Vec::new(), destinations, true)
        };
        state.images = images.iter().map(image).collect();
        state
    }

    fn steps(state: &RunState, now: i64) -> Vec<String> {
        timed_out(state, at(now)).message.lines().skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn the_running_steps_of_each_image_are_named() {
        let mut state = state(&["web", "docs", "api", "worker"]);
        let message = |state: &RunState| timed_out(state, at(9)).message;
        assert!(message(&state).ends_with("; it was in the stage plan"), "{}", message(&state));
        state.apply(&Event::StageStarted(Stage::Build), at(1));
        let mut apply = |image: &str, second, event| {
            state.apply(&Event::Image { image: image.to_owned(), event }, at(second));
        };
        for image in ["web", "docs", "api"] {
            apply(image, 2, ImageEvent::Started);
        }
        for (step, name) in [(0, "[1/2] FROM x"), (1, "[2/2] RUN make \\\n    all")] {
            apply("web", 3, ImageEvent::StepStarted { step, name: name.to_owned() });
        }
        let done = std::time::Duration::from_secs(1);
        apply("web", 4, ImageEvent::StepFinished { step: 0, outcome: StepOutcome::Done, duration: done });
        apply("docs", 5, ImageEvent::Pushing);
        assert_eq!(
            steps(&state, 63),
            [
                "web: [2/2] RUN make \\ all (for 60 s)",
                "docs: uploading to ghcr.io (for 58 s)",
                "api: between two steps, such as while a base image is pulled",
                "worker: waiting to start"
            ]
        );
    }

    #[test]
    fn an_upload_of_the_engine_and_tags_are_named_while_they_move() {
        let mut state = state(&["web", "docs", "done"]);
        state.apply(&Event::StageStarted(Stage::Publish), at(1));
        let digest: Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let result = |uploaded: bool| ImageResult {
            digest: uploaded.then(|| digest.clone()),
            size: None,
            uploaded,
            pushed: false,
            loaded: Vec::new(),
            changed: None,
            platforms: Vec::new(),
            steps: 0,
            cached: 0,
            duration: std::time::Duration::ZERO,
        };
        for (image, uploaded) in [("web", false), ("docs", true), ("done", true)] {
            let event = ImageEvent::Finished(Box::new(result(uploaded)));
            state.apply(&Event::Image { image: image.to_owned(), event }, at(2));
        }
        let publish = |image: &str, tag: TagState| Event::Image {
            image: image.to_owned(),
            event: ImageEvent::Published(Box::new(Publication {
                digest: Some(digest.clone()),
                changed: None,
                size: None,
                tags: vec![TagResult { repository: "ghcr.io/acme/x".to_owned(), tag: "main".to_owned(), state: tag }],
            })),
        };
        state.apply(&publish("docs", TagState::NotMoved), at(3));
        state.apply(&publish("done", TagState::Moved), at(3));
        assert_eq!(steps(&state, 9), ["web: uploading to ghcr.io", "docs: moving its tags in ghcr.io"]);
    }
}
