//! The environment that other processes can read while the program runs.

use std::{
    fs,
    os::unix::net::UnixListener,
    process::{Command, Stdio},
};

#[test]
fn other_processes_cannot_read_inputs_and_credentials() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    fs::create_dir(path("work")).unwrap();
    fs::write(path("work/Dockerfile"), "FROM scratch\n").unwrap();
    // The engine never answers, so that the program waits.
    let engine = UnixListener::bind(path("engine")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_build-deploy"))
        .env_clear()
        .env("DOCKER_HOST", format!("unix://{}", path("engine")))
        .env("GITHUB_WORKSPACE", path("work"))
        .env("GITHUB_REPOSITORY", "o/r")
        .env("GITHUB_SHA", "0123456789abcdef0123456789abcdef01234567")
        .env("GITHUB_TOKEN", "canary-token")
        .env("ACTIONS_RUNTIME_TOKEN", "canary-runtime")
        .env("INPUT_REGISTRY", "registry.invalid")
        .env("INPUT_USERNAME", "canary-user")
        .env("INPUT_PASSWORD", "canary-password")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (_stream, _) = engine.accept().unwrap();
    let shown = fs::read(format!("/proc/{}/environ", child.id())).unwrap();
    let standard_input = fs::read(format!("/proc/{}/fd/0", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains("GITHUB_WORKSPACE=") && !shown.contains("canary"), "{shown}");
    assert_eq!(standard_input, b"", "the file with the variables is empty");
}
