//! The command `post`: repairs what a killed run left behind. It runs after the job, in a container of its own.

use std::io::Write;

use chrono::Utc;

use super::{Call, chat::Chat, exit, notify::ending, prepare};
use crate::{
    domain::{redact::Redactor, run::RunState},
    inputs::typed::{CommandInput, Moment},
};

/// Repairs and returns the exit status, which is success: a repair that fails must not turn a green job red.
pub async fn post<W: Write>(call: Call<W>) -> u8 {
    let Call { env, inputs, mut log } = call;
    let context = prepare::context(&inputs, &env);
    let chat = Chat::new(&inputs);
    let addresses = chat.secrets();
    for secret in &addresses {
        let _ = log.mask(secret);
    }
    let info = prepare::run_info(&context, &Redactor::new(inputs.secrets().chain(&addresses)));
    let mut state = RunState::new(info, Utc::now());
    state.ending = match (inputs.github.job_status.as_deref(), inputs.command) {
        (Some("cancelled"), _) => ending(Moment::Cancelled),
        // Of a run of our own, the reason would be known; of a job that builds by other means it never is.
        (Some("failure"), CommandInput::Notify) => ending(Moment::Failure),
        _ => None,
    };
    for warning in chat.repair(&env, &state).await {
        let _ = log.late(&warning);
    }
    exit::SUCCESS
}
