//! The command `notify`: the message of a job that builds by other means.

use std::{io::Write, time::Duration};

use super::{Call, exit, run::append};
use crate::{
    domain::{failure::Failure, outcome::RunOutcome, stage::Stage},
    github::files::{RunnerFile, assignments},
    inputs::typed::{Inputs, Moment},
    run::{
        observers::{
            chat::{self, Open, warning},
            history::{self, Inquiry},
        },
        setup,
    },
};

/// Time limit for the history of previous runs.
const HISTORY: Duration = Duration::from_secs(2);

/// Sends the message and returns the exit status, which is success even if sending fails, unless `notify-strict` is
/// set.
pub async fn notify<W: Write>(call: Call<W>) -> u8 {
    let Call { env, inputs, mut log } = call;
    let (context, chat, _, mut state) = setup::message(&inputs, &env, &mut log);
    for warning in context.warnings.iter().chain(&chat.warnings) {
        // No later event would write the annotations.
        let _ = log.late(warning);
    }
    let moment = moment(&inputs);
    state.outcome = outcome(moment);
    if moment != Moment::Started {
        state.history = history::history(Inquiry::new(&inputs, &env, &context.event), HISTORY).await;
    }
    let old = chat.known(&inputs.notify.message_ids);
    let reports = chat.notify(&state, &old).await;
    let open = if moment == Moment::Started { Open::Elsewhere } else { Open::Nothing };
    let (mut warnings, notified) = chat::settle(&env, &reports, open);
    let values = [
        ("message-id", chat.ids(&reports)),
        ("result", if moment == Moment::Started { String::new() } else { moment.word().to_owned() }),
        ("run-url", state.info.run_url),
    ];
    let written = assignments(values.iter().map(|(name, value)| (*name, value.as_str())), rand::random())
        .and_then(|text| append(&env, RunnerFile::Output, &text));
    warnings.extend(written.err().map(|error| warning("outputs", error.to_string())));
    for warning in warnings {
        let _ = log.late(&warning);
    }
    if inputs.notify.strict && !(notified && chat.complete) { exit::FAILED } else { exit::SUCCESS }
}

/// Returns the input `state`, or else the status of the job.
fn moment(inputs: &Inputs) -> Moment {
    inputs.notify.state.unwrap_or(match inputs.github.job_status.as_deref() {
        Some("failure") => Moment::Failure,
        Some("cancelled") => Moment::Cancelled,
        _ => Moment::Success,
    })
}

/// Returns the outcome of the job, whose duration is unknown.
pub(super) fn outcome(moment: Moment) -> Option<(RunOutcome, Duration)> {
    let outcome = match moment {
        Moment::Started => return None,
        Moment::Success => RunOutcome::Success,
        Moment::Failure => RunOutcome::Failure(Box::new(Failure::new(Stage::Build, "the job failed", None))),
        Moment::Cancelled => RunOutcome::Cancelled,
    };
    Some((outcome, Duration::ZERO))
}
