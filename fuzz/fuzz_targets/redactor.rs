//! Secrets, and a text that they are taken out of.

#![no_main]

use build_deploy_fuzz::domain::{redact::Redactor, secret::Secret};
use build_deploy_fuzz::{bounded, parts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut secrets = parts(data);
    let text = secrets.pop().unwrap_or_default();
    let secrets: Vec<Secret> = secrets.into_iter().map(Secret::new).collect();
    bounded(|| {
        let redactor = Redactor::new(&secrets);
        let clean = redactor.redact(&text);
        for secret in &secrets {
            let secret = secret.expose().trim();
            // What is put in its place may itself spell a short one.
            if secret.len() > 16 {
                assert!(!clean.contains(secret), "a secret is left");
            }
        }
    });
});
