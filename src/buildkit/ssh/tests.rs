//! Agents behind the stream that BuildKit opens: OpenSSH's own, and peers that are not agents.

use std::{
    fs,
    os::unix::net::UnixListener as StdListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures_util::StreamExt as _;
use ssh_key::{LineEnding, PrivateKey, private::Ed25519Keypair};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::mpsc,
    time::Instant,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{
    Agent, AgentSource, Agents, Answers, BytesMessage, Remote, STREAMS, SshError, Upstream,
    protocol::{LONGEST, Request},
};

const LIST: [u8; 5] = [0, 0, 0, 1, 11];
const FAILURE: [u8; 5] = [0, 0, 0, 1, 5];
const NO_KEYS: [u8; 9] = [0, 0, 0, 5, 12, 0, 0, 0, 0];
/// A request to sign the data `d` with a key named `k`.
const SIGN: [u8; 19] = [0, 0, 0, 15, 13, 0, 0, 0, 1, b'k', 0, 0, 0, 1, b'd', 0, 0, 0, 0];
const SIGNATURE: [u8; 10] = [0, 0, 0, 6, 14, 0, 0, 0, 1, b's'];

fn read(source: AgentSource) -> Result<Agents, SshError> {
    Agents::read(&[("default".to_owned(), source)])
}

#[test]
fn what_cannot_be_served_is_told_before_the_build() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let _listener = StdListener::bind(path("agent")).unwrap();
    fs::write(path("pem"), "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n").unwrap();
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32])).to_openssh(LineEnding::CRLF).unwrap();
    fs::write(path("key"), key.trim_end()).unwrap();
    let files = |names: &[&str]| AgentSource::Files(names.iter().map(|name| path(name)).collect());
    assert!(read(AgentSource::Environment(Some(path("agent")))).is_ok());
    assert!(read(files(&["agent"])).is_ok() && read(files(&["key"])).is_ok());
    assert_eq!(read(AgentSource::Environment(None)).unwrap_err(), SshError::NoAgent);
    let gone = AgentSource::Environment(Some(PathBuf::from("/nowhere/agent.1")));
    assert_eq!(read(gone).unwrap_err(), SshError::SocketMissing("/nowhere/agent.1".into()));
    assert!(matches!(read(files(&["none"])).unwrap_err(), SshError::Unreadable { .. }));
    assert_eq!(read(files(&["pem"])).unwrap_err(), SshError::NotAKey(path("pem").display().to_string()));
    assert!(matches!(read(files(&["key", "agent"])).unwrap_err(), SshError::Mixed(_)));
}

/// BuildKit's end of one stream.
struct Stream {
    asks: mpsc::Sender<Result<BytesMessage, Status>>,
    answers: Answers,
}

impl Stream {
    fn open(agents: &Agents) -> Self {
        let upstream = match &agents.by_id["default"] {
            Agent::Keys(keys) => Upstream::Keys(keys.clone()),
            Agent::Socket(path) => Upstream::Socket(Remote::new(path.clone())),
        };
        let (asks, asked) = mpsc::channel(64);
        let permit = agents.streams.clone().try_acquire_owned().unwrap();
        Self { asks, answers: agents.serve(upstream, ReceiverStream::new(asked), permit) }
    }

    async fn ask(&self, data: &[u8]) {
        let _ = self.asks.send(Ok(BytesMessage { data: data.to_vec() })).await;
    }

    /// Returns the next answer; `None` at the end of the stream, even after an error.
    async fn answer(&mut self) -> Option<Vec<u8>> {
        self.answers.next().await.and_then(Result::ok).map(|message| message.data)
    }
}

/// A step in the script of a peer, which runs once per connection: bytes to wait for, or bytes to send.
#[derive(Clone)]
enum Act {
    Hear(Vec<u8>),
    Say(Vec<u8>),
    /// Signals that the script has reached this step.
    Tell,
    /// Keeps the connection open.
    Wait,
}
use Act::{Hear, Say, Tell, Wait};

struct Peer {
    agents: Agents,
    /// Bytes that the script did not expect, sent when the connection ends; empty for [`Tell`].
    rest: mpsc::Receiver<Vec<u8>>,
    connections: mpsc::Receiver<()>,
    _directory: TempDir,
}

impl Peer {
    fn new(script: Vec<Act>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let agents = read(AgentSource::Files(vec![path])).unwrap();
        let (tell, rest) = mpsc::channel(256);
        let (connected, connections) = mpsc::channel(256);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connected.send(()).await.unwrap();
                tokio::spawn(play(stream, script.clone(), tell.clone()));
            }
        });
        Self { agents, rest, connections, _directory: directory }
    }

    fn stream(&self) -> Stream {
        Stream::open(&self.agents)
    }

    fn failures(&self) -> Vec<String> {
        self.agents.take_failures().into_iter().collect()
    }
}

async fn play(mut stream: UnixStream, script: Vec<Act>, tell: mpsc::Sender<Vec<u8>>) {
    for act in script {
        match act {
            Hear(bytes) => {
                let mut heard = vec![0; bytes.len()];
                if stream.read_exact(&mut heard).await.is_err() {
                    return;
                }
                assert_eq!(heard, bytes);
            }
            Say(bytes) => drop(stream.write_all(&bytes).await),
            Tell => tell.send(Vec::new()).await.unwrap(),
            Wait => {
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
                let _ = tell.send(rest).await;
            }
        }
    }
}

#[tokio::test]
async fn only_requests_to_list_and_to_sign_reach_an_agent() {
    let script =
        vec![Hear(LIST.into()), Say(NO_KEYS.into()), Hear(SIGN.into()), Say(SIGNATURE.into()), Hear(LIST.into())];
    let mut peer = Peer::new([script, vec![Say(FAILURE.into()), Wait]].concat());
    let mut stream = peer.stream();
    // Adding a key, locking, and binding the session as `ssh` does, before and between.
    let mut extension = vec![27, 0, 0, 0, 24];
    extension.extend(b"session-bind@openssh.com");
    let extension = [&u32::try_from(extension.len()).unwrap().to_be_bytes()[..], &extension].concat();
    for refused in [&[0, 0, 0, 1, 17][..], &[0, 0, 0, 5, 22, 0, 0, 0, 0], &extension] {
        stream.ask(refused).await;
        assert_eq!(stream.answer().await.unwrap(), FAILURE);
    }
    assert!(peer.connections.try_recv().is_err(), "nothing that may pass was asked");
    stream.ask(&LIST).await;
    assert_eq!(stream.answer().await.unwrap(), NO_KEYS);
    // In pieces, and two at once.
    stream.ask(&SIGN[..7]).await;
    stream.ask(&[&SIGN[7..], &extension, &LIST].concat()).await;
    for answer in [&SIGNATURE[..], &FAILURE, &FAILURE] {
        assert_eq!(stream.answer().await.unwrap(), answer);
    }
    drop(stream);
    assert_eq!(peer.rest.recv().await.unwrap(), Vec::<u8>::new());
    assert_eq!(peer.failures(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn whatever_is_no_agent_gets_no_byte_that_the_build_chose() {
    // An engine's API takes bytes until there is a line. The build would send one in what is to be signed.
    let data = b"\r\n\r\nPOST /containers/create HTTP/1.1\r\nHost: x\r\n\r\n";
    let sign = Request::Sign { key: b"k", data, flags: 0 }.encode();
    for raw in [&b"GET /info HTTP/1.1\r\nHost: x\r\n\r\n"[..], &sign] {
        let mut peer = Peer::new(vec![Wait]);
        let mut stream = peer.stream();
        stream.ask(raw).await;
        assert_eq!(stream.answer().await, None);
        drop(stream);
        if raw == sign {
            assert_eq!(peer.rest.recv().await.unwrap(), LIST);
            assert_eq!(peer.failures().len(), 1);
        } else {
            assert!(peer.connections.try_recv().is_err());
        }
    }
}

/// For each peer: its behavior, the time until it is detected, and the error message.
#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_answer_ends_the_stream_and_is_named() {
    let list = Hear(LIST.to_vec());
    let say = |bytes: &[u8]| Say(bytes.to_vec());
    let proven = [list.clone(), say(&NO_KEYS), Hear(SIGN.to_vec())];
    let after_proof = |acts: &[Act]| [&proven, acts].concat();
    let too_long = u32::try_from(LONGEST + 1).unwrap().to_be_bytes();
    let http = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    let complete = "closed the connection without a complete answer";
    for (script, seconds, words) in [
        (vec![], 0, complete),
        (vec![list.clone()], 0, complete),
        (after_proof(&[]), 0, complete),
        (after_proof(&[say(&SIGNATURE[..6])]), 0, complete),
        (vec![Wait], 10, "did not answer within 10 s"),
        (after_proof(&[Wait]), 60, "did not answer within 60 s"),
        (after_proof(&[say(&SIGNATURE[..6]), Wait]), 60, "did not answer within 60 s"),
        (vec![list.clone(), say(http), Wait], 0, "answered with HTTP, so it is not an SSH agent"),
        (vec![say(http)], 0, "answered with HTTP, so it is not an SSH agent"),
        (vec![say(b"OK Pleased to meet you\n"), Wait], 0, "sent a message of 1330323536 bytes"),
        (vec![list.clone(), say(&too_long), Wait], 0, "sent a message of 262145 bytes"),
        (vec![list.clone(), say(&[0; 4]), Wait], 0, "sent a message of 0 bytes"),
        (vec![list.clone(), say(&SIGNATURE), Wait], 0, "sent a message of type 14"),
        (vec![list.clone(), say(&[0, 0, 0, 2, 12, 0]), Wait], 0, "sent an answer of type 12 that is malformed"),
        (vec![list.clone(), say(&[&NO_KEYS[..], &NO_KEYS].concat()), Wait], 0, "sent data without a request"),
        (after_proof(&[say(&NO_KEYS), Wait]), 0, "sent a message of type 12"),
        (after_proof(&[say(&[0, 0, 0, 1, 6]), Wait]), 0, "sent a message of type 6"),
    ] {
        let peer = Peer::new(script);
        let mut stream = peer.stream();
        let started = Instant::now();
        stream.ask(&SIGN).await;
        assert_eq!(stream.answer().await, None, "{words}");
        assert_eq!(started.elapsed().as_secs(), seconds, "{words}");
        let [failure] = &peer.failures()[..] else { panic!("{words}") };
        assert!(failure.starts_with('/') && failure.contains(words), "{words}: {failure}");
        assert_eq!(peer.failures(), Vec::<String>::new(), "a failure is reported once");
    }
}

#[tokio::test]
async fn an_agent_that_leaves_ends_an_idle_stream() {
    let peer = Peer::new(vec![Hear(LIST.into()), Say(NO_KEYS.into())]);
    let mut stream = peer.stream();
    stream.ask(&LIST).await;
    assert_eq!(stream.answer().await.unwrap(), NO_KEYS);
    assert!(stream.answers.next().await.is_none());
    assert_eq!(peer.failures(), Vec::<String>::new());
    // A peer that sends an unrequested message is no longer treated as an agent.
    let peer = Peer::new(vec![Hear(LIST.into()), Say(NO_KEYS.into()), Hear(LIST.into()), Say([NO_KEYS; 2].concat())]);
    let mut stream = peer.stream();
    stream.ask(&[LIST, LIST].concat()).await;
    assert_eq!(stream.answer().await.unwrap(), NO_KEYS);
    assert_eq!(stream.answer().await, None);
    assert!(peer.failures()[0].contains("sent data without a request"));
}

#[tokio::test]
async fn a_build_that_is_no_client_ends_its_own_stream_only() {
    let script = vec![Hear(LIST.into()), Say(NO_KEYS.into()), Hear(LIST.into()), Tell, Wait];
    let mut peer = Peer::new(script);
    let (mut good, mut bad) = (peer.stream(), peer.stream());
    bad.ask(b"GET / HTTP/1.1\r\n\r\n").await;
    let status = bad.answers.next().await.unwrap().unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert!(bad.answers.next().await.is_none());
    // If the build hangs up while the agent is busy, the connection to the agent is closed.
    let thinking = peer.stream();
    thinking.ask(&[LIST, LIST].concat()).await;
    peer.rest.recv().await.unwrap();
    drop(thinking);
    peer.rest.recv().await.unwrap();
    good.ask(&LIST).await;
    assert_eq!(good.answer().await.unwrap(), NO_KEYS);
    assert_eq!(peer.failures(), Vec::<String>::new());
}

#[tokio::test]
async fn streams_are_many_independent_and_bounded() {
    let peer = Peer::new(vec![Hear(LIST.into()), Say(NO_KEYS.into()), Wait]);
    let mut streams: Vec<Stream> = (0..STREAMS).map(|_| peer.stream()).collect();
    assert!(peer.agents.streams.clone().try_acquire_owned().is_err());
    for stream in &mut streams {
        stream.ask(&LIST).await;
    }
    for stream in streams.iter_mut().rev() {
        assert_eq!(stream.answer().await.unwrap(), NO_KEYS);
    }
    drop(streams);
    let again = peer.agents.streams.clone();
    assert!(again.acquire_many(u32::try_from(STREAMS).unwrap()).await.is_ok(), "a stream that ended makes room");
}

#[tokio::test]
async fn a_socket_that_is_gone_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent");
    drop(StdListener::bind(&path).unwrap());
    let agents = read(AgentSource::Files(vec![path])).unwrap();
    let mut stream = Stream::open(&agents);
    stream.ask(&LIST).await;
    assert_eq!(stream.answer().await, None);
    let failures = format!("{:?}", agents.take_failures());
    assert!(failures.contains("cannot connect: Connection refused"), "{failures}");
}

/// OpenSSH's agent, which ends with the test.
struct OpenSsh {
    child: Child,
    socket: PathBuf,
}

impl OpenSsh {
    async fn start(directory: &Path) -> Self {
        let socket = directory.join("agent");
        let mut agent = Command::new("ssh-agent");
        let child = agent.args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        while UnixStream::connect(&socket).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { child, socket }
    }
}

impl Drop for OpenSsh {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The socket inside a build step, behind which BuildKit copies bytes.
fn bridge(agents: &Agents, path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    let agents = agents.clone();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let mut stream = Stream::open(&agents);
            let (mut from, mut to) = connection.into_split();
            let asks = stream.asks.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 999];
                while let Ok(read @ 1..) = from.read(&mut buffer).await {
                    let _ = asks.send(Ok(BytesMessage { data: buffer[..read].to_vec() })).await;
                }
            });
            tokio::spawn(async move {
                while let Some(data) = stream.answer().await {
                    to.write_all(&data).await.unwrap();
                }
            });
        }
    });
}

/// Runs a program of OpenSSH with an agent. Returns its status and output.
async fn openssh(socket: &Path, program: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = tokio::process::Command::new(program);
    let output = command.args(arguments).env("SSH_AUTH_SOCK", socket).stdin(Stdio::null()).output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test]
async fn programs_of_openssh_list_and_sign_and_do_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let agent = OpenSsh::start(directory.path()).await;
    fs::write(path("message"), "hello").unwrap();
    let kinds = ["ed25519", "ecdsa", "rsa"];
    for kind in kinds {
        let made = openssh(&agent.socket, "ssh-keygen", &["-q", "-N", "", "-t", kind, "-f", &path(kind)]).await;
        assert!(made.0, "{made:?}");
        let added = openssh(&agent.socket, "ssh-add", &["-q", &path(kind)]).await;
        assert!(added.0, "{added:?}");
    }
    let theirs = read(AgentSource::Environment(Some(agent.socket.clone()))).unwrap();
    let ours = read(AgentSource::Files(kinds.map(|kind| directory.path().join(kind)).into())).unwrap();
    for (agents, name) in [(theirs, "theirs"), (ours, "ours")] {
        let socket = directory.path().join(name);
        bridge(&agents, &socket);
        let (_, listed) = openssh(&socket, "ssh-add", &["-L"]).await;
        assert_eq!(listed.lines().count(), kinds.len(), "{name}: {listed}");
        for kind in kinds {
            let _ = fs::remove_file(path("message.sig"));
            let key = path(&format!("{kind}.pub"));
            let sign = ["-q", "-Y", "sign", "-n", "file", "-f", &key, &path("message")];
            let signed = openssh(&socket, "ssh-keygen", &sign).await;
            assert!(signed.0, "{name}: {signed:?}");
            let message = fs::File::open(path("message")).unwrap();
            let mut check = Command::new("ssh-keygen");
            check.args(["-Y", "check-novalidate", "-n", "file", "-s", &path("message.sig")]).stdin(message);
            let checked = check.output().unwrap();
            assert!(checked.status.success(), "{name} {kind}: {checked:?}");
        }
        for arguments in [&["-D"][..], &["-d", &path("rsa.pub")], &["-q", &path("rsa")]] {
            let refused = openssh(&socket, "ssh-add", arguments).await;
            assert!(!refused.0, "{name} {arguments:?}: {refused:?}");
        }
        let (_, listed) = openssh(&agent.socket, "ssh-add", &["-L"]).await;
        assert_eq!(listed.lines().count(), kinds.len(), "{name}: {listed}");
        assert!(agents.take_failures().is_empty());
    }
}
