//! The deployment that a run is carrying out, saved for the post stage in case the run is killed.

use std::time::Duration;

use super::{observers::chat::warning, saved, targets as deploy_targets};
use crate::{
    cancel,
    deploy::{self, Context, Saved},
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

/// Saves the way back of a deployment, or that there is none any more. If this fails, the next deployment finds what the
/// target itself saved.
pub fn save(env: &RunnerEnv, deployment: Option<&Saved>) {
    let text = deployment.and_then(|saved| serde_json::to_string(saved).ok()).filter(|text| text.len() <= LARGEST);
    let _ = saved::write(env, &[(DEPLOYING, text.as_deref().unwrap_or_default())]);
}

/// Finishes or undoes the deployment of a run that was killed. Returns nothing if no deployment was interrupted.
pub async fn repair(inputs: &Inputs, env: &RunnerEnv, known: &[TargetInput]) -> (Vec<DeployReport>, Vec<Diagnostic>) {
    let text = env.state(DEPLOYING).filter(|text| !text.is_empty());
    let Some(saved) = text.and_then(|text| serde_json::from_str::<Saved>(text).ok()) else { return Default::default() };
    let problem = |message: String| (Vec::new(), vec![warning("deployment", message)]);
    // The files of the release are on the server already.
    let targets: Vec<_> = known.iter().map(|target| (target, Vec::new())).collect();
    let specs = match deploy_targets::specs(&targets, inputs, env, &Logins::given(inputs, env).credentials) {
        Ok(specs) => specs,
        Err(failure) => return problem(format!("the interrupted deployment cannot be checked: {}", failure.headline)),
    };
    let Some(spec) = specs.iter().find(|spec| deploy::target::Target::name(&spec.target) == saved.target) else {
        return problem(format!("the interrupted deployment to {} cannot be checked: no such target", saved.target));
    };
    let (_canceller, cancel) = cancel::channel();
    let notice = |_: &str, _: DeployStep| {};
    let is_newer = |_: String| -> futures_util::future::LocalBoxFuture<'static, bool> { Box::pin(async { false }) };
    let journal = |_: Option<&Saved>| {};
    let cx = Context { cancel: &cancel, dry_run: false, journal: &journal, notice: &notice, is_newer: &is_newer };
    match tokio::time::timeout(REPAIR, deploy::repair(spec, &saved, cx)).await {
        Ok(report) => {
            let message = format!("{}: {}", report.name, after_kill(&report));
            (vec![report], vec![warning("interrupted deployment", message)])
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
        DeployResult::Cancelled => "the deployment was interrupted before it changed anything",
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
