//! What a registry says, challenges and refusals, and Docker's `config.json`.

#![no_main]

use build_deploy_fuzz::bounded;
use build_deploy_fuzz::registry::{
    challenge::Challenge,
    docker_config::DockerConfig,
    permissions::{PushTarget, missing_repository_hint, push_hint},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    bounded(|| {
        let _ = Challenge::parse(&text);
        let _ = Challenge::best(text.lines());
        let _ = DockerConfig::parse(&text);
        for host in ["ghcr.io", "docker.io", "123456789012.dkr.ecr.eu-west-1.amazonaws.com", "localhost:5000"] {
            for has_login in [false, true] {
                let _ = push_hint(PushTarget { host, has_login }, &text);
            }
            let _ = missing_repository_hint(host, &text);
        }
    });
});
