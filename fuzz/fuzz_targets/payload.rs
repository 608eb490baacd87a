//! The event's payload and the variables of the runner.

#![no_main]

use build_deploy_fuzz::{bounded, inputs::{event::git_event, payload::Payload, runner::RunnerEnv}, parts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let parts = parts(data);
    let json = parts.first().map_or("", String::as_str);
    let variables = parts.get(1).map_or("", String::as_str);
    bounded(|| {
        let env = RunnerEnv::new(variables.lines().filter_map(|line| line.split_once('=')));
        if let Ok(payload) = Payload::read(json) {
            let event = git_event(&env, &payload, None);
            let _ = payload.commit(&event.sha);
            let _ = event.run_info();
        }
    });
});
