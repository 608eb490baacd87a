//! The command `post`: repairs what a killed run left behind. It runs after the job, in a container of its own.

use std::{io::Write, time::Duration};

use super::{Call, exit, notify::outcome};
use crate::{
    builder::{
        container,
        engine::{self, Engine},
    },
    domain::{diagnostic::Diagnostic, run::TargetState},
    inputs::{
        builder::BuilderInput,
        runner::RunnerEnv,
        typed::{CommandInput, Inputs, Moment},
    },
    run::{
        allowance::Allowance,
        deploying, moves,
        observers::{comment, deployment},
        planning, setup,
    },
};

/// Runs the repairs and returns the exit status, which is always success: a failed repair must not fail the job.
pub async fn post<W: Write>(call: Call<W>) -> u8 {
    let Call { env, inputs, mut log } = call;
    let (context, chat, redactor, mut state) = setup::message(&inputs, &env, &mut log);
    state.outcome = match (inputs.github.job_status.as_deref(), inputs.command) {
        (Some("cancelled"), _) => outcome(Moment::Cancelled),
        // The reason of a failure is known only for a run, never for a job that builds by other means.
        (Some("failure"), CommandInput::Notify) => outcome(Moment::Failure),
        _ => None,
    };
    // First, so that the message can report the state of the tags.
    let tags = moves::repair(&inputs, &env).await;
    let known = planning::targets_of(&inputs, &env, &context).unwrap_or_default();
    let (reports, deployed) = deploying::repair(&inputs, &env, &known).await;
    state.targets = reports.into_iter().map(TargetState::finished).collect();
    // They contain lines that a service printed.
    for step in state.targets.iter_mut().filter_map(|target| target.step.as_mut()) {
        redactor.step(step);
    }
    let mut repaired: Vec<Diagnostic> = tags.into_iter().chain(deployed).collect();
    for diagnostic in &mut repaired {
        redactor.diagnostic(diagnostic);
    }
    state.diagnostics.extend(repaired.iter().cloned());
    let (event, limit) = (&context.event, Allowance::of_post(&env));
    let (warnings, deployed, commented, ()) = tokio::join!(
        chat.repair(&env, &state, limit),
        deployment::repair(&inputs, &env, event, &state, limit),
        comment::repair(&inputs, &env, event, limit),
        sweep(&inputs, &env, limit),
    );
    for warning in warnings.into_iter().chain(deployed).chain(commented).chain(repaired) {
        let _ = log.late(&warning);
    }
    exit::SUCCESS
}

/// Removes a builder container that a killed run left behind. Does nothing without an engine.
async fn sweep(inputs: &Inputs, env: &RunnerEnv, limit: Duration) {
    if matches!(inputs.registry.builder, BuilderInput::Auto | BuilderInput::Container)
        && let Ok(address) = engine::locate(env.var("DOCKER_HOST"))
    {
        // If this times out, the next run that uses the same container finds it.
        let _ = tokio::time::timeout(limit, container::remove_unused(&Engine::new(address))).await;
    }
}
