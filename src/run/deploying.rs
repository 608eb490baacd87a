//! The deployments that a run is carrying out, saved for the post stage in case the run is killed.

use std::{cell::RefCell, time::Duration};

use futures_util::future::{LocalBoxFuture, join_all};

use super::{observers::chat::warning, saved, targets as deploy_targets};
use crate::{
    cancel,
    deploy::{self, Context, Saved, TargetSpec, compose::ComposeTarget, target::Target as _},
    domain::{
        deploy::{DeployReport, DeployResult, DeployStep},
        diagnostic::Diagnostic,
    },
    inputs::{runner::RunnerEnv, targets::TargetInput, typed::Inputs},
    run::logins::Logins,
};

/// Name in `GITHUB_STATE`.
const DEPLOYING: &str = "deploying";

/// Time limit of the repair in the post stage, besides the target's own limits.
const REPAIR: Duration = Duration::from_mins(5);

/// Maximum size in bytes: the runner passes the value in an environment variable of the post stage, which the kernel
/// limits to 128 KiB.
const LARGEST: usize = 96 << 10;

/// The deployments that are going on. If one cannot be saved, the next deployment finds what the target itself saved.
#[derive(Debug)]
pub struct Ongoing<'a> {
    env: &'a RunnerEnv,
    saved: RefCell<Vec<Saved>>,
}

impl<'a> Ongoing<'a> {
    /// None yet.
    pub fn new(env: &'a RunnerEnv) -> Self {
        Self { env, saved: RefCell::default() }
    }

    /// Saves the way back of a target, or that there is none any more.
    pub fn save(&self, target: &str, saved: Option<&Saved>) {
        let mut all = self.saved.borrow_mut();
        all.retain(|other| other.target != target);
        all.extend(saved.cloned());
        self.write(&all);
    }

    /// Forgets the deployments whose end is recorded, now that the run's outcome is saved, which reports them.
    pub fn forget_settled(&self) {
        let mut all = self.saved.borrow_mut();
        let before = all.len();
        all.retain(|saved| !saved.is_settled);
        if all.len() < before {
            self.write(&all);
        }
    }

    fn write(&self, all: &[Saved]) {
        let mut size = 0;
        let texts = all.iter().filter_map(|saved| serde_json::to_string(saved).ok()).filter(|text| {
            let fits = size + text.len() < LARGEST;
            size += if fits { text.len() + 1 } else { 0 };
            fits
        });
        let texts: Vec<String> = texts.collect();
        let _ = saved::write(self.env, &[(DEPLOYING, &format!("[{}]", texts.join(",")))]);
    }
}

/// Finishes or undoes the deployments of a run that was killed. Returns nothing if none was interrupted.
pub async fn repair(inputs: &Inputs, env: &RunnerEnv, known: &[TargetInput]) -> (Vec<DeployReport>, Vec<Diagnostic>) {
    let saved: Vec<Saved> = env.state(DEPLOYING).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    if saved.is_empty() {
        return Default::default();
    }
    // The files of the release are on the server already.
    let targets: Vec<_> = known.iter().map(|target| (target, Vec::new())).collect();
    let specs = match deploy_targets::specs(&targets, inputs, env, &Logins::given(inputs, env).credentials) {
        Ok(specs) => specs,
        Err(failure) => {
            let problem = format!("the interrupted deployment cannot be checked: {}", failure.headline);
            return (Vec::new(), vec![warning("deployment", problem)]);
        }
    };
    let (reports, warnings): (Vec<_>, Vec<_>) =
        join_all(saved.iter().map(|saved| repair_one(&specs, saved))).await.into_iter().unzip();
    (reports.into_iter().flatten().collect(), warnings)
}

async fn repair_one(specs: &[TargetSpec<ComposeTarget>], saved: &Saved) -> (Option<DeployReport>, Diagnostic) {
    let problem = |message: String| (None, warning("deployment", message));
    let Some(spec) = specs.iter().find(|spec| spec.target.name() == saved.target) else {
        return problem(format!("the interrupted deployment to {} cannot be checked: no such target", saved.target));
    };
    let (_canceller, cancel) = cancel::channel();
    let notice = |_: &str, _: DeployStep| {};
    let is_newer = |_: String| -> LocalBoxFuture<'static, bool> { Box::pin(async { false }) };
    let journal = |_: &str, _: Option<&Saved>| {};
    let cx = Context { cancel: &cancel, dry_run: false, journal: &journal, notice: &notice, is_newer: &is_newer };
    match tokio::time::timeout(REPAIR, deploy::repair(spec, saved, cx)).await {
        Ok(report) => {
            let message = format!("{}: {}", report.name, after_kill(&report));
            (Some(report), warning("interrupted deployment", message))
        }
        Err(_) => problem(format!(
            "checking the interrupted deployment to {} timed out after {} s; the next deployment checks it again",
            saved.target,
            REPAIR.as_secs()
        )),
    }
}

/// Says in words how a deployment ended that was killed.
fn after_kill(report: &DeployReport) -> String {
    let end = match report.result {
        DeployResult::Deployed => "the interrupted deployment was checked: the new release runs",
        DeployResult::FailedRolledBack => "the interrupted deployment was rolled back",
        DeployResult::Cancelled => "the deployment was interrupted before the switch",
        DeployResult::Superseded | DeployResult::Locked => "another deployment continued the interrupted one",
        _ => "the interrupted deployment may have left a failed release running",
    };
    let reason = report.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
    let by_hand = if report.by_hand.is_empty() {
        String::new()
    } else {
        format!("; continue by hand: {}", report.by_hand.join("; "))
    };
    format!("{end}{reason}{by_hand}")
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use super::{Ongoing, Saved};
    use crate::{
        deploy::{
            Reached,
            plan::Plan,
            release::{Content, Release},
        },
        inputs::runner::RunnerEnv,
    };

    fn saved(target: &str, commit: &str) -> Saved {
        let release = Release {
            id: "1".into(),
            commit: commit.into(),
            actor: String::new(),
            run_url: String::new(),
            content: Content::Images(Vec::new()),
        };
        let plan = Plan { release: "1".into(), changes: BTreeMap::new(), same: BTreeMap::new() };
        Saved { target: target.into(), release, plan, reached: Reached::Saved, is_settled: false }
    }

    #[test]
    fn the_post_stage_finds_all_deployments_that_have_not_ended() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let env = RunnerEnv::new([("GITHUB_STATE", file.path().to_str().unwrap())]);
        // The last assignment counts: name and delimiter, value, delimiter.
        let state = || -> Vec<Saved> {
            let text = fs::read_to_string(file.path()).unwrap();
            serde_json::from_str(text.lines().rev().nth(1).unwrap()).unwrap()
        };
        let ongoing = Ongoing::new(&env);
        let [one, two] = ["one", "two"].map(|target| saved(target, "c"));
        ongoing.save("one", Some(&one));
        ongoing.save("two", Some(&two));
        assert_eq!(state(), [one.clone(), two.clone()]);
        ongoing.save("one", Some(&Saved { is_settled: true, ..one }));
        assert_eq!(state().len(), 2, "the run has not reported it yet");
        ongoing.forget_settled();
        assert_eq!(state(), std::slice::from_ref(&two));
        ongoing.save("one", None);
        assert_eq!(state(), std::slice::from_ref(&two));
        // The kernel would refuse a variable of this size.
        ongoing.save("three", Some(&saved("three", &"c".repeat(128 << 10))));
        assert_eq!(state(), [two]);
    }
}
