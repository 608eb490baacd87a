//! Each kind of event, from the runner's variables and payload to what lies in the registry.

use crate::{
    lab::{self, Engine},
    run::{BASE, Run, images, log},
};

/// Fixture, tags, whether it is pushed.
const EVENTS: &[(&str, &str, bool)] = &[
    ("push_branch", "main sha-1f3ac7b latest", true),
    ("push_other_branch", "feature-Login_Page sha-1f3ac7b", true),
    ("push_null_head_commit", "main sha-1f3ac7b latest", true),
    ("push_tag_v1.2.3", "1.2.3 1.2 1 sha-1f3ac7b latest", true),
    ("push_tag_v1.2.3-rc.1", "1.2.3-rc.1 sha-1f3ac7b", true),
    ("push_tag_other", "stable-2026 sha-1f3ac7b", true),
    ("pull_request", "pr-7 sha-9a8b7c6", false),
    ("pull_request_fork", "pr-8 sha-9a8b7c6", false),
    ("pull_request_deleted_fork", "pr-9 sha-9a8b7c6", false),
    ("pull_request_merged", "main sha-c0ffee1 latest", false),
    ("merge_group", "mq-104 sha-c0ffee1", false),
    ("schedule", "nightly main sha-1f3ac7b", true),
    ("workflow_dispatch", "main sha-1f3ac7b latest", true),
    ("release", "2.0.0 2.0 2 sha-1f3ac7b latest", true),
];

/// A run of this event; that of a fork gets no secrets, as on GitHub.
fn run(engine: Engine, event: &str) -> Run {
    let run = Run::new(engine, &[("Dockerfile", &format!("{BASE}COPY stamp /\n"))]).event(event);
    run.write("stamp", &run.repository);
    let token = if event.contains("fork") { "" } else { "ghs_canary" };
    run.with("github-token", token).with("discord-webhook", "").with("password", "")
}

#[tokio::test]
async fn every_event_builds_and_pushes_what_it_should() {
    for (index, (event, tags, pushed)) in EVENTS.iter().enumerate() {
        let engine = Engine::ALL[index % Engine::ALL.len()];
        let run = run(engine, event);
        let report = run.expect(0).await;
        let image = &images(&report)[0];
        let repository = format!("{}/{}", lab::plain(), run.repository);
        let want: Vec<String> = tags.split(' ').map(|tag| format!("{repository}:{tag}")).collect();
        assert_eq!(report.outputs["tags"].lines().collect::<Vec<_>>(), want, "{event}");
        assert_eq!(image["pushed"], *pushed, "{event}");
        assert_eq!(report.outputs["result"], "success");
        if *pushed {
            for tag in &want {
                assert_eq!(lab::crane(&["digest", tag]), report.outputs["digest"], "{event}, {tag}");
            }
            let served = lab::crane(&["ls", &repository]);
            assert_eq!(served.lines().count(), want.len(), "{event}: {served}");
        } else {
            assert!(!lab::crane(&["catalog", &lab::plain()]).contains(&run.repository), "{event}");
        }
        assert_eq!(report.console.of_kind("error").count(), 0, "{event}: {}", log(&report));
    }
}

#[tokio::test]
async fn a_run_that_is_repeated_pushes_the_same_and_names_its_attempt() {
    let mut run = run(Engine::C8d, "push_branch");
    let first = run.expect(0).await;
    run.step.github.insert("GITHUB_RUN_ATTEMPT".into(), "2".into());
    let second = run.expect(0).await;
    assert_eq!(first.outputs["digest"], second.outputs["digest"]);
    assert_eq!((first.outputs["changed"].as_str(), second.outputs["changed"].as_str()), ("true", "false"));
    assert!(second.outputs["run-url"].ends_with("/attempts/2"), "{}", second.outputs["run-url"]);
}

#[tokio::test]
async fn a_trial_can_be_loaded_and_is_not_pushed() {
    for event in ["pull_request_fork", "merge_group"] {
        let run = run(Engine::Classic, event).with("load", "true");
        let report = run.expect(0).await;
        let tag = report.outputs["tags"].lines().next().unwrap().to_owned();
        assert!(Engine::Classic.docker(&["image", "inspect", "-f", "{{.Id}}", &tag]).starts_with("sha256:"));
        assert!(!lab::crane(&["catalog", &lab::plain()]).contains(&run.repository));
        for tag in report.outputs["tags"].lines() {
            Engine::Classic.docker(&["rmi", "-f", tag]);
        }
    }
}

#[tokio::test]
async fn a_checkout_of_another_commit_than_the_events_is_warned_of() {
    let run = run(Engine::C8d, "workflow_dispatch").with("push", "false");
    let sha = run.step.github["GITHUB_SHA"].clone();
    let another = "a".repeat(40);
    for (head, warned) in [(&sha, false), (&another, true)] {
        run.write(".git/HEAD", &format!("{head}\n"));
        let report = run.expect(0).await;
        let words = format!("commit aaaaaaa is checked out, but the event is about {}", &sha[..7]);
        let told = report.console.of_kind("warning").any(|warning| warning.message.contains(&words));
        assert_eq!(told, warned, "{}", log(&report));
    }
}
