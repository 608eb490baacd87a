//! The inputs `tags` and `flavor`, with the event that they are about.

#![no_main]

use build_deploy_fuzz::{
    bounded,
    inputs::{cli::RawInputs, event::git_event, parse::parse, payload::Payload, runner::RunnerEnv},
    parts,
    tags::{GitTags, Subject, names::Facts, tags_for},
};
use chrono::DateTime;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let parts = parts(data);
    let part = |i: usize| parts.get(i).map_or("", String::as_str);
    // Regular expressions of JavaScript take exponential time: `Pattern::groups` gives up after a second, but leaves a
    // thread behind, which a fuzzer has no use for.
    let reference: String = part(2).lines().next().unwrap_or_default().chars().take(24).collect();
    let variables = [
        ("GITHUB_EVENT_NAME", "push"),
        ("GITHUB_REF", reference.as_str()),
        ("GITHUB_REPOSITORY", "octo/shop"),
        ("GITHUB_SHA", "0123456789abcdef0123456789abcdef01234567"),
    ];
    let env = RunnerEnv::new(variables);
    let payload = Payload::read(part(3)).unwrap_or_default();
    let git_tags: Vec<String> = part(4).lines().map(str::to_owned).collect();
    bounded(|| {
        for exact in ["false", "true"] {
            let mut raw = RawInputs::default();
            for (name, value) in [("tags", part(0)), ("flavor", part(1)), ("tag-compat", exact)] {
                assert!(raw.set(name, value).is_ok());
            }
            let Ok(inputs) = parse(&raw, &env) else { continue };
            let event = git_event(&env, &payload, None);
            let rules = &inputs.names.tags;
            let facts = Facts::new(&event, rules, DateTime::UNIX_EPOCH);
            for git_tags in [GitTags::Unasked, GitTags::Known(&git_tags), GitTags::Unreadable] {
                let _ = tags_for(rules, &Subject { event: &event, facts: &facts, git_tags });
            }
        }
    });
});
