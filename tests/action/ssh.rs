//! SSH mounts: keys that the action serves itself, and an agent's socket.

use std::{
    io::Write as _,
    os::unix::net::UnixListener,
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
        (no_key, "is not a private key in OpenSSH's format"),
    ] {
        let report = run.expect(2).await;
        let error = the_error(&report);
        assert!(error.message.contains(words), "{error:?}");
        assert!(!log(&report).contains("apt-get"), "{}", log(&report));
    }
}

/// Asks whatever is behind the mount for things that an agent has and an engine must not tell, each on a connection of
/// its own, and says what came until the connection ended.
const ATTACK: &str = r#"import os, socket
for name, data in [
    ("engine", b"GET /info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    ("add", b"\0\0\0\1\x11"),
    ("list", b"\0\0\0\1\x0b"),
]:
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(os.environ["SSH_AUTH_SOCK"])
    peer.sendall(data)
    answer = b""
    while name != "add" or not answer:
        try:
            piece = peer.recv(65536)
        except ConnectionError:
            break
        if not piece:
            break
        answer += piece
    print(f"{name}: {answer!r}")
"#;

#[tokio::test]
async fn a_socket_that_is_no_agent_neither_answers_nor_holds_the_build() {
    let http = |mut stream: std::os::unix::net::UnixStream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n{\"secret\": 1}");
    };
    for (socket, words) in [
        ("/var/run/docker.sock", "/var/run/docker.sock: did not answer within 10 s"),
        ("/github/runner_temp/web.sock", "web.sock: answered with HTTP, so it is not an SSH agent"),
        ("/github/runner_temp/gone.sock", "gone.sock: closed the connection without a complete answer"),
    ] {
        let dockerfile = "FROM python:3.13-slim\nCOPY stamp attack /\nRUN --mount=type=ssh python3 /attack\n";
        let run = Run::new(Engine::C8d, &[("Dockerfile", dockerfile), ("attack", ATTACK)]);
        run.write("stamp", &run.repository);
        for (name, answers) in [("web.sock", true), ("gone.sock", false)] {
            let listener = UnixListener::bind(run.machine.temp.join(name)).unwrap();
            std::thread::spawn(move || {
                listener.incoming().filter_map(Result::ok).filter(|_| answers).for_each(http);
            });
        }
        let report = run.with("ssh", &format!("default={socket}")).expect(0).await;
        let log = log(&report);
        for words in ["engine: b''", "add: b'\\x00\\x00\\x00\\x01\\x05'", "list: b''", words] {
            assert!(log.contains(words), "{socket}: {words}\n{log}");
        }
    }
}
