//! The events of a run. The log, the chat messages, the annotations and the job summary are all rendered from this
//! single stream ([`crate::domain::run::RunState`] accumulates it).

use std::time::Duration;

use super::{
    deploy::DeployStep, diagnostic::Diagnostic, digest::Digest, failure::Failure, history::History,
    outcome::RunOutcome, publication::Publication, secret::Secret, stage::Stage,
};

/// An event of a run. Events are sent in order through [`crate::events::Events`], which redacts every text in them.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A stage of the run started.
    StageStarted(Stage),
    /// An event in the build or push of an image.
    Image {
        /// The image's name in the plan.
        image: String,
        /// The event.
        event: ImageEvent,
    },
    /// A step of the deployment to a target.
    Deploy {
        /// The target's name.
        target: String,
        /// The step.
        step: DeployStep,
    },
    /// A message for the user that does not make the run fail.
    Diagnostic(Diagnostic),
    /// A secret that was learned during the run. The log masks it from then on.
    SecretLearned(Secret),
    /// A text that is shown only in the log.
    Note(String),
    /// The outcomes of the earlier runs are known.
    History(History),
    /// The image of a newer commit of the branch, with this hash, is already in the registry, so the moving tags are
    /// not moved.
    Superseded(String),
    /// The URL of this job or step on GitHub's own server is known.
    JobUrl(String),
    /// The run ended.
    Finished(RunOutcome),
}

/// An event of one image.
#[derive(Clone, Debug, PartialEq)]
pub enum ImageEvent {
    /// The build started.
    Started,
    /// A build step started. `step` is unique within the image's build.
    StepStarted {
        /// The step's id.
        step: StepId,
        /// BuildKit's name of the step, such as `[2/5] RUN pip install …`.
        name: String,
    },
    /// A complete line of a step's output, without its line end.
    StepLog {
        /// The step's id.
        step: StepId,
        /// The line. Untrusted text.
        line: String,
    },
    /// A step ended.
    StepFinished {
        /// The step's id.
        step: StepId,
        /// The outcome.
        outcome: StepOutcome,
        /// The time for which it actually ran.
        duration: Duration,
    },
    /// The upload of its layers to the registry started.
    Pushing,
    /// A request to the builder or the registry failed and will be repeated.
    Retrying {
        /// The problem.
        reason: String,
        /// The number of the next attempt, from 2.
        attempt: u32,
        /// The time to wait before the next attempt.
        wait: Duration,
    },
    /// The image is built and, if it is pushed, uploaded: its registry has it under its digest, but no tag points to it
    /// yet. An engine with the classic image store uploads it together with the first tag instead.
    Finished(Box<ImageResult>),
    /// The image that its first tag pointed to before the run is known. If nothing is pushed, the image is compared
    /// with that of the branch that a pull request is for.
    Compared(Previous),
    /// The results of moving its tags, for each tag. This is the last event of an image that is pushed.
    Published(Box<Publication>),
    /// Its build or push failed.
    Failed(Box<Failure>),
    /// Its build was stopped because another image failed or the run was cancelled.
    Cancelled,
}

/// Number of a step within an image's build, in order of appearance.
pub type StepId = usize;

/// The outcome of a build step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// It succeeded.
    Done,
    /// Its result was in the build cache.
    Cached,
    /// It failed with this message.
    Failed(String),
    /// It was cancelled.
    Cancelled,
}

/// The result of an image's build.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageResult {
    /// The digest under which a registry serves the image. Without a push, the engine's digest. `None` if the image was
    /// only built as a test, and before an engine with the classic image store has uploaded it.
    pub digest: Option<Digest>,
    /// Compressed size of its layers and configuration in bytes, if known.
    pub size: Option<u64>,
    /// Whether its registry has it under its digest.
    pub uploaded: bool,
    /// Whether its tags point to it. Set when the tags are published.
    pub pushed: bool,
    /// Its names in the engine's image store, if it was loaded.
    pub loaded: Vec<String>,
    /// Whether its digest differs from the previous one of its first tag; `None` if unknown.
    pub changed: Option<bool>,
    /// The platforms for which it was built.
    pub platforms: Vec<String>,
    /// Number of Dockerfile steps, including those from the cache.
    pub steps: usize,
    /// Number of Dockerfile steps from the cache.
    pub cached: usize,
    /// Duration of the build and upload, without moving the tags.
    pub duration: Duration,
}

/// The image that an image is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    /// Its digest; `None` if there is no such image.
    pub digest: Option<Digest>,
    /// Its compressed size in bytes, if known.
    pub size: Option<u64>,
}
