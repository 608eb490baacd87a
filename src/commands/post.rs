//! The command `post`: repairs what a killed run left behind. It runs after the job, in a container of its own.

use std::{io::Write, time::Duration};

use chrono::Utc;

use super::{Call, chat::Chat, deployment, exit, prepare};
use crate::domain::{event::Ending, run::RunState};

/// Repairs and returns the exit status, which is success: a repair that fails must not turn a green job red.
pub async fn post<W: Write>(call: Call<W>) -> u8 {
    let Call { env, inputs, mut log } = call;
    let context = prepare::context(&inputs, &env);
    let mut state = RunState::new(context.event.run_info(), Utc::now());
    if inputs.github.job_status.as_deref() == Some("cancelled") {
        state.ending = Some((Ending::Cancelled, Duration::ZERO));
    }
    let chat = Chat::new(&inputs);
    for secret in chat.secrets() {
        let _ = log.mask(&secret);
    }
    let (warnings, warning) =
        tokio::join!(chat.repair(&env, &state), deployment::repair(&inputs, &env, &context.event, &state));
    for warning in warnings.into_iter().chain(warning) {
        let _ = log.late(&warning);
    }
    exit::SUCCESS
}
