//! SSH mounts: keys that the action serves itself, and an agent's socket.

use std::{
    path::Path,
    process::{Child, Command},
};

use crate::{
    lab::Engine,
    run::{Run, log, the_error},
};

/// Lists the keys, then has OpenSSH sign with each through the agent and check the signature.
const DOCKERFILE: &str = r"FROM python:3.13-slim
RUN apt-get update && apt-get install -y --no-install-recommends openssh-client
COPY stamp message try /
RUN --mount=type=ssh sh /try default
RUN --mount=type=ssh,id=deploy sh /try deploy
";

const TRY: &str = r#"set -e
ssh-add -L >/keys
while read -r key; do
  echo "$key" >/key.pub
  rm -f /message.sig
  ssh-keygen -q -Y sign -n file -f /key.pub /message
  echo "$1: $(ssh-keygen -Y check-novalidate -n file -s /message.sig </message)"
done </keys
"#;

fn run(engine: Engine) -> Run {
    let run = Run::new(engine, &[("Dockerfile", DOCKERFILE), ("message", "hello"), ("try", TRY)]);
    run.write("stamp", &run.repository);
    run
}

fn keygen(path: &Path, kind: &str) {
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-N", "", "-C", &format!("{kind} of the test"), "-t", kind, "-f"]).arg(path);
    assert!(keygen.status().unwrap().success());
}

/// An agent that ends with the test.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn keys_of_every_kind_sign_and_stay_where_they_are() {
    for engine in Engine::ALL {
        let keys = tempfile::tempdir().unwrap();
        let mut run = run(engine);
        for (name, kind) in [("one", "ed25519"), ("two", "ecdsa"), ("three", "rsa")] {
            keygen(&keys.path().join(name), kind);
            // In the runner's own directory for temporary files, as a step before would put it.
            std::fs::copy(keys.path().join(name), run.machine.temp.join(name)).unwrap();
            let private = std::fs::read_to_string(keys.path().join(name)).unwrap();
            run = run.secret(private.lines().nth(3).unwrap());
        }
        run = run.with(
            "ssh",
            "default=/github/runner_temp/one,/github/runner_temp/two\ndeploy=/home/runner/work/_temp/three",
        );
        let report = run.expect(0).await;
        let log = log(&report);
        for words in [
            "default: Good \"file\" signature with ED25519",
            "default: Good \"file\" signature with ECDSA",
            "deploy: Good \"file\" signature with RSA",
        ] {
            assert!(log.contains(words), "{engine:?}: {words}\n{log}");
        }
    }
}

#[tokio::test]
async fn the_agent_of_the_environment_is_forwarded() {
    let run = run(Engine::C8d);
    let socket = run.machine.temp.join("agent.sock");
    let agent = Agent(
        Command::new("ssh-agent").args(["-D", "-a"]).arg(&socket).stdout(std::process::Stdio::null()).spawn().unwrap(),
    );
    let key = tempfile::tempdir().unwrap();
    keygen(&key.path().join("key"), "ed25519");
    loop {
        let add = Command::new("ssh-add")
            .args(["-q"])
            .arg(key.path().join("key"))
            .env("SSH_AUTH_SOCK", &socket)
            .output()
            .unwrap();
        if add.status.success() {
            break;
        }
        assert!(!socket.exists(), "{}", String::from_utf8_lossy(&add.stderr));
        tokio::task::yield_now().await;
    }
    let run = run.env("SSH_AUTH_SOCK", &socket.display().to_string()).with("allow", "ssh");
    // From the compose file this time; the mount without an agent is not required.
    run.write("compose.yaml", "services:\n  web: {build: {context: ., ssh: [default]}}\n");
    run.write("Dockerfile", &DOCKERFILE.replace("id=deploy sh /try deploy", "id=deploy test ! -S \"$SSH_AUTH_SOCK\""));
    let report = run.expect(0).await;
    assert!(log(&report).contains("default: Good \"file\" signature with ED25519"), "{}", log(&report));
    drop(agent);
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_told_before_the_build() {
    let outside = run(Engine::C8d).with("ssh", "default").env("SSH_AUTH_SOCK", "/tmp/ssh-XXXX/agent.1");
    let none = run(Engine::C8d).with("ssh", "default");
    let no_key = run(Engine::C8d).with("ssh", "deploy=message");
    for (run, words) in [
        (outside, "/tmp/ssh-XXXX/agent.1 (SSH_AUTH_SOCK) does not exist"),
        (none, "SSH_AUTH_SOCK"),
        (no_key, "is no private key in OpenSSH's format"),
    ] {
        let report = run.expect(2).await;
        let error = the_error(&report);
        assert!(error.message.contains(words), "{error:?}");
        assert!(!log(&report).contains("apt-get"), "{}", log(&report));
    }
}
