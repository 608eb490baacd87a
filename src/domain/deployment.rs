//! What was deployed where, for the page and the outputs of a run.

/// One deployment of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Where: a GitHub environment or a deploy target. Text of the workflow's author.
    pub place: String,
    /// Where the deployed site can be seen.
    pub url: Option<String>,
    /// GitHub's number for it, where GitHub knows of it.
    pub id: Option<u64>,
    /// What came of it.
    pub outcome: DeploymentOutcome,
}

/// What came of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeploymentOutcome {
    /// It runs there now.
    Success,
    /// It does not.
    Failure,
    /// It was stopped before it said which.
    Cancelled,
}

impl DeploymentOutcome {
    /// The outcome in one word, for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
        }
    }
}
