//! The SSH client with the lab's sshd.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command as Process, Stdio},
    time::Duration,
};

use build_deploy::{
    domain::secret::Secret,
    ssh::{Command, Connection, ExitStatus, Identity, KnownHosts, Server, SshError},
};

use super::{
    lab::var,
    site::{Site, USUAL},
};

fn lab_file(name: &str) -> String {
    fs::read_to_string(Path::new(&var("LAB_SERVER_DIR")).join("ssh").join(name)).unwrap()
}

#[tokio::test]
async fn commands() {
    let site = Site::new("commands", USUAL).await;
    let connection = Connection::open(&site.server()).await.unwrap();
    let run = async |argv: &[&str], input: &[u8]| {
        connection.run(&Command::new(argv.iter().copied()).input(input)).await.unwrap()
    };
    let words = run(&["printf", "%s|", "a b", "$HOME", "it's", "\"*\""], b"").await;
    assert_eq!((words.status, words.stdout), (ExitStatus::Exited(0), b"a b|$HOME|it's|\"*\"|".to_vec()));
    let failed = run(&["sh", "-c", "cat; echo wrong >&2; exit 7"], b"input").await;
    assert_eq!(
        (failed.status, &failed.stdout[..], &failed.stderr[..]),
        (ExitStatus::Exited(7), &b"input"[..], &b"wrong\n"[..])
    );
    let killed = run(&["exec", "sh", "-c", "kill -TERM $$"], b"").await;
    assert_eq!(killed.status, ExitStatus::Killed("TERM".into()));
    let large = run(&["head", "-c", "3000000", "/dev/zero"], b"").await;
    assert_eq!((large.stdout.len(), large.is_cut), (1 << 20, true));
    let input = vec![b'x'; 500_000];
    assert_eq!(run(&["wc", "-c"], &input).await.stdout, b"500000\n");
    let slow = connection.run(&Command::new(["sleep", "60"]).limit(Duration::from_millis(300))).await;
    assert!(matches!(slow, Err(SshError::TimedOut { .. })));
    site.ssh.cut();
    assert!(matches!(connection.run(&Command::new(["true"])).await, Err(SshError::Lost { .. })));
    assert!(connection.is_closed());
}

#[tokio::test]
async fn keys_of_every_kind() {
    let site = Site::new("keys", USUAL).await;
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let mut server = site.server();
        server.identities = vec![Identity { key: Secret::new(lab_file(&format!("id_{kind}"))), passphrase: None }];
        Connection::open(&server).await.unwrap();
        // The server offers several host keys; only one of them is known.
        let line = lab_file("known_hosts").lines().find(|line| line.contains(kind)).unwrap().to_owned();
        let line = line.replace(&var("LAB_SERVER"), &format!("[127.0.0.1]:{}", site.ssh.port));
        server.known_hosts = KnownHosts::parse(&line).unwrap();
        Connection::open(&server).await.unwrap();
    }
    let mut server = site.server();
    server.identities = vec![Identity { key: Secret::new(lab_file("ssh_host_ed25519_key")), passphrase: None }];
    let error = Connection::open(&server).await.unwrap_err();
    assert!(matches!(&error, SshError::Login { user, .. } if user == "deploy"), "{error}");
    assert!(error.to_string().contains("ssh-ed25519 SHA256:"), "{error}");
}

#[tokio::test]
async fn several_keys() {
    let site = Site::new("several", USUAL).await;
    let identity = |key: String| Identity { key: Secret::new(key), passphrase: None };
    let good = || identity(lab_file("id_ed25519"));
    let others = ["id_ecdsa.pub", "ssh_host_rsa_key", "ssh_host_ed25519_key"].map(|name| identity(lab_file(name)));
    let [unusable, foreign, another] = others;
    let mut server = site.server();
    server.identities = vec![unusable.clone(), foreign.clone(), another.clone(), good()];
    Connection::open(&server).await.unwrap();
    server.identities = vec![unusable.clone(), foreign.clone()];
    let error = Connection::open(&server).await.unwrap_err().to_string();
    assert!(error.ends_with("; another key was not tried: expected a private key, found a public key"), "{error}");
    server.identities = vec![unusable];
    let error = Connection::open(&server).await.unwrap_err();
    assert!(matches!(error, SshError::Key { .. }), "{error}");
    // A server closes the connection after some refusals.
    server.identities = vec![foreign; 9];
    let error = Connection::open(&server).await.unwrap_err();
    assert!(matches!(error, SshError::Login { .. }), "{error}");
}

#[tokio::test]
async fn host_keys_that_are_not_known_are_refused() {
    let site = Site::new("hosts", USUAL).await;
    let mut server = site.server();
    let host = format!("[127.0.0.1]:{}", site.ssh.port);
    let key = lab_file("ssh_host_ed25519_key.pub");
    let key = key.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let other = lab_file("id_ed25519.pub");
    let cases = [
        (String::new(), "is unknown", format!("add this line to `ssh-known-hosts`: {host} {key}")),
        (
            format!("{host} {other}"),
            "differs from the one in line 1",
            format!("replace line 1 of `ssh-known-hosts` with: {host} {key}"),
        ),
        (format!("{host} {key}\n@revoked * {key}"), "is revoked by line 2", "do not use this server".to_owned()),
        (
            format!("@cert-authority {host} {other}"),
            "line 1 of the known hosts names a certificate authority",
            "add this line".to_owned(),
        ),
    ];
    for (text, problem, hint) in cases {
        server.known_hosts = KnownHosts::parse(&text).unwrap();
        let error = Connection::open(&server).await.unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with(&format!("deploy@{host}: ")) && message.contains(problem), "{message}");
        assert!(message.contains("ssh-ed25519 SHA256:"), "{message}");
        assert!(error.hint().unwrap().contains(&hint), "{:?}", error.hint());
    }
}

#[tokio::test]
async fn servers_that_do_not_answer() {
    let site = Site::new("silent", USUAL).await;
    let server = site.server();
    site.ssh.close();
    let error = Connection::open(&server).await.unwrap_err();
    assert!(matches!(error, SshError::Connect { .. }) && error.is_outage(), "{error}");
}

#[tokio::test]
async fn the_input_of_a_command_ends_with_its_handle() {
    let site = Site::new("input", USUAL).await;
    let connection = Connection::open(&site.server()).await.unwrap();
    let flag = site.directory.join("ended");
    let script = format!("echo started; cat >/dev/null; touch {}", flag.display());
    let mut process = connection.start(&Command::new(["sh", "-c", &script])).await.unwrap();
    assert_eq!(process.line().await.as_deref(), Some("started"));
    assert!(!flag.exists());
    drop(process);
    for _ in 0..50 {
        if flag.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it is still running");
}

#[tokio::test]
async fn the_keys_of_an_agent() {
    let site = Site::new("agent", USUAL).await;
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent");
    let mut agent = Process::new("ssh-agent").args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn().unwrap();
    while !socket.exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let server = Server { identities: Vec::new(), agent: Some(socket.clone()), ..site.server() };
    let error = Connection::open(&server).await.unwrap_err();
    assert!(matches!(&error, SshError::Login { key, .. } if key == "(none is given)"), "{error}");
    // The first of them is not that of the user.
    for name in ["ssh_host_ecdsa_key", "id_rsa"] {
        let path = directory.path().join(name);
        fs::write(&path, lab_file(name)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let added = Process::new("ssh-add").arg("-q").arg(&path).env("SSH_AUTH_SOCK", &socket).status().unwrap();
        assert!(added.success());
    }
    let connection = Connection::open(&server).await.unwrap();
    let output = connection.run(&Command::new(["id", "-un"])).await.unwrap();
    assert_eq!(output.stdout, b"deploy\n");
    agent.kill().unwrap();
    agent.wait().unwrap();
    let error = Connection::open(&server).await.unwrap_err();
    assert!(matches!(error, SshError::Agent { .. }), "{error}");
}

#[tokio::test]
async fn through_another_server() {
    let site = Site::new("jump", USUAL).await;
    let known = KnownHosts::parse(&lab_file("known_hosts")).unwrap();
    let server = Server {
        host: var("LAB_SERVER"),
        port: 22,
        known_hosts: known.clone(),
        jump: Some(Box::new(site.server())),
        ..site.server()
    };
    let connection = Connection::open(&server).await.unwrap();
    let output = connection.run(&Command::new(["sh", "-c", "echo ${SSH_CLIENT%% *}"])).await.unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        var("LAB_SERVER"),
        "the connection comes from the other server"
    );
    site.ssh.cut();
    assert!(matches!(connection.run(&Command::new(["true"])).await, Err(SshError::Lost { .. })));
    let unknown = Server { known_hosts: KnownHosts::default(), ..server.clone() };
    let error = Connection::open(&unknown).await.unwrap_err();
    assert!(matches!(error, SshError::HostKey { .. }), "{error}");
    let closed = Server { port: 1, ..server };
    let error = Connection::open(&closed).await.unwrap_err();
    assert!(matches!(error, SshError::Connect { .. }), "{error}");
}

#[tokio::test]
async fn a_dropped_connection_is_closed() {
    let site = Site::new("dropped", USUAL).await;
    let connection = Connection::open(&site.server()).await.unwrap();
    assert_eq!(site.ssh.streams(), 1);
    drop(connection);
    for _ in 0..50 {
        if site.ssh.streams() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it is still open");
}
