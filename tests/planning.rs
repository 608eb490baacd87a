//! The program itself, in checkouts that were made to keep it busy: it refuses them at once, and a signal or the time
//! limit ends it while it plans.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    io::Read as _,
    os::unix::fs::symlink,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::{Pid, Signal, kill_process},
};

fn start(checkout: &Path, command: &str, inputs: &[(&str, &str)]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_build-deploy"))
        .arg(command)
        .env_clear()
        .envs(inputs.iter().copied())
        .env("GITHUB_WORKSPACE", checkout)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for the end, no longer than `limit`; returns the exit status and what was said.
#[track_caller]
fn ended(mut child: Child, limit: Duration) -> (Option<i32>, String) {
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > limit {
            child.kill().unwrap();
            panic!("still runs after {limit:?}");
        }
        thread::sleep(Duration::from_millis(10));
    };
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    (status.code(), said)
}

/// Waits until the program plans: it does so on the only further thread that it has by then.
fn plans(child: &Child) {
    let threads = format!("/proc/{}/task", child.id());
    let began = Instant::now();
    while fs::read_dir(&threads).map_or(0, Iterator::count) < 2 {
        assert!(began.elapsed() < Duration::from_secs(30), "no planning begins");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A checkout just below all bounds, which takes seconds to plan: the program is compiled without optimization here.
fn busy() -> tempfile::TempDir {
    let checkout = tempfile::tempdir().unwrap();
    let values = |count: usize| format!("x: [{}]\n", "&a b, ".repeat(count));
    for name in ["b.yaml", "c.yaml"] {
        fs::write(checkout.path().join(name), values(99_000)).unwrap();
    }
    let text = format!("include: [b.yaml, c.yaml]\nservices: {{web: {{build: .}}}}\n{}", values(90_000));
    fs::write(checkout.path().join("compose.yaml"), text).unwrap();
    checkout
}

#[test]
fn a_signal_ends_the_program_while_it_plans() {
    let checkout = busy();
    for (command, signal, status) in
        [("run", Signal::TERM, 143), ("run", Signal::INT, 130), ("plan", Signal::TERM, 143), ("plan", Signal::INT, 130)]
    {
        let child = start(checkout.path(), command, &[]);
        plans(&child);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let (code, said) = ended(child, Duration::from_secs(2));
        assert_eq!(code, Some(status), "{command}:\n{said}");
        assert!(said.contains("cancelled"), "{command}:\n{said}");
    }
}

#[test]
fn the_time_limit_holds_while_it_plans() {
    let checkout = busy();
    for command in ["run", "plan"] {
        let child = start(checkout.path(), command, &[("INPUT_TIMEOUT", "1s")]);
        plans(&child);
        // The plan takes less than the shortest limit on a fast machine, so it pauses until that is over.
        let pid = Pid::from_child(&child);
        kill_process(pid, Signal::STOP).unwrap();
        thread::sleep(Duration::from_secs(1));
        kill_process(pid, Signal::CONT).unwrap();
        let (code, said) = ended(child, Duration::from_secs(3));
        assert_eq!(code, Some(1), "{command}:\n{said}");
        assert!(said.contains("`timeout`"), "{command}:\n{said}");
    }
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    for (name, also) in [("compose.yaml", None), (".env", Some("compose.yaml"))] {
        for (target, kind) in [
            ("/dev/zero", "a device"),
            ("/dev/stdin", "a named pipe"),
            ("/proc/kmsg", "a file of /proc"),
            ("/proc/self/environ", "a file of /proc"),
            ("pipe", "a named pipe"),
            (".", "a directory"),
        ] {
            // A directory `.env` is ignored, as Compose does.
            if (name, target) == (".env", ".") {
                continue;
            }
            let checkout = tempfile::tempdir().unwrap();
            let pipe = checkout.path().join("pipe");
            mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
            symlink(target, checkout.path().join(name)).unwrap();
            if let Some(also) = also {
                fs::write(checkout.path().join(also), "services: {web: {build: .}}").unwrap();
            }
            let mut child = Command::new(env!("CARGO_BIN_EXE_build-deploy"))
                .arg("plan")
                .env_clear()
                .env("GITHUB_WORKSPACE", checkout.path())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            // It stays open, so that the pipe does not end.
            let _input = child.stdin.take();
            let (code, said) = ended(child, Duration::from_secs(5));
            assert_eq!(code, Some(2), "{name} -> {target}:\n{said}");
            // What is outside the checkout is not even looked at.
            let is_kind = said.contains(&format!("{name}`: expected a regular file, found {kind}"));
            let told = is_kind || (target.starts_with('/') && said.contains("which is outside the checkout"));
            assert!(told, "{name} -> {target}:\n{said}");
        }
    }
}

#[test]
fn files_that_are_too_large_are_named() {
    let checkout = tempfile::tempdir().unwrap();
    // All holes: nothing of it is on the disk.
    fs::File::create(checkout.path().join("compose.yaml")).unwrap().set_len(1 << 40).unwrap();
    let (code, said) = ended(start(checkout.path(), "plan", &[]), Duration::from_secs(5));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("`compose.yaml`: larger than 1024 KiB"), "{said}");
}
