//! Facts that the event lacks are requested from GitHub's API; if it does not answer, the run continues.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use build_deploy::{
    domain::git_event::GitEvent,
    inputs::{cli::RawInputs, event::git_event, parse::parse, payload::Payload, runner::RunnerEnv},
    run::facts,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const SHA: &str = "1f3ac7bd2e9d4c8a95b60e7f1a2b3c4d5e6f7081";

/// A stand-in for the API with answers by path, and the requested paths.
async fn api(answers: &'static [(&'static str, &'static str)]) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let request = String::from_utf8(request).unwrap();
            let path = request.split(' ').nth(1).unwrap().to_owned();
            assert!(request.to_lowercase().contains("authorization: bearer t0ken"), "{request}");
            let answer = answers.iter().find(|(known, _)| *known == path);
            let (status, body) = answer.map_or(("404 Not Found", "{}"), |(_, body)| ("200 OK", body));
            let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n");
            let response = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(response.as_bytes()).await.unwrap();
            seen.lock().unwrap().push(path);
        }
    });
    (address, asked)
}

/// The event of a schedule completed with GitHub's answers, and the requested paths.
async fn learned(
    payload: &str,
    token: &str,
    answers: &'static [(&'static str, &'static str)],
) -> (GitEvent, Vec<String>) {
    let (address, asked) = api(answers).await;
    let env = RunnerEnv::new([
        ("GITHUB_ACTOR", "alice"),
        ("GITHUB_API_URL", address.as_str()),
        ("GITHUB_EVENT_NAME", "schedule"),
        ("GITHUB_REF", "refs/heads/main"),
        ("GITHUB_REPOSITORY", "acme/site"),
        ("GITHUB_SHA", SHA),
    ]);
    let mut raw = RawInputs::default();
    raw.set("github-token", token).unwrap();
    let mut event = git_event(&env, &Payload::read(payload).unwrap(), None);
    facts::learn(&mut event, &parse(&raw, &env).unwrap(), &env, Duration::from_secs(5)).await;
    let mut asked = asked.lock().unwrap().clone();
    asked.sort();
    (event, asked)
}

const REPOSITORY: (&str, &str) = (
    "/repos/acme/site",
    r#"{"default_branch": "main", "description": "The Acme web site", "license": {"spdx_id": "MIT"}, "id": 7}"#,
);
const COMMIT: (&str, &str) = (
    "/repos/acme/site/commits/1f3ac7bd2e9d4c8a95b60e7f1a2b3c4d5e6f7081",
    r#"{"commit": {"committer": {"date": "2026-03-04T04:06:07Z"}}}"#,
);

#[tokio::test]
async fn missing_facts_are_requested() {
    let (event, asked) = learned("{}", "t0ken", &[REPOSITORY, COMMIT]).await;
    assert_eq!(event.default_branch.as_deref(), Some("main"));
    assert_eq!((event.description.as_deref(), event.license.as_deref()), (Some("The Acme web site"), Some("MIT")));
    assert_eq!(event.commit_time.as_deref(), Some("2026-03-04T04:06:07Z"));
    assert_eq!(asked, [REPOSITORY.0, COMMIT.0]);
}

#[tokio::test]
async fn known_facts_are_not_requested() {
    let payload = r#"{"repository": {"default_branch": "main", "description": null}}"#;
    let (event, asked) = learned(payload, "t0ken", &[REPOSITORY, COMMIT]).await;
    assert_eq!((event.description, asked), (None, vec![COMMIT.0.to_owned()]));
    let commit = format!(
        r#"{{"head_commit": {{"id": "{SHA}", "timestamp": "2026-01-01T00:00:00Z"}}, "repository": {{"default_branch": "dev"}}}}"#
    );
    let (event, asked) = learned(&commit, "t0ken", &[REPOSITORY, COMMIT]).await;
    assert_eq!((event.default_branch.as_deref(), asked.len()), (Some("dev"), 0));
    assert_eq!(event.commit_time.as_deref(), Some("2026-01-01T00:00:00Z"));
    let (_, asked) = learned("{}", "", &[REPOSITORY, COMMIT]).await;
    assert_eq!(asked.len(), 0, "without a token");
}

#[tokio::test]
async fn a_failed_request_changes_nothing() {
    for answers in [&[][..], &[(REPOSITORY.0, "[]"), (COMMIT.0, r#"{"commit": 1}"#)]] {
        let (event, asked) = learned("{}", "t0ken", answers).await;
        assert_eq!((event.default_branch, event.commit_time, asked.len()), (None, None, 2));
    }
}
