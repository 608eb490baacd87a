//! Finishes or undoes a deployment whose process was killed.

use super::{
    end::End,
    plan::{Plan, Side},
    policy::{Run, Watched},
    target::{Attempt, Present, Target},
};
use crate::domain::deploy::DeployResult::{Cancelled, Deployed, FailedRolledBack, Locked, Superseded};

/// How much of a plan was carried out.
enum Progress {
    Nothing,
    Part,
    All,
}

impl<T: Target> Run<'_, T> {
    /// Finds out how far the deployment with this plan got. A release that was switched completely and proves to run is
    /// kept; anything less is undone, and so is a release that was being undone because of `undone`.
    pub(super) async fn repair(&mut self, plan: &Plan, undone: Option<&str>) -> End {
        self.plan = Some(plan.clone());
        match self.target.lock(self.release).await {
            Ok(Attempt::Taken(lock)) => self.lock = Some(lock),
            // Whoever has the lock finds what was saved at the target.
            Ok(Attempt::Busy(holder)) => return End::new(Locked).because(format!("{holder} takes care of it")),
            Err(error) => {
                let by_hand = self.target.by_hand(plan);
                return End::not_rolled_back("the interrupted deployment could not be checked", by_hand)
                    .caused_by(&error);
            }
        }
        let present = match self.target.read().await {
            Ok(present) => present,
            Err(error) => {
                let by_hand = self.target.by_hand(plan);
                return End::not_rolled_back("the interrupted deployment could not be checked", by_hand)
                    .caused_by(&error);
            }
        };
        self.known = (present.last.clone(), present.unfinished.is_some());
        let interrupted = "the deployment was interrupted";
        let progress = progress(&present, plan);
        if present.unfinished.as_ref().is_none_or(|unfinished| unfinished.release != plan.release) {
            // It ended right before or right after the note was at the target, or somebody else has dealt with it.
            (self.cx.journal)(self.target.name(), None);
            return match (&present.unfinished, progress) {
                (None, Progress::Nothing) if undone.is_some() => {
                    End::new(FailedRolledBack).because(undone.unwrap_or_default()).switched()
                }
                (None, Progress::Nothing) => {
                    End::new(Cancelled).because(format!("{interrupted}; nothing was switched"))
                }
                (None, Progress::All) => End::new(Deployed).switched(),
                _ => End::new(Superseded).because("another deployment has taken care of it"),
            };
        }
        if let Some(reason) = undone {
            return self.restore(plan, End::new(FailedRolledBack).because(reason)).await;
        }
        match progress {
            Progress::Nothing => {
                let end = End::new(Cancelled).because(format!("{interrupted}; nothing was switched"));
                self.record(plan, end).await
            }
            Progress::Part => {
                let end =
                    End::new(FailedRolledBack).because(format!("{interrupted} while services were being switched"));
                self.restore(plan, end).await
            }
            Progress::All => match self.watch(plan, Side::Next).await {
                Watched::Good => self.record(plan, End::new(Deployed).switched()).await,
                watched => self.undo_unless_stopped(plan, watched).await,
            },
        }
    }
}

fn progress(present: &Present, plan: &Plan) -> Progress {
    let is_switched = plan.changes.iter().map(|(service, change)| {
        let runs = present.services.get(service).map(|now| now.runs.as_slice()).unwrap_or_default();
        let next = runs.iter().filter(|one| one.digest == change.next.digest).count();
        (next > 0, next > 0 && next == runs.len())
    });
    let switched: Vec<(bool, bool)> = is_switched.collect();
    if switched.iter().all(|(_, whole)| *whole) {
        Progress::All
    } else if switched.iter().any(|(any, _)| *any) {
        Progress::Part
    } else {
        // A container may have been removed and not yet replaced.
        let is_gone = |(service, change): (&String, &super::plan::Change)| {
            let runs_nothing = present.services.get(service).is_none_or(|now| now.runs.is_empty());
            change.previous.is_some() && runs_nothing
        };
        if plan.changes.iter().any(is_gone) { Progress::Part } else { Progress::Nothing }
    }
}
