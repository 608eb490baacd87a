//! A place that releases are deployed to.
//!
//! [`Target`] is what the policy needs of it; everything that is specific to a kind of target is behind it. The policy
//! calls the methods in the order of the trait. Those above [`Target::switch`] change nothing that runs, and may be dropped
//! at any time.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    time::Duration,
};

use thiserror::Error;

use super::{judge::Container, plan::Plan, release::Release};
use crate::domain::deploy::{DeployResult, Pin};

/// A place that releases are deployed to.
pub trait Target {
    /// Holds the target's lock; the lock is freed when this is dropped, and also if this process is killed.
    type Lock;

    /// The target's name, for people.
    fn name(&self) -> &str;

    /// The kind of target.
    fn kind(&self) -> &'static str;

    /// Checks that the target can be reached and that all rights for a deployment are there. Returns the names of its
    /// services.
    ///
    /// # Errors
    /// A deployment could not succeed.
    fn check(&self) -> impl Future<Output = Result<BTreeSet<String>, TargetError>>;

    /// Reads what runs now.
    ///
    /// # Errors
    /// The target cannot be reached or read.
    fn read(&self) -> impl Future<Output = Result<Present, TargetError>>;

    /// Tries to take the lock, without waiting for another deployment. If a deployment that was killed left a command
    /// running, waits for the end of that.
    ///
    /// # Errors
    /// The target cannot be reached, or the lock cannot be used.
    fn lock(&self, release: &Release) -> impl Future<Output = Result<Attempt<Self::Lock>, TargetError>>;

    /// Whether the lock is certainly held. A lock may be lost together with a connection.
    fn is_held(&self, lock: &Self::Lock) -> bool;

    /// Frees the lock. Dropping it would do the same, without waiting for it.
    fn unlock(&self, lock: Self::Lock) -> impl Future<Output = ()>;

    /// Fetches what the switch and the way back need, such as images. Returns which of the services in `may_stay` need no
    /// switch, because what they run contains the same as their new image: only labels about the commit differ.
    ///
    /// # Errors
    /// Something is missing or not allowed.
    fn prepare(
        &self,
        plan: &Plan,
        may_stay: &BTreeSet<String>,
    ) -> impl Future<Output = Result<BTreeSet<String>, TargetError>>;

    /// Notes at the target that the plan is about to be carried out, and the way back, until [`Target::record`] is called.
    /// From then on, what belongs to the release besides images may be put in place.
    ///
    /// # Errors
    /// It could not be written.
    fn save(&self, plan: &Plan) -> impl Future<Output = Result<(), TargetError>>;

    /// Runs a migration with the new image, to its end.
    ///
    /// # Errors
    /// It failed or took too long.
    fn migrate(
        &self,
        plan: &Plan,
        migration: &Migration,
        limit: Duration,
    ) -> impl Future<Output = Result<(), TargetError>>;

    /// Switches all services of the plan to the release. Returns once they were replaced, whether they work or not.
    ///
    /// # Errors
    /// Not all could be replaced.
    fn switch(&self, plan: &Plan, limit: Duration) -> impl Future<Output = Result<(), TargetError>>;

    /// Takes a sample of the containers of these services.
    ///
    /// # Errors
    /// The target cannot be reached or read.
    fn observe(&self, services: &BTreeSet<&str>) -> impl Future<Output = Result<Vec<Container>, TargetError>>;

    /// Puts back what the services of the plan ran before, with nothing but what [`Target::prepare`] has put in place.
    ///
    /// # Errors
    /// Not all could be put back.
    fn restore(&self, plan: &Plan, limit: Duration) -> impl Future<Output = Result<(), TargetError>>;

    /// The last lines that a service printed; empty if they cannot be read.
    fn logs(&self, service: &str) -> impl Future<Output = Vec<String>>;

    /// Records the end of a deployment, and removes what no release needs any longer, also what killed deployments left.
    /// Removes the note of [`Target::save`], unless the release was not rolled back.
    ///
    /// # Errors
    /// It could not be written.
    fn record(
        &self,
        plan: &Plan,
        release: &Release,
        result: DeployResult,
    ) -> impl Future<Output = Result<(), TargetError>>;

    /// The commands that put back what the services of the plan ran before.
    fn by_hand(&self, plan: &Plan) -> Vec<String>;
}

/// What a target runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// Its services, also those that do not run.
    pub services: BTreeMap<String, PresentService>,
    /// The last release that was deployed, as far as it is recorded.
    pub last: Option<Recorded>,
    /// A deployment that was not finished.
    pub unfinished: Option<Plan>,
    /// What still runs of an earlier deployment that failed and was not rolled back.
    pub left: Option<Plan>,
    /// Whether the release changes more than images, such as the files of the project. All of its services are switched
    /// then.
    pub is_outdated: bool,
}

/// A service of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PresentService {
    /// The image that its definition names.
    pub defined: Option<String>,
    /// The different images that it runs; none if it has no containers.
    pub runs: Vec<Pin>,
    /// Whether any of its containers is running.
    pub is_up: bool,
    /// Whether any of its containers has failed: it is neither up nor has it done its work.
    pub has_failed: bool,
}

/// A release that was deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its id.
    pub id: String,
    /// Its commit.
    pub commit: String,
}

/// The answer to an attempt to take the lock.
#[derive(Debug)]
pub enum Attempt<L> {
    /// The lock was taken.
    Taken(L),
    /// Somebody else has it. The text says who.
    Busy(String),
}

/// A command that is run once with the new image, before the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The service whose image and settings it uses.
    pub service: String,
    /// The program and its arguments.
    pub command: Vec<String>,
}

/// Why a target could not do something.
#[derive(Debug, Error)]
#[error("{headline}")]
pub struct TargetError {
    /// What went wrong, in one line.
    pub headline: String,
    /// What to do about it, in the imperative.
    pub hint: Option<String>,
    /// The last lines that the failed command printed. Untrusted text.
    pub log: Vec<String>,
    /// Whether the target did not answer, so that it is unknown whether the work was done.
    pub is_outage: bool,
    /// The cause.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl TargetError {
    /// An error without a hint.
    pub fn new(headline: impl Into<String>) -> Self {
        Self { headline: headline.into(), hint: None, log: Vec::new(), is_outage: false, source: None }
    }

    /// The same error with a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The headline and the messages of all causes, in one line.
    pub fn chain(&self) -> String {
        let mut text = self.headline.clone();
        let mut cause = self.source.as_ref().map(|source| source.as_ref() as &dyn Error);
        while let Some(error) = cause {
            let message = error.to_string();
            if !text.ends_with(&message) {
                text = format!("{text}: {message}");
            }
            cause = error.source();
        }
        text
    }
}
