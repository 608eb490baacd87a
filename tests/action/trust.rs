//! Attacks by a checkout on the action's container as the runner starts it: the runner's directories, the engine's
//! socket and the action's own environment are there, and none is reached.

use serde_json::json;

use crate::{
    lab::Engine,
    run::{Run, log, the_error},
};

const PASSWORD: &str = "canary-password-8c1e";
const TOKEN: &str = "ghs_canary-of-the-job-77aa";

/// The events under which the checkout is a pull request's.
const EVENTS: [&str; 3] = ["pull_request_fork", "pull_request", "pull_request_target"];

fn run(engine: Engine, event: &str, files: &[(&str, &str)]) -> Run {
    let mut run = Run::new(engine, files)
        .with("username", "ci")
        .with("password", PASSWORD)
        .with("github-token", TOKEN)
        .secret(PASSWORD)
        .secret(TOKEN);
    if event == "pull_request_target" {
        run = run.event("pull_request");
        let target = [("GITHUB_EVENT_NAME", event), ("GITHUB_REF", "refs/heads/main")];
        run.step.github.extend(target.map(|(name, value)| (name.to_owned(), value.to_owned())));
        return run;
    }
    run.event(event)
}

/// A compose file whose service builds so, and whose Dockerfile would print what it gets.
fn files(keys: &str, mount: &str) -> [(&'static str, String); 2] {
    let compose = format!("services:\n  web:\n    build: {{context: ., {keys}}}\n");
    [
        ("compose.yaml", compose),
        ("Dockerfile", format!("FROM busybox:1.36\nRUN {mount} echo reached; cat /run/secrets/*\n")),
    ]
}

#[tokio::test]
async fn nothing_beside_the_checkout_is_reached() {
    let secret = "--mount=type=secret,id=p";
    let attacks = [
        ("ssh: [default=/var/run/docker.sock]", "--mount=type=ssh", "`ssh`"),
        ("x-bake: {ssh: default=/var/run/docker.sock}", "--mount=type=ssh", "`ssh`"),
        ("x-bake: {secret: ['id=p,src=/proc/self/environ']}", secret, "/proc/"),
        ("x-bake: {secret: ['id=p,env=INPUT_PASSWORD']}", secret, "`INPUT_PASSWORD`"),
        ("x-bake: {secret: ['id=p,src=/github/workflow/event.json']}", secret, "/github/workflow/event.json"),
        ("additional_contexts: {g: /github}", "--mount=from=g,target=/run/secrets", "`fs.read=/github`"),
        ("additional_contexts: {g: ../..}", "--mount=from=g,target=/run/secrets", "`fs.read=/`"),
        ("dockerfile: /github/file_commands/x", "", "`fs.read=/github/file_commands/x`"),
        ("network: host", "--network=host", "`network.host`"),
        ("privileged: true", "--security=insecure", "`security.insecure`"),
        ("cache_to: ['type=registry,ref=docker.io/else/where']", "", "`cache-to=docker.io/else/where`"),
    ];
    for (keys, mount, words) in attacks {
        for event in EVENTS {
            let files = files(keys, mount);
            let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
            let report = run(Engine::C8d, event, &files).expect(2).await;
            let error = the_error(&report);
            assert!(error.message.contains(words), "{event}, {keys}: {error:?}");
            assert_eq!(
                (error.property("file"), error.property("line")),
                (Some("compose.yaml"), Some("3")),
                "{error:?}"
            );
            assert!(!log(&report).contains("reached"), "{event}, {keys}: {}", log(&report));
        }
    }
}

#[tokio::test]
async fn links_in_a_context_stay_links() {
    for engine in Engine::ALL {
        let steps = "FROM busybox:1.36\nCOPY . /c\nRUN for link in github environ up; do test -L /c/$link && readlink /c/$link; \
                     done\nRUN test \"$(find /c -type f | wc -l)\" = 2\n";
        let run = run(engine, "pull_request", &[("Dockerfile", steps)]);
        for (link, target) in [("github", "/github"), ("environ", "/proc/self/environ"), ("up", "../../github")] {
            std::os::unix::fs::symlink(target, run.path(link)).unwrap();
        }
        run.write("stamp", &run.repository);
        let report = run.expect(0).await;
        for target in ["/github", "/proc/self/environ", "../../github"] {
            assert!(log(&report).contains(&format!("    {target}")), "{engine:?}, {target}: {}", log(&report));
        }
    }
}

#[tokio::test]
async fn what_the_workflow_allows_is_done() {
    let keys = "network: host, x-bake: {secret: ['id=p,env=GITHUB_TOKEN']}, additional_contexts: {lib: /github/runner_temp/lib}";
    let mount = "--mount=type=secret,id=p --mount=from=lib,target=/lib2 cat /proc/net/dev /lib2/file &&";
    let files = files(keys, mount);
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let run = run(Engine::C8d, "pull_request", &files)
        .with("allow", "network.host\nsecrets.env=GITHUB_TOKEN\nfs.read=/github/runner_temp/lib")
        .env("GITHUB_TOKEN", TOKEN);
    let stamp = json!(run.repository).to_string();
    std::fs::create_dir(run.machine.temp.join("lib")).unwrap();
    std::fs::write(run.machine.temp.join("lib/file"), &stamp).unwrap();
    let report = run.expect(0).await;
    assert!(log(&report).contains("docker0") && log(&report).contains(&stamp), "{}", log(&report));
}
