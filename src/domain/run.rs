//! The model of one run that every renderer draws: the fold of all [`Event`]s so far.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{
    deployment::Deployment,
    destinations::Destinations,
    diagnostic::Diagnostic,
    event::{Event, ImageEvent, ImageResult, Previous, StepId, StepOutcome},
    failure::Failure,
    history::{Change, History},
    outcome::RunOutcome,
    publication::Publication,
    stage::Stage,
};

/// Who and what started the run, and where it can be looked at. All texts but the URLs are untrusted:
/// an author of a commit or of a fork's pull request chooses them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunInfo {
    /// `owner/name`.
    pub repository: String,
    /// Name of the workflow.
    pub workflow: String,
    /// Who pushed.
    pub actor: String,
    /// Event name, such as `push`.
    pub event_name: String,
    /// Short name of the branch or tag, or `#7` for a pull request.
    pub ref_name: String,
    /// 40 hex digits of the commit that is built; empty if unknown.
    pub sha: String,
    /// First line of the commit message or the pull request's title; empty if unknown.
    pub subject: String,
    /// The run, at this attempt: what the titles of all messages link to.
    pub run_url: String,
    /// This job, if its id is known; else the run.
    pub job_url: String,
    /// The commit on the server, or empty.
    pub commit_url: String,
}

/// The run so far.
#[derive(Clone, Debug, PartialEq)]
pub struct RunState {
    /// Who, what, where.
    pub info: RunInfo,
    /// When it began.
    pub started: DateTime<Utc>,
    /// The stage it is in.
    pub stage: Stage,
    /// The images, in the plan's order.
    pub images: Vec<ImageState>,
    /// What the user should know, in order of appearance.
    pub diagnostics: Vec<Diagnostic>,
    /// How the runs before this one ended; `None` while that is not known.
    pub history: Option<History>,
    /// The newer commit of the branch for whose sake the tags that move stayed where they are.
    pub superseded: Option<String>,
    /// What was deployed where.
    pub deployments: Vec<Deployment>,
    /// How it ended, and after how long; `None` while it runs.
    pub outcome: Option<(RunOutcome, Duration)>,
}

/// One image so far.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageState {
    /// Name in the plan.
    pub name: String,
    /// Compose services that run it.
    pub services: Vec<String>,
    /// Its repositories and tags.
    pub destinations: Destinations,
    /// Whether the run is to move these tags.
    pub publishes: bool,
    /// Where it stands.
    pub status: ImageStatus,
    /// Its steps, by [`StepId`].
    pub steps: Vec<StepState>,
    /// When its upload began, since the run began; `None` before.
    pub pushing: Option<Duration>,
    /// When its build ended, in whatever way, since the run began; `None` before.
    pub ended: Option<Duration>,
    /// What its first tag pointed to before the run, or what it is compared with where nothing is pushed; `None` while
    /// that is unknown.
    pub previous: Option<Previous>,
    /// What became of its tags; `None` before they were touched.
    pub publication: Option<Publication>,
}

/// Where an image stands.
#[derive(Clone, Debug, PartialEq)]
pub enum ImageStatus {
    /// Not begun.
    Waiting,
    /// Being built.
    Building,
    /// Being uploaded.
    Pushing,
    /// Built and, where it is to be pushed, uploaded.
    Done(Box<ImageResult>),
    /// Failed.
    Failed(Box<Failure>),
    /// Stopped.
    Cancelled,
}

/// One build step so far.
#[derive(Clone, Debug, PartialEq)]
pub struct StepState {
    /// BuildKit's name for it.
    pub name: String,
    /// When it began, since the run began.
    pub began: Duration,
    /// How it ended and how long it ran; `None` while it runs.
    pub outcome: Option<(StepOutcome, Duration)>,
}

impl RunState {
    /// A run that has just begun and knows nothing of its images yet.
    pub fn new(info: RunInfo, started: DateTime<Utc>) -> Self {
        Self {
            info,
            started,
            stage: Stage::Plan,
            images: Vec::new(),
            diagnostics: Vec::new(),
            history: None,
            superseded: None,
            deployments: Vec::new(),
            outcome: None,
        }
    }

    /// Takes in what happened at `now`. An event about an unknown image or step changes nothing.
    pub fn apply(&mut self, event: &Event, now: DateTime<Utc>) {
        match event {
            Event::StageStarted(stage) => self.stage = *stage,
            Event::Diagnostic(diagnostic) => self.diagnostics.push(diagnostic.clone()),
            Event::Note(_) | Event::SecretLearned(_) => {}
            Event::History(history) => self.history = Some(*history),
            Event::Superseded(head) => self.superseded = Some(head.clone()),
            Event::JobUrl(url) => self.info.job_url.clone_from(url),
            Event::Finished(outcome) => {
                let elapsed = (now - self.started).to_std().unwrap_or_default();
                for image in &mut self.images {
                    if matches!(image.status, ImageStatus::Waiting | ImageStatus::Building | ImageStatus::Pushing) {
                        image.status = ImageStatus::Cancelled;
                    }
                }
                self.outcome = Some((outcome.clone(), elapsed));
            }
            Event::Image { image, event } => {
                if let Some(state) = self.images.iter_mut().find(|i| i.name == *image) {
                    state.apply(event, (now - self.started).to_std().unwrap_or_default());
                }
            }
        }
    }

    /// What the end of this run changes; `None` if nothing, while it runs, and while the runs before are not known.
    pub fn change(&self) -> Option<Change> {
        let before = self.history?.failures;
        match (&self.outcome.as_ref()?.0, before) {
            (RunOutcome::Success, 0) | (RunOutcome::Cancelled, _) => None,
            (RunOutcome::Success, _) => Some(Change::Fixed),
            (RunOutcome::Failure(_) | RunOutcome::TimedOut, 0) => Some(Change::Broke),
            (RunOutcome::Failure(_) | RunOutcome::TimedOut, _) => Some(Change::StillFailing(before.saturating_add(1))),
        }
    }

    /// The failure that ended the run, if it failed.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.outcome {
            Some((RunOutcome::Failure(failure), _)) => Some(failure),
            _ => None,
        }
    }
}

impl ImageState {
    fn apply(&mut self, event: &ImageEvent, elapsed: Duration) {
        match event {
            ImageEvent::Pushing => self.pushing = self.pushing.or(Some(elapsed)),
            ImageEvent::Finished(_) | ImageEvent::Failed(_) | ImageEvent::Cancelled => self.ended = Some(elapsed),
            _ => {}
        }
        match event {
            // The classic store uploads when all images are built.
            ImageEvent::Retrying { .. } | ImageEvent::Pushing if matches!(self.status, ImageStatus::Done(_)) => {}
            ImageEvent::Started | ImageEvent::Retrying { .. } => self.status = ImageStatus::Building,
            ImageEvent::Pushing => self.status = ImageStatus::Pushing,
            ImageEvent::Compared(previous) => self.previous = Some(previous.clone()),
            ImageEvent::Published(publication) => self.publish(publication),
            ImageEvent::Finished(result) => self.status = ImageStatus::Done(result.clone()),
            ImageEvent::Failed(failure) => self.status = ImageStatus::Failed(failure.clone()),
            ImageEvent::Cancelled => self.status = ImageStatus::Cancelled,
            ImageEvent::StepLog { .. } => {}
            ImageEvent::StepStarted { step, name } => {
                // Steps are numbered in order of appearance, so a new one is always the next.
                if *step == self.steps.len() {
                    self.steps.push(StepState { name: name.clone(), began: elapsed, outcome: None });
                }
            }
            ImageEvent::StepFinished { step, outcome, duration } => {
                if let Some(state) = self.steps.get_mut(*step) {
                    state.outcome = Some((outcome.clone(), *duration));
                }
            }
        }
    }

    fn publish(&mut self, publication: &Publication) {
        if let ImageStatus::Done(result) = &mut self.status {
            result.pushed = publication.is_complete() && publication.published().next().is_some();
            result.uploaded |= publication.published().next().is_some();
            result.digest = publication.digest.clone().or_else(|| result.digest.take());
            result.changed = publication.changed;
            result.size = result.size.or(publication.size);
        }
        self.publication = Some(publication.clone());
    }

    /// Steps that are a Dockerfile instruction (`[2/5] …`, `[build 1/3] …`), which is what people count,
    /// not BuildKit's own (`[internal] …`, `exporting …`).
    pub fn dockerfile_steps(&self) -> impl Iterator<Item = (StepId, &StepState)> {
        self.steps.iter().enumerate().filter(|(_, step)| is_dockerfile_step(&step.name))
    }
}

/// Whether a vertex name is a Dockerfile instruction: `[n/m] …`, `[stage n/m] …`, `[platform stage n/m] …`.
pub fn is_dockerfile_step(name: &str) -> bool {
    let Some((head, _)) = name.strip_prefix('[').and_then(|rest| rest.split_once(']')) else { return false };
    let Some((number, total)) = head.rsplit(' ').next().and_then(|last| last.split_once('/')) else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits(number.trim()) && digits(total)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;

    use super::{Change, Failure, History, RunInfo, RunOutcome, RunState, Stage, is_dockerfile_step};

    #[test]
    fn tells_what_the_end_of_a_run_changes() {
        let failure = || RunOutcome::Failure(Box::new(Failure::new(Stage::Build, "no", None)));
        let change = |failures: Option<u32>, outcome: Option<RunOutcome>| {
            let mut state = RunState::new(RunInfo::default(), DateTime::UNIX_EPOCH);
            state.history = failures.map(|failures| History { failures });
            state.outcome = outcome.map(|outcome| (outcome, Duration::ZERO));
            state.change()
        };
        assert_eq!(change(Some(0), Some(failure())), Some(Change::Broke));
        assert_eq!(change(Some(1), Some(failure())), Some(Change::StillFailing(2)));
        assert_eq!(change(Some(2), Some(RunOutcome::TimedOut)), Some(Change::StillFailing(3)));
        assert_eq!(change(Some(2), Some(RunOutcome::Success)), Some(Change::Fixed));
        for (failures, outcome) in [
            (None, Some(failure())),
            (Some(1), None),
            (Some(0), Some(RunOutcome::Success)),
            (Some(1), Some(RunOutcome::Cancelled)),
        ] {
            assert_eq!(change(failures, outcome), None);
        }
    }

    #[test]
    fn tells_instructions_from_buildkits_own_steps() {
        for yes in [
            "[1/5] FROM docker.io/library/python",
            "[build 3/4] RUN make",
            "[linux/arm64 base 2/2] COPY . .",
            "[ 2/12] RUN x",
        ] {
            assert!(is_dockerfile_step(yes), "{yes}");
        }
        for no in [
            "[internal] load build context",
            "exporting to image",
            "[auth] library/python:pull token",
            "importing cache manifest from x",
        ] {
            assert!(!is_dockerfile_step(no), "{no}");
        }
    }
}
