//! The state of a run, which every renderer uses: the accumulation of all [`Event`]s so far.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};

use super::{
    deploy::{DeployReport, DeployStep, DeployedService},
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

/// The cause of the run, and links to it. All texts except the URLs are untrusted, because the author of a commit or of
/// a fork's pull request chooses them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunInfo {
    /// `owner/name`.
    pub repository: String,
    /// Name of the workflow.
    pub workflow: String,
    /// The user who triggered the run.
    pub actor: String,
    /// Name of the event, such as `push`.
    pub event_name: String,
    /// Short name of the branch or tag, or `#7` for a pull request.
    pub ref_name: String,
    /// 40 hex digits of the commit that is built; empty if unknown.
    pub sha: String,
    /// First line of the commit message or the pull request's title; empty if unknown.
    pub subject: String,
    /// URL of this attempt of the run. The titles of all messages link to it.
    pub run_url: String,
    /// URL of this job, or of the run if the job's id is unknown.
    pub job_url: String,
    /// URL of the commit, or empty.
    pub commit_url: String,
}

/// What a run does after its plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Work {
    /// The whole pipeline.
    #[default]
    Pipeline,
    /// Deploys images that exist.
    Deploy,
    /// Puts back an earlier release.
    Rollback,
}

/// The state of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunState {
    /// What it does.
    pub work: Work,
    /// The cause of the run, and links to it.
    pub info: RunInfo,
    /// The time at which it started.
    pub started: DateTime<Utc>,
    /// The current stage.
    pub stage: Stage,
    /// The images, in the plan's order.
    pub images: Vec<ImageState>,
    /// Messages for the user, in order of appearance.
    pub diagnostics: Vec<Diagnostic>,
    /// The outcomes of the earlier runs; `None` if unknown.
    pub history: Option<History>,
    /// The newer commit of the branch because of which the moving tags were not moved.
    pub superseded: Option<String>,
    /// The deploy targets, in the plan's order.
    pub targets: Vec<TargetState>,
    /// The GitHub deployments.
    pub deployments: Vec<Deployment>,
    /// The outcome and the duration; `None` while the run is in progress.
    pub outcome: Option<(RunOutcome, Duration)>,
}

/// The state of one deploy target.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetState {
    /// The target's name.
    pub name: String,
    /// The latest step; `None` before the first one.
    pub step: Option<DeployStep>,
    /// The services that change, once they are known.
    pub services: BTreeMap<String, DeployedService>,
}

impl TargetState {
    /// Creates the state of a target that was not deployed to yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), step: None, services: BTreeMap::new() }
    }

    /// Creates the state of a target from its report.
    pub fn finished(report: DeployReport) -> Self {
        Self { step: Some(DeployStep::Finished(Box::new(report.clone()))), ..Self::new(report.name) }
    }

    /// Returns the report, once the deployment has ended.
    pub fn report(&self) -> Option<&DeployReport> {
        match &self.step {
            Some(DeployStep::Finished(report)) => Some(report),
            _ => None,
        }
    }

    fn apply(&mut self, step: &DeployStep) {
        match step {
            DeployStep::Planned(services) => self.services.clone_from(services),
            DeployStep::Alike(services) => self.services.retain(|name, _| !services.contains(name)),
            // They do not replace the step that is in progress.
            DeployStep::Warning(_) | DeployStep::FoundUnfinished(_) => return,
            _ => {}
        }
        self.step = Some(step.clone());
    }
}

/// The state of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageState {
    /// Name in the plan.
    pub name: String,
    /// Compose services that run the image.
    pub services: Vec<String>,
    /// The repositories and tags.
    pub destinations: Destinations,
    /// Whether the run should move these tags.
    pub publishes: bool,
    /// The progress of its build.
    pub status: ImageStatus,
    /// The steps, indexed by [`StepId`].
    pub steps: Vec<StepState>,
    /// The time from the start of the run to the start of the upload; `None` before that.
    pub pushing: Option<Duration>,
    /// The time from the start of the run to the end of the build, with any outcome; `None` before that.
    pub ended: Option<Duration>,
    /// The image that its first tag pointed to before the run, or the image to compare it with if nothing is pushed;
    /// `None` if unknown.
    pub previous: Option<Previous>,
    /// The results for its tags; `None` before publication.
    pub publication: Option<Publication>,
}

impl ImageState {
    /// The state of an image before its build. `publishes` says whether the run should move its tags.
    pub fn waiting(name: String, services: Vec<String>, destinations: Destinations, publishes: bool) -> Self {
        Self {
            name,
            services,
            destinations,
            publishes,
            status: ImageStatus::Waiting,
            steps: Vec::new(),
            pushing: None,
            ended: None,
            previous: None,
            publication: None,
        }
    }
}

/// The progress of an image.
#[derive(Clone, Debug, PartialEq)]
pub enum ImageStatus {
    /// Not started.
    Waiting,
    /// Being built.
    Building,
    /// Being uploaded.
    Pushing,
    /// Built and, if it is pushed, uploaded.
    Done(Box<ImageResult>),
    /// Failed.
    Failed(Box<Failure>),
    /// Cancelled.
    Cancelled,
}

/// The state of one build step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepState {
    /// BuildKit's name of the step.
    pub name: String,
    /// The time from the start of the run to the start of the step.
    pub began: Duration,
    /// The outcome and the duration; `None` while the step is running.
    pub outcome: Option<(StepOutcome, Duration)>,
}

impl RunState {
    /// Creates the state of a run that has just started and has no images.
    pub fn new(info: RunInfo, started: DateTime<Utc>) -> Self {
        Self {
            work: Work::default(),
            info,
            started,
            stage: Stage::Plan,
            images: Vec::new(),
            diagnostics: Vec::new(),
            history: None,
            superseded: None,
            targets: Vec::new(),
            deployments: Vec::new(),
            outcome: None,
        }
    }

    /// Applies an event that occurred at `now`. An event about an unknown image or step has no effect.
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
            Event::Deploy { target, step } => {
                if let Some(state) = self.targets.iter_mut().find(|state| state.name == *target) {
                    state.apply(step);
                }
            }
            Event::Image { image, event } => {
                if let Some(state) = self.images.iter_mut().find(|i| i.name == *image) {
                    state.apply(event, (now - self.started).to_std().unwrap_or_default());
                }
            }
        }
    }

    /// Returns how the outcome differs from the previous run's. `None` if it does not differ, if the run is in
    /// progress, or if the earlier runs are unknown.
    pub fn change(&self) -> Option<Change> {
        let History { failures: before, succeeded } = self.history?;
        match (&self.outcome.as_ref()?.0, before) {
            (RunOutcome::Success, 0) | (RunOutcome::Cancelled, _) => None,
            (RunOutcome::Success, _) => Some(Change::Fixed),
            (RunOutcome::Failure(_) | RunOutcome::TimedOut, 0) => succeeded.then_some(Change::Broke),
            (RunOutcome::Failure(_) | RunOutcome::TimedOut, _) => Some(Change::StillFailing(before.saturating_add(1))),
        }
    }

    /// Returns the failure that ended the run, if it failed.
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
            // The classic image store uploads after all images are built.
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

    /// Returns the steps for Dockerfile instructions (`[2/5] …`, `[build 1/3] …`), which are shown to users, without
    /// BuildKit's internal steps (`[internal] …`, `exporting …`).
    pub fn dockerfile_steps(&self) -> impl Iterator<Item = (StepId, &StepState)> {
        self.steps.iter().enumerate().filter(|(_, step)| is_dockerfile_step(&step.name))
    }
}

/// Whether a step's name is that of a Dockerfile instruction: `[n/m] …`, `[stage n/m] …`, `[platform stage n/m] …`.
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
            state.history = failures.map(|failures| History { failures, succeeded: true });
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
