//! How a deployment takes the lock of a target, and what it does when it has lost it together with a connection.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    end::End,
    plan::Plan,
    policy::{OUTAGE, Run},
    target::{Attempt, Present, Target, TargetError},
};
use crate::domain::deploy::{
    DeployResult::{Locked, Superseded},
    DeployStep,
};

/// How often the lock is tried.
const LOCK_INTERVAL: Duration = Duration::from_secs(2);

impl<T: Target> Run<'_, T> {
    /// Takes the lock, once nobody else has it.
    pub(super) async fn wait_for_lock(&mut self) -> Result<(), Box<End>> {
        let (began, mut noticed) = (Instant::now(), None);
        loop {
            match self.target.lock(self.release).await? {
                Attempt::Taken(lock) => {
                    self.lock = Some(lock);
                    return Ok(());
                }
                Attempt::Busy(holder) if began.elapsed() >= self.settings.lock_wait => {
                    let waited = self.settings.lock_wait.as_secs();
                    let reason = format!("another deployment is in progress ({holder}); gave up after {waited} s");
                    return Err(End::new(Locked).because(reason).into());
                }
                Attempt::Busy(holder) => {
                    if noticed.as_ref() != Some(&holder) {
                        self.notice(DeployStep::Waiting(holder.clone()));
                        noticed = Some(holder);
                    }
                    sleep(LOCK_INTERVAL).await;
                }
            }
        }
    }

    /// [`Self::regain`] before anything was switched.
    pub(super) async fn keep_lock(&mut self, plan: &Plan) -> Result<(), Box<End>> {
        self.regain(plan).await.map_err(|end| match end.result {
            Superseded => end,
            _ => Box::from(TargetError::new(end.reason.unwrap_or_default())),
        })
    }

    /// Makes sure that the lock is held, which may have been lost with a connection, and that nobody else has deployed since
    /// then. A target gives it out only when nothing of an earlier deployment is going on.
    pub(super) async fn regain(&mut self, plan: &Plan) -> Result<(), Box<End>> {
        let began = Instant::now();
        let by_hand = || self.target.by_hand(plan);
        while !self.lock.as_ref().is_some_and(|lock| self.target.is_held(lock)) {
            let problem = match self.target.lock(self.release).await {
                Ok(Attempt::Taken(lock)) => {
                    self.lock = Some(lock);
                    match self.target.read().await {
                        Ok(present) if self.is_alone(&present, plan) => return Ok(()),
                        Ok(_) => {
                            (self.cx.journal)(self.target.name(), None);
                            let reason = "the connection was lost, and another deployment has ended meanwhile";
                            return Err(End::new(Superseded).because(reason).into());
                        }
                        Err(error) => {
                            self.lock = None;
                            error.chain()
                        }
                    }
                }
                Ok(Attempt::Busy(holder)) => {
                    format!("the connection was lost, and another deployment has the lock now ({holder})")
                }
                Err(error) => error.chain(),
            };
            if began.elapsed() >= OUTAGE || self.cx.cancel.reason().is_some() {
                return Err(End::not_rolled_back(&problem, by_hand()).into());
            }
            sleep(LOCK_INTERVAL).await;
        }
        Ok(())
    }

    /// Whether nobody else has deployed since the lock was held last.
    fn is_alone(&self, present: &Present, plan: &Plan) -> bool {
        let note = present.unfinished.as_ref().map(|unfinished| &unfinished.release);
        let (last, is_noted) = &self.known;
        *last == present.last && (!is_noted || note == Some(&plan.release))
    }
}
