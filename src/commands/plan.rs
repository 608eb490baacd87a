//! The command `plan`: prints what `run` would do, and sets outputs. It needs no engine. It asks GitHub for the facts that a
//! run asks for, if there is a token.

use std::io::Write;

use super::{
    Call, exit,
    run::{NO_LIMIT, append, stopped_by},
    work::TIMED_OUT,
};
use crate::{
    context::RunContext,
    deploy::{
        self,
        release::{Content, Release},
        stage::Deployment,
    },
    domain::{event::Event, failure::Failure, outcome::RunOutcome, redact::Redactor},
    github::files::{FileError, RunnerFile, assignments},
    inputs::{
        cli::{Difference, PlanFormat},
        runner::RunnerEnv,
        typed::Inputs,
    },
    plan::{Plan, print},
    preflight,
    report::deployments::step_lines,
    run::{
        contents,
        observers::chat::{self, Chat},
        setup::RunSetup,
    },
    signals::Signals,
};

/// Prints the plan and returns the exit status.
pub async fn plan<W: Write>(call: Call<W>, format: PlanFormat, difference: Difference) -> u8 {
    let Call { env, inputs, mut log } = call;
    let mut signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(error) => return super::fatal(log.into_sink(), &error),
    };
    let gathered = tokio::select! {
        biased;
        signal = signals.next() => Err(stopped_by(signal)),
        () = tokio::time::sleep(inputs.github.timeout.unwrap_or(NO_LIMIT)) => Err(TIMED_OUT),
        setup = RunSetup::of_plan(&inputs, &env, difference) => Ok(setup),
    };
    let setup = match gathered {
        Ok(setup) => setup,
        Err((outcome, status)) => {
            let _ = log.event(&Event::Finished(outcome));
            return status;
        }
    };
    let RunSetup { context, planned, secrets, likely, warnings, no_login } = setup;
    let redactor = Redactor::new(inputs.secrets().chain(&secrets).chain(&likely));
    log.redact(redactor.clone());
    let mut unchecked = Vec::new();
    // The same checks of paths as in a run, so that a plan without an error is one that can be built.
    if let Ok((plan, _)) = &planned {
        // They may name the cause of a path that does not exist.
        unchecked.clone_from(&plan.warnings);
    }
    let checked = planned.and_then(|(plan, cx)| preflight::build_specs(&plan, &cx).map(|_| (plan, cx)));
    let (plan, cx) = match checked {
        Ok(planned) => planned,
        Err(failure) => {
            for warning in &unchecked {
                let _ = log.late(&chat::warning("plan", warning.clone()));
            }
            let failure = RunOutcome::Failure(Box::new(failure));
            let _ = log.event(&redactor.event(Event::Finished(failure)));
            return exit::WRONG_INPUT;
        }
    };
    let differences = match Box::pin(differences(difference, &plan, &cx, &inputs, no_login)).await {
        Ok(lines) => lines,
        Err(failure) => {
            for warning in &warnings {
                let _ = log.late(warning);
            }
            let failure = RunOutcome::Failure(Box::new(failure));
            let _ = log.event(&redactor.event(Event::Finished(failure)));
            return exit::FAILED;
        }
    };
    let json = match serde_json::to_string_pretty(&plan) {
        // Programs read it, so it is not sanitized; JSON escapes control characters itself.
        Ok(json) => redactor.redact(&json),
        Err(error) => return super::fatal(log.into_sink(), &error),
    };
    let written = write_outputs(&env, &print::outputs(&plan, json.clone()), &redactor);
    let printed = match format {
        PlanFormat::Text => {
            // An invalid address of a chat service does not fail a run, so only this command reports it in advance.
            let chat = Chat::new(&inputs).warnings;
            for warning in context.warnings.iter().chain(&warnings).chain(&chat) {
                let _ = log.late(warning);
            }
            let text = print::text(&plan) + &differences.join("\n");
            log.text(&redactor.redact(&text))
        }
        PlanFormat::Json => writeln!(log.into_sink(), "{json}"),
    };
    if printed.is_ok() && written.is_ok() { exit::SUCCESS } else { exit::FAILED }
}

/// Returns what a deployment of the existing images would change, in lines; none if that was not asked for.
async fn differences(
    difference: Difference,
    plan: &Plan,
    cx: &RunContext,
    inputs: &Inputs,
    no_login: Option<Failure>,
) -> Result<Vec<String>, Failure> {
    let Some(Deployment { targets, release, .. }) = cx.deployment.as_deref().filter(|_| difference == Difference::Read)
    else {
        return Ok(Vec::new());
    };
    if let Some(failure) = no_login.filter(|_| inputs.deploy.digests.is_empty()) {
        return Err(failure);
    }
    let images = contents::images(plan, inputs, &cx.credentials).await?;
    let release = Release { content: Content::Images(images), ..release.clone() };
    let steps = deploy::stage::differences(targets, &release).await;
    Ok(steps.iter().flat_map(|(target, step)| step_lines(target, step)).collect())
}

/// Writes the outputs of the step. Secret values are redacted.
fn write_outputs(env: &RunnerEnv, outputs: &[(&'static str, String)], redactor: &Redactor) -> Result<(), FileError> {
    let redacted: Vec<(&str, String)> = outputs.iter().map(|(name, value)| (*name, redactor.redact(value))).collect();
    let pairs = redacted.iter().map(|(name, value)| (*name, value.as_str()));
    append(env, RunnerFile::Output, &assignments(pairs, rand::random())?)
}
