//! The stages of a run.

use serde::{Deserialize, Serialize};

/// A stage of the run; the variants are in the order in which the stages run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// Reading inputs and compose files.
    Plan,
    /// Checking with the engine and the registry that the run can succeed.
    Preflight,
    /// Building images.
    Build,
    /// Moving the tags to the images once all of them are in the registry.
    Publish,
    /// Deploying.
    Deploy,
}

impl Stage {
    /// Returns the stage's name as users see it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Preflight => "preflight",
            Self::Build => "build",
            Self::Publish => "publish",
            Self::Deploy => "deploy",
        }
    }
}
