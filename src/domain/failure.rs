//! The cause of a failed run.

use super::{diagnostic::Place, stage::Stage};

/// The cause of a failed run, complete enough for a reader who does not open the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The party that must fix it.
    pub blame: Blame,
    /// The stage that failed.
    pub stage: Stage,
    /// The part of the run that failed.
    pub subject: Subject,
    /// The problem, in one line.
    pub headline: String,
    /// How to fix it, in the imperative.
    pub hint: Option<String>,
    /// The position in the repository.
    pub place: Option<Place>,
    /// The Dockerfile instruction at `place`, as written.
    pub instruction: Option<String>,
    /// Exit code of the command that failed.
    pub exit_code: Option<i64>,
    /// The last lines of the failing step's output, at most [`Failure::LOG_LINES`]. Untrusted text.
    pub log: Vec<String>,
}

/// The party that must fix a failure. It determines the exit status of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The inputs or the project's files are invalid; nothing was started.
    Input,
    /// A build, a network or a service failed.
    World,
    /// A deployment failed, and the failed release may still run.
    BadRelease,
}

/// The part of a run that a failure is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The run as a whole.
    Run,
    /// The image of this name in the plan.
    Image(String),
    /// The deploy target of this name.
    Target(String),
}

/// Words of a line that names the cause of a failure, in lower case.
const ERROR_WORDS: [&str; 8] = ["error", "failed", "fatal", "not found", "no such", "cannot", "could not", "denied"];
/// Words of lines that follow such a line and name no cause.
const NOISE: [&str; 3] = ["complete log of this run", "[notice]", "did not complete successfully"];

impl Failure {
    /// Maximum number of lines kept of a failing step's output.
    pub const LOG_LINES: usize = 40;

    /// Creates a failure of the run as a whole, without a position in a file.
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

    /// Creates a failure for invalid inputs or project files; nothing was started.
    pub fn invalid(stage: Stage, headline: impl Into<String>, hint: Option<String>) -> Self {
        Self { blame: Blame::Input, ..Self::new(stage, headline, hint) }
    }

    /// Returns the same failure, about one image.
    #[must_use]
    pub fn of_image(self, name: impl Into<String>) -> Self {
        Self { subject: Subject::Image(name.into()), ..self }
    }

    /// Returns the line of the output that most likely names the cause: the last one that speaks of an error, such as
    /// `Failed to build 'psycopg2'`.
    pub fn key_line(&self) -> Option<&str> {
        let mut lines = self.log.iter().rev().map(|line| line.trim()).filter(|line| !line.is_empty());
        lines.find(|line| {
            let line = line.to_lowercase();
            ERROR_WORDS.iter().any(|word| line.contains(word)) && !NOISE.iter().any(|noise| line.contains(noise))
        })
    }

    /// Returns the name of the image that failed, if the failure is about one.
    pub fn image(&self) -> Option<&str> {
        match &self.subject {
            Subject::Image(name) => Some(name),
            Subject::Run | Subject::Target(_) => None,
        }
    }

    /// Returns the name of the deploy target that failed, if the failure is about one.
    pub fn target(&self) -> Option<&str> {
        match &self.subject {
            Subject::Target(name) => Some(name),
            Subject::Run | Subject::Image(_) => None,
        }
    }
}
