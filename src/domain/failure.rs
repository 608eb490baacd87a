//! Why a run failed.

use super::{diagnostic::Place, stage::Stage};

/// Why a run failed, complete enough for a reader who does not open the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Who has to act.
    pub blame: Blame,
    /// The stage that failed.
    pub stage: Stage,
    /// The part of the run that failed.
    pub subject: Subject,
    /// What went wrong, in one line.
    pub headline: String,
    /// What to do about it, in the imperative.
    pub hint: Option<String>,
    /// Where in the repository.
    pub place: Option<Place>,
    /// The Dockerfile instruction at `place`, as written.
    pub instruction: Option<String>,
    /// Exit code of the command that failed.
    pub exit_code: Option<i64>,
    /// The last lines of the failing step's output, at most [`Failure::LOG_LINES`]. Untrusted text.
    pub log: Vec<String>,
}

/// Who has to act on a failure. The exit status of the program follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The inputs or the project's files are invalid; nothing was started.
    Input,
    /// A build, a network or a service failed.
    World,
}

/// The part of a run that a failure is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The run as a whole.
    Run,
    /// The image of this name in the plan.
    Image(String),
}

impl Failure {
    /// Maximum number of lines kept of a failing step's output.
    pub const LOG_LINES: usize = 40;

    /// A failure of the run as a whole, which is about no file.
    pub fn new(stage: Stage, headline: impl Into<String>, hint: Option<String>) -> Self {
        Self {
            blame: Blame::World,
            stage,
            subject: Subject::Run,
            headline: headline.into(),
            hint,
            place: None,
            instruction: None,
            exit_code: None,
            log: Vec::new(),
        }
    }

    /// The inputs or the project's files are invalid, so nothing was started.
    pub fn invalid(stage: Stage, headline: impl Into<String>, hint: Option<String>) -> Self {
        Self { blame: Blame::Input, ..Self::new(stage, headline, hint) }
    }

    /// The same failure, about one image.
    #[must_use]
    pub fn of_image(self, name: impl Into<String>) -> Self {
        Self { subject: Subject::Image(name.into()), ..self }
    }

    /// Returns the name of the image that failed, if the failure is about one.
    pub fn image(&self) -> Option<&str> {
        match &self.subject {
            Subject::Image(name) => Some(name),
            Subject::Run => None,
        }
    }
}
