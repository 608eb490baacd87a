//! The deployments of a run, for the summary and the outputs.

/// One deployment of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// The GitHub environment or deploy target. Written by the workflow's author.
    pub place: String,
    /// URL of the deployed site.
    pub url: Option<String>,
    /// Id of the GitHub deployment, if there is one.
    pub id: Option<u64>,
    /// The outcome.
    pub outcome: DeploymentOutcome,
}

/// The outcome of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeploymentOutcome {
    /// Deployed.
    Success,
    /// Failed.
    Failure,
    /// Cancelled before it had a result.
    Cancelled,
}

impl DeploymentOutcome {
    /// Returns the outcome in one word, for users.
    pub fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
        }
    }
}
