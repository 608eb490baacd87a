//! Finishes or undoes a deployment whose process was killed.

use super::{
    Reached, Saved,
    end::End,
    plan::{Change, Plan, Side},
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
    /// kept; anything less is undone, and so is a release that was being undone already.
    pub(super) async fn repair(&mut self, saved: &Saved) -> End {
        let plan = &saved.plan;
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
        let untouched = || End::new(Cancelled).because(format!("{interrupted}; nothing was switched"));
        if present.unfinished.as_ref().is_none_or(|unfinished| unfinished.release != plan.release) {
            // It ended right before or right after the note was at the target, or somebody else has dealt with it.
            (self.cx.journal)(self.target.name(), None);
            let runs = |side| present.unfinished.is_none() && runs(&present, plan, side);
            return match &saved.reached {
                Reached::Undo(reason) if runs(Side::Previous) => End::new(FailedRolledBack).because(reason).switched(),
                Reached::Switch if runs(Side::Next) => End::new(Deployed).switched(),
                Reached::Saved if runs(Side::Previous) => untouched(),
                _ => End::new(Superseded).because("another deployment has taken care of it"),
            };
        }
        if let Reached::Undo(reason) = &saved.reached {
            return self.restore(plan, End::new(FailedRolledBack).because(reason)).await;
        }
        match progress(&present, plan, &saved.reached) {
            Progress::Nothing => self.record(plan, untouched()).await,
            Progress::Part => {
                let end =
                    End::new(FailedRolledBack).because(format!("{interrupted} while services were being switched"));
                self.restore(plan, end).await
            }
            // The image of a service that changes only in its files does not tell whether it was switched. Another switch
            // replaces only what is still missing.
            Progress::All if plan.changes.values().any(keeps_its_image) => match Box::pin(self.switch(plan)).await {
                Ok(watched) => self.keep_or_undo(plan, watched).await,
                Err(end) => *end,
            },
            Progress::All => {
                let watched = self.watch(plan, Side::Next).await;
                self.keep_or_undo(plan, watched).await
            }
        }
    }

    async fn keep_or_undo(&mut self, plan: &Plan, watched: Watched) -> End {
        match watched {
            Watched::Good => self.record(plan, End::new(Deployed).switched()).await,
            watched => self.undo_unless_stopped(plan, watched).await,
        }
    }
}

/// Whether all services of a plan run one side of it.
fn runs(present: &Present, plan: &Plan, side: Side) -> bool {
    plan.changes.iter().all(|(service, change)| {
        let runs = present.services.get(service).map(|now| now.runs.as_slice()).unwrap_or_default();
        let wanted = match side {
            Side::Next => Some(&change.next),
            Side::Previous => change.previous.as_ref(),
        };
        wanted.is_some() != runs.is_empty() && runs.iter().all(|one| wanted.is_some_and(|pin| one.digest == pin.digest))
    })
}

/// Whether a service changes in something else than its image, so that its image does not tell whether it was switched.
fn keeps_its_image(change: &Change) -> bool {
    change.previous.as_ref().is_some_and(|before| before.digest == change.next.digest)
}

fn progress(present: &Present, plan: &Plan, reached: &Reached) -> Progress {
    let (same, told): (Vec<_>, Vec<_>) = plan.changes.iter().partition(|(_, change)| keeps_its_image(change));
    let is_begun = *reached != Reached::Saved;
    if told.is_empty() {
        return if is_begun { Progress::All } else { Progress::Nothing };
    }
    let runs = |service: &String| present.services.get(service).map(|now| now.runs.as_slice()).unwrap_or_default();
    let is_switched = told.iter().map(|(service, change)| {
        let next = runs(service).iter().filter(|one| one.digest == change.next.digest).count();
        (next > 0, next > 0 && next == runs(service).len())
    });
    let switched: Vec<(bool, bool)> = is_switched.collect();
    if switched.iter().all(|(_, whole)| *whole) {
        return Progress::All;
    }
    // A container may have been removed and not yet replaced.
    let is_gone = told.iter().any(|(service, change)| change.previous.is_some() && runs(service).is_empty());
    if switched.iter().any(|(any, _)| *any) || is_gone || (is_begun && !same.is_empty()) {
        Progress::Part
    } else {
        Progress::Nothing
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Change, Plan, Present, Progress, Reached, Side, progress, runs};
    use crate::{
        deploy::target::PresentService,
        domain::{deploy::Pin, digest::Digest},
    };

    fn pin(content: &str) -> Pin {
        let digest = Digest::of(content.as_bytes());
        Pin { reference: format!("x/y@{digest}"), digest }
    }

    /// Services with the images before, then, and now; empty for none.
    fn of(services: &[(&str, &str, &str, &str)]) -> (Plan, Present) {
        let some = |content: &str| (!content.is_empty()).then(|| pin(content));
        let change = |(name, before, next, _): &(&str, &str, &str, &str)| {
            let change = Change { image: "site".into(), next: pin(next), previous: some(before), was_up: true };
            ((*name).to_owned(), change)
        };
        let now = |(name, _, _, now): &(&str, &str, &str, &str)| {
            let runs = some(now).into_iter().collect();
            ((*name).to_owned(), PresentService { runs, ..PresentService::default() })
        };
        let plan = Plan { release: "2".into(), changes: services.iter().map(change).collect(), same: BTreeMap::new() };
        (plan, Present { services: services.iter().map(now).collect(), ..Present::default() })
    }

    #[test]
    fn files_do_not_tell_how_far_a_switch_got_but_the_journal_does() {
        let (saved, switch) = (Reached::Saved, Reached::Switch);
        for (services, reached, want) in [
            (&[("web", "a", "b", "a")][..], &switch, "nothing"),
            (&[("web", "a", "b", "b")], &switch, "all"),
            (&[("web", "a", "b", "b"), ("job", "a", "b", "a")], &switch, "part"),
            (&[("web", "a", "b", "")], &switch, "part"),
            // Only files change.
            (&[("web", "a", "a", "a")], &saved, "nothing"),
            (&[("web", "a", "a", "a")], &switch, "all"),
            // Files of one service, the image of the other.
            (&[("web", "a", "a", "a"), ("job", "a", "b", "a")], &saved, "nothing"),
            (&[("web", "a", "a", "a"), ("job", "a", "b", "a")], &switch, "part"),
            (&[("web", "a", "a", "a"), ("job", "a", "b", "b")], &switch, "all"),
        ] {
            let (plan, present) = of(services);
            let got = match progress(&present, &plan, reached) {
                Progress::Nothing => "nothing",
                Progress::Part => "part",
                Progress::All => "all",
            };
            assert_eq!(got, want, "{services:?} {reached:?}");
        }
    }

    #[test]
    fn a_third_image_is_neither_side() {
        let sides = |services: &[(&str, &str, &str, &str)]| {
            let (plan, present) = of(services);
            [Side::Previous, Side::Next].map(|side| runs(&present, &plan, side))
        };
        assert_eq!(sides(&[("web", "a", "b", "a")]), [true, false]);
        assert_eq!(sides(&[("web", "a", "b", "b")]), [false, true]);
        assert_eq!(sides(&[("web", "a", "b", "c")]), [false, false]);
        assert_eq!(sides(&[("web", "", "b", "")]), [true, false], "it did not exist");
        assert_eq!(sides(&[("web", "a", "b", "")]), [false, false]);
    }
}
