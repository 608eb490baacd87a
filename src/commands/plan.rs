//! The command `plan`: prints what `run` would do. No network, no daemon, no write.

use std::io::Write;

use super::{Call, chat::Chat, exit, prepare};
use crate::{
    domain::event::{Ending, Event},
    inputs::cli::PlanFormat,
    plan::print,
};

/// Prints the plan and returns the exit status.
pub fn plan<W: Write>(call: Call<W>, format: PlanFormat) -> u8 {
    let Call { env, inputs, mut log } = call;
    let context = prepare::context(&inputs, &env);
    let plan = match prepare::plan(&inputs, &env, &context, None) {
        Ok(plan) => plan,
        Err(failure) => {
            let _ = log.event(&Event::Finished(Ending::Failure(Box::new(failure))));
            return exit::WRONG_INPUT;
        }
    };
    let written = match format {
        PlanFormat::Text => {
            // An address that is none does not fail a run, so here alone it is seen before one.
            for warning in Chat::new(&inputs).warnings {
                let _ = log.late(&warning);
            }
            log.text(&print::text(&plan))
        }
        PlanFormat::Json => match serde_json::to_string_pretty(&plan) {
            // A program reads it: nothing may be made harmless in it, and JSON escapes control characters itself.
            Ok(json) => writeln!(log.into_sink(), "{json}"),
            Err(error) => return super::fatal(log.into_sink(), &error),
        },
    };
    if written.is_ok() { exit::SUCCESS } else { exit::FAILED }
}
