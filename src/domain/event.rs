//! What happens in a run, told once. The log, the chat messages, the annotations and the job summary
//! are all drawn from this one stream ([`crate::domain::run::RunState`] is its fold).

use std::time::Duration;

use super::{
    diagnostic::Diagnostic, digest::Digest, failure::Failure, history::History, outcome::RunOutcome,
    publication::Publication, secret::Secret, stage::Stage,
};

/// One thing that happened. Sent in order through [`crate::events::Events`], which redacts every text in it.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A stage of the run began.
    StageStarted(Stage),
    /// Something happened while an image was built or pushed; `image` is the image's name in the plan.
    Image {
        /// The image's name in the plan.
        image: String,
        /// What happened to it.
        event: ImageEvent,
    },
    /// Something the user should know that does not fail the run.
    Diagnostic(Diagnostic),
    /// A secret that became known during the run. The log masks it from then on.
    SecretLearned(Secret),
    /// Something that stands in the log and nowhere else.
    Note(String),
    /// It became known how the runs before this one ended.
    History(History),
    /// The branch has a newer commit, this one, whose image is in the registry: the tags that move stay where they are.
    Superseded(String),
    /// It became known where this job, or its very step, can be looked at: a page on GitHub's own server.
    JobUrl(String),
    /// The run ended.
    Finished(RunOutcome),
}

/// What happens to one image.
#[derive(Clone, Debug, PartialEq)]
pub enum ImageEvent {
    /// Its build began.
    Started,
    /// A build step began. `step` is unique in the image's build.
    StepStarted {
        /// The step's id.
        step: StepId,
        /// BuildKit's name for it, such as `[2/5] RUN pip install …`.
        name: String,
    },
    /// A whole line of a step's output, without its end of line.
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
        /// How.
        outcome: StepOutcome,
        /// How long it really ran.
        duration: Duration,
    },
    /// Its layers are on their way to the registry.
    Pushing,
    /// A request to the builder or the registry failed and will be sent again.
    Retrying {
        /// What went wrong.
        reason: String,
        /// The number of the try that comes, from 2.
        attempt: u32,
        /// How long we wait before it.
        wait: Duration,
    },
    /// It is built and, where it is to be pushed, uploaded: its registry has it under its digest, and no tag points to
    /// it yet. An engine with the classic store uploads together with the first tag instead.
    Finished(Box<ImageResult>),
    /// It became known what its first tag pointed to before the run; where nothing is pushed, what the branch has that a
    /// pull request is for.
    Compared(Previous),
    /// Its tags were moved, or not: this says so of each. The last that is told of an image that is pushed.
    Published(Box<Publication>),
    /// It could not be built or pushed.
    Failed(Box<Failure>),
    /// Its build was stopped because another image failed or the run was cancelled.
    Cancelled,
}

/// Number of a step within one image's build, in order of appearance.
pub type StepId = usize;

/// How a build step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// It ran.
    Done,
    /// Its result was in the build cache.
    Cached,
    /// It failed with this message.
    Failed(String),
    /// It was stopped.
    Cancelled,
}

/// What came out of an image's build.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageResult {
    /// The digest that a registry serves it under; without a push, the engine's; `None` if it was built only to see
    /// whether it builds, and before an engine with the classic store has uploaded it.
    pub digest: Option<Digest>,
    /// Compressed bytes of its layers and configuration, if known.
    pub size: Option<u64>,
    /// Whether its registry has it, under its digest.
    pub uploaded: bool,
    /// Whether its tags point to it. Set when it is published.
    pub pushed: bool,
    /// Whether the digest differs from what its first tag pointed to before; `None` if unknown.
    pub changed: Option<bool>,
    /// Platforms it was built for.
    pub platforms: Vec<String>,
    /// Dockerfile steps, and how many of them came from the cache.
    pub steps: usize,
    /// Steps that came from the cache.
    pub cached: usize,
    /// How long its build and upload took; moving the tags does not count.
    pub duration: Duration,
}

/// The image that an image is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    /// Its digest; `None` if there is no such image.
    pub digest: Option<Digest>,
    /// Its compressed bytes, if they are known.
    pub size: Option<u64>,
}
