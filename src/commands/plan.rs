//! The command `plan`: prints what `run` would do. No network, no daemon, no write.

use std::io::Write;

use super::{
    Call, exit,
    run::{NO_LIMIT, TIMED_OUT, stopped_by},
};
use crate::{
    domain::{event::Event, outcome::RunOutcome, redact::Redactor, secret::Secret},
    inputs::cli::PlanFormat,
    plan::print,
    run::{job, observers::chat::Chat, planning, secrets::likely},
    signals::Signals,
};

/// Prints the plan and returns the exit status.
pub async fn plan<W: Write>(call: Call<W>, format: PlanFormat) -> u8 {
    let Call { env, inputs, mut log } = call;
    let mut signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(error) => return super::fatal(log.into_sink(), &error),
    };
    let context = job::context(&inputs, &env);
    let mut secrets: Vec<Secret> = env.secrets().chain(likely::of_environment(&env)).collect();
    let planned = tokio::select! {
        biased;
        signal = signals.next() => Err(stopped_by(signal)),
        () = tokio::time::sleep(inputs.github.timeout.unwrap_or(NO_LIMIT)) => Err(TIMED_OUT),
        planned = planning::plan_apart(&inputs, &env, &context, None) => {
            planned.map_err(|failure| (RunOutcome::Failure(Box::new(failure)), exit::WRONG_INPUT))
        }
    };
    let plan = match planned {
        Ok(plan) => plan,
        Err((ending, status)) => {
            let redactor = Redactor::new(inputs.secrets().chain(&secrets));
            let _ = log.event(&redactor.event(Event::Finished(ending)));
            return status;
        }
    };
    secrets.extend(likely::of_plan(&plan, &inputs, &env));
    let redactor = Redactor::new(inputs.secrets().chain(&secrets));
    let written = match format {
        PlanFormat::Text => {
            // An invalid address does not fail a run, so only this command reports it in advance.
            for warning in Chat::new(&inputs).warnings {
                let _ = log.late(&warning);
            }
            log.text(&redactor.redact(&print::text(&plan)))
        }
        PlanFormat::Json => match serde_json::to_string_pretty(&plan) {
            // Programs read it, so it is not sanitized; JSON escapes control characters itself.
            Ok(json) => writeln!(log.into_sink(), "{}", redactor.redact(&json)),
            Err(error) => return super::fatal(log.into_sink(), &error),
        },
    };
    if written.is_ok() { exit::SUCCESS } else { exit::FAILED }
}
