//! What the runner says of each kind of event becomes the right facts, tags and labels.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use build_deploy::{
    domain::git_event::GitEvent,
    inputs::{
        event::{git_event, payload_of},
        runner::RunnerEnv,
    },
    plan::labels,
    tags::{GitTags, Subject, language::TagInputs, names::Facts, tags_for},
};
use chrono::DateTime;

const MAIN: &str = "1f3ac7bd2e9d4c8a95b60e7f1a2b3c4d5e6f7081";
const HEAD: &str = "9a8b7c6d5e4f30211203948576a1b2c3d4e5f607";
const MERGE: &str = "c0ffee11c0ffee22c0ffee33c0ffee44c0ffee55";

/// The event as the runner hands it over, from `tests/fixtures/events`.
fn event(name: &str) -> GitEvent {
    let read = |extension: &str| {
        let path = format!("{}/tests/fixtures/events/{name}.{extension}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let variables = read("env");
    let env = RunnerEnv::new(variables.lines().filter_map(|line| line.split_once('=')));
    let (payload, warning) = payload_of(&env, Ok(&read("json")));
    assert_eq!(warning, None, "{name}");
    git_event(&env, &payload, Some("815"))
}

/// The default tags.
fn tags(event: &GitEvent) -> Vec<String> {
    let inputs = TagInputs::default();
    let facts = Facts::new(event, &inputs, DateTime::UNIX_EPOCH);
    let tagged = tags_for(&inputs, &Subject { event, facts: &facts, git_tags: GitTags::Unasked }).unwrap();
    tagged.tags.iter().map(ToString::to_string).collect()
}

struct Case {
    fixture: &'static str,
    sha: &'static str,
    ref_name: &'static str,
    subject: &'static str,
    tags: &'static str,
    trial: bool,
    fork: bool,
}

#[test]
fn every_event_has_its_facts_and_tags() {
    let case = |fixture, sha, ref_name, subject, tags| Case {
        fixture,
        sha,
        ref_name,
        subject,
        tags,
        trial: false,
        fork: false,
    };
    let trial = |case: Case| Case { trial: true, ..case };
    let fork = |case: Case| Case { trial: true, fork: true, ..case };
    let cases = [
        case("push_branch", MAIN, "main", "Serve the site", "main sha-1f3ac7b latest"),
        case("push_other_branch", MAIN, "feature/Login_Page", "Add a login page", "feature-Login_Page sha-1f3ac7b"),
        case("push_null_head_commit", MAIN, "main", "", "main sha-1f3ac7b latest"),
        case("push_tag_v1.2.3", MAIN, "v1.2.3", "Release 1.2.3", "1.2.3 1.2 1 sha-1f3ac7b latest"),
        case("push_tag_v1.2.3-rc.1", MAIN, "v1.2.3-rc.1", "Release candidate", "1.2.3-rc.1 sha-1f3ac7b"),
        case("push_tag_other", MAIN, "stable/2026", "Mark as stable", "stable-2026 sha-1f3ac7b"),
        trial(case("pull_request", HEAD, "#7", "Add a login page", "pr-7 sha-9a8b7c6")),
        fork(case("pull_request_fork", HEAD, "#8", "::error::@everyone <b>", "pr-8 sha-9a8b7c6")),
        fork(case("pull_request_deleted_fork", HEAD, "#9", "Left behind", "pr-9 sha-9a8b7c6")),
        case("pull_request_merged", MERGE, "main", "Add a login page", "main sha-c0ffee1 latest"),
        trial(case("merge_group", MERGE, "#104", "Merge pull request #104 from acme/feature", "mq-104 sha-c0ffee1")),
        case("schedule", MAIN, "main", "", "nightly main sha-1f3ac7b"),
        case("workflow_dispatch", MAIN, "main", "", "main sha-1f3ac7b latest"),
        case("release", MAIN, "v2.0.0", "Two", "2.0.0 2.0 2 sha-1f3ac7b latest"),
    ];
    let mut fixtures: Vec<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/events"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".json").map(str::to_owned))
        .collect();
    fixtures.sort();
    let mut tested: Vec<&str> = cases.iter().map(|case| case.fixture).collect();
    tested.sort_unstable();
    assert_eq!(fixtures, tested, "each fixture has its case");
    for case in cases {
        let name = case.fixture;
        let event = event(name);
        let info = event.run_info();
        assert_eq!(tags(&event).join(" "), case.tags, "{name}");
        assert_eq!(
            (info.sha.as_str(), info.ref_name.as_str(), info.subject.as_str()),
            (case.sha, case.ref_name, case.subject),
            "{name}"
        );
        assert_eq!((event.is_trial(), event.is_fork_pr), (case.trial, case.fork), "{name}");
        assert_eq!(info.run_url, "https://github.com/acme/site/actions/runs/4711/attempts/2", "{name}");
        assert_eq!(info.job_url, "https://github.com/acme/site/actions/runs/4711/job/815", "{name}");
        assert_eq!(info.commit_url, format!("https://github.com/acme/site/commit/{}", case.sha), "{name}");
        assert_eq!(info.repository, "acme/site", "{name}");
    }
}

#[test]
fn labels_come_from_the_event_alone() {
    let event = event("push_branch");
    let labels = labels::standard(&event, &Facts::new(&event, &TagInputs::default(), DateTime::UNIX_EPOCH), "main");
    let shown: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{}={value}", key.trim_start_matches("org.opencontainers.image.")))
        .collect();
    assert_eq!(
        shown,
        [
            "created=2026-03-04T04:06:07Z",
            "description=The Acme web site",
            "licenses=MIT",
            "revision=1f3ac7bd2e9d4c8a95b60e7f1a2b3c4d5e6f7081",
            "source=https://github.com/acme/site",
            "title=site",
            "url=https://github.com/acme/site",
            "version=main",
        ]
    );
}

#[test]
fn a_missing_or_broken_payload_is_a_warning() {
    let env = RunnerEnv::new([
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_EVENT_NAME", "push"),
        ("GITHUB_REF", "refs/heads/dev"),
        ("GITHUB_SHA", MAIN),
        ("GITHUB_EVENT_PATH", "/github/workflow/event.json"),
    ]);
    let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
    for contents in [Err(&missing), Ok("{"), Ok("[]")] {
        let (payload, warning) = payload_of(&env, contents);
        let message = warning.unwrap().message;
        assert!(message.starts_with("/github/workflow/event.json: "), "{message}");
        let event = git_event(&env, &payload, None);
        assert_eq!(tags(&event), ["dev", "sha-1f3ac7b"]);
        assert_eq!(event.job_url, "", "no server, no link");
    }
    let (_, warning) = payload_of(&RunnerEnv::default(), Err(&missing));
    assert_eq!(warning, None, "outside an action there is no payload to miss");
}

#[test]
fn without_a_job_id_the_job_is_the_run() {
    let env = RunnerEnv::new([
        ("GITHUB_SERVER_URL", "https://ghe.example/"),
        ("GITHUB_REPOSITORY", "o/r"),
        ("GITHUB_RUN_ID", "5"),
    ]);
    for job_id in [None, Some(""), Some("../x")] {
        let event = git_event(&env, &build_deploy::inputs::payload::Payload::default(), job_id);
        assert_eq!(event.run_url, "https://ghe.example/o/r/actions/runs/5/attempts/1");
        assert_eq!(event.job_url, event.run_url);
    }
}
