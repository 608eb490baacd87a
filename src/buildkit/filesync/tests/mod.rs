//! The other end of the protocol: a receiver that is as strict as BuildKit's, over a real gRPC connection in memory.

mod listing;
mod transfer;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::symlink,
    path::Path,
};

use bollard_buildkit_proto::{
    fsutil::types::{Packet, Stat, packet::PacketType},
    moby::filesync::packet::{file_sync_client::FileSyncClient, file_sync_server::FileSyncServer},
};
use hyper_util::rt::TokioIo;
use tokio::{io::DuplexStream, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Status,
    metadata::{MetadataKey, MetadataValue},
    transport::{Channel, Endpoint},
};

use super::*;

const DIR: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;
/// Go's `os.ModeType`: what is set in it has no content.
const TYPE: u32 = DIR | SYMLINK | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19;

/// Creates a directory from lines such as `dir a`, `file a/b`, `file a/c=content` and `link a/d -> ../b`.
fn tree(lines: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for line in lines {
        let (kind, rest) = line.split_once(' ').unwrap();
        let at = |path: &str| root.path().join(path);
        match kind {
            "dir" => fs::create_dir(at(rest)).unwrap(),
            "file" => {
                let (path, content) = rest.split_once('=').unwrap_or((rest, ""));
                fs::write(at(path), content).unwrap();
            }
            "link" => {
                let (path, target) = rest.split_once(" -> ").unwrap();
                symlink(target, at(path)).unwrap();
            }
            _ => panic!("{line}"),
        }
    }
    root
}

/// The daemon's request.
#[derive(Clone, Copy, Debug, Default)]
struct Ask<'a> {
    dir: &'a str,
    include: &'a [&'a str],
    exclude: &'a [&'a str],
    follow: &'a [&'a str],
}

impl Ask<'_> {
    /// Writes the metadata as BuildKit's `encodeOpts` does.
    fn request<T>(&self, stream: T) -> Request<T> {
        let mut request = Request::new(stream);
        for (key, values) in [
            ("dir-name", &[self.dir][..]),
            ("include-patterns", self.include),
            ("exclude-patterns", self.exclude),
            ("followpaths", self.follow),
        ] {
            let key = MetadataKey::from_static(key);
            let escaped = values.iter().any(|value| !value.is_ascii());
            for value in values {
                let value = if escaped { escape(value) } else { (*value).to_owned() };
                request.metadata_mut().append(key.clone(), value.parse().unwrap());
            }
            if escaped {
                let flag: MetadataKey<_> = format!("{key}-encoded").parse().unwrap();
                request.metadata_mut().insert(flag, MetadataValue::from_static("1"));
            }
        }
        request
    }
}

/// Go's `url.QueryEscape`.
fn escape(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// Serves over a connection in memory, as the session does over the engine's socket.
async fn connect(filesync: FileSync) -> FileSyncClient<Channel> {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    tokio::spawn(serve(filesync, ours));
    client(theirs).await
}

async fn serve(filesync: FileSync, stream: DuplexStream) {
    let incoming = tokio_stream::iter([Ok::<_, std::io::Error>(stream)]);
    let incoming = tokio_stream::StreamExt::chain(incoming, tokio_stream::pending());
    server().add_service(FileSyncServer::new(filesync)).serve_with_incoming(incoming).await.unwrap();
}

async fn client(stream: DuplexStream) -> FileSyncClient<Channel> {
    let mut stream = Some(stream);
    let connector = tower::service_fn(move |_| {
        let stream = stream.take().map(TokioIo::new).ok_or_else(|| std::io::Error::other("used up"));
        std::future::ready(stream)
    });
    FileSyncClient::new(Endpoint::from_static("http://memory").connect_with_connector(connector).await.unwrap())
}

fn shared(name: &str, path: &Path) -> FileSync {
    FileSync::new(vec![SharedDir { name: name.to_owned(), source: Source::Path(path.to_owned()) }])
}

/// The behavior of a receiver.
struct Plan<'a> {
    wanted: &'a (dyn Fn(&Stat) -> bool + Sync),
    /// Runs when everything is listed; files are requested only after that.
    between: Option<Box<dyn FnOnce() + Send + 'a>>,
    /// Runs after this number of requests.
    after: Option<(usize, Box<dyn FnOnce() + Send>)>,
}

const EVERYTHING: Plan<'static> = Plan { wanted: &|_| true, between: None, after: None };

/// The received entries and contents.
#[derive(Debug, Default)]
struct Received {
    stats: Vec<Stat>,
    contents: BTreeMap<String, Vec<u8>>,
}

impl Received {
    /// The list in the notation of fsutil's tests.
    fn lines(&self) -> Vec<String> {
        let line = |stat: &Stat| match stat.mode {
            mode if mode & DIR != 0 => format!("dir {}", stat.path),
            mode if mode & SYMLINK != 0 => format!("link {} -> {}", stat.path, stat.linkname),
            _ if stat.linkname.is_empty() => format!("file {}", stat.path),
            _ => format!("file {} >{}", stat.path, stat.linkname),
        };
        self.stats.iter().map(line).collect()
    }

    fn stat(&self, path: &str) -> &Stat {
        self.stats.iter().find(|stat| stat.path == path).unwrap_or_else(|| panic!("{path} was not listed"))
    }
}

/// Receives like BuildKit: checks order, links and ids, requests files as they are listed, ends with `FIN`.
/// The error is the text of an `ERR` packet.
async fn receive(client: &mut FileSyncClient<Channel>, ask: Ask<'_>, mut plan: Plan<'_>) -> Result<Received, String> {
    // As in Go, requests do not wait for received data, and each is a separate frame.
    let (requests, mut queue) = mpsc::unbounded_channel();
    let (frames, stream) = mpsc::channel(1);
    let mut after = plan.after.take();
    tokio::spawn(async move {
        let mut sent = 0;
        while let Some(request) = queue.recv().await {
            if frames.send(request).await.is_err() {
                return;
            }
            sent += 1;
            if let Some((_, run)) = after.take_if(|(count, _)| *count == sent) {
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                run();
            }
        }
    });
    let call = client.diff_copy(ask.request(ReceiverStream::new(stream))).await;
    let mut packets = call.map_err(|status| status.message().to_owned())?.into_inner();
    let mut received = Received::default();
    let mut validator = Validator::default();
    let mut held_back = Vec::new();
    let mut open: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    let mut listed = false;
    loop {
        if listed && open.is_empty() {
            requests.send(packet(PacketType::PacketFin, 0)).unwrap();
            let fin = packets.message().await.unwrap().expect("FIN is answered");
            assert_eq!(fin.r#type(), PacketType::PacketFin);
            assert_eq!(packets.message().await.unwrap(), None, "nothing follows FIN");
            return Ok(received);
        }
        let Some(next) = packets.message().await.map_err(|status| status.message().to_owned())? else {
            panic!("the stream ended without FIN");
        };
        match next.r#type() {
            PacketType::PacketStat => {
                if let Some(stat) = next.stat {
                    assert!(!listed, "{} after the end of the list", stat.path);
                    validator.check(&stat).unwrap();
                    let id = u32::try_from(received.stats.len()).unwrap();
                    if stat.mode & TYPE == 0 && stat.linkname.is_empty() && (plan.wanted)(&stat) {
                        open.insert(id, Vec::new());
                        if plan.between.is_some() {
                            held_back.push(id);
                        } else {
                            requests.send(packet(PacketType::PacketReq, id)).unwrap();
                        }
                    }
                    received.stats.push(stat);
                } else {
                    listed = true;
                    if let Some(between) = plan.between.take() {
                        between();
                    }
                    for id in held_back.drain(..) {
                        requests.send(packet(PacketType::PacketReq, id)).unwrap();
                    }
                }
            }
            PacketType::PacketData if next.data.is_empty() => {
                let content = open.remove(&next.id).expect("an end for an open file");
                let path = received.stats[next.id as usize].path.clone();
                received.contents.insert(path, content);
            }
            PacketType::PacketData => open.get_mut(&next.id).expect("data for an open file").extend(next.data),
            PacketType::PacketErr => {
                let text = String::from_utf8(next.data).unwrap();
                let end = packets.message().await.expect_err("ERR is the last packet");
                assert_eq!(end.message(), text);
                return Err(text);
            }
            other => panic!("{other:?} from the sender"),
        }
    }
}

fn packet(kind: PacketType, id: u32) -> Packet {
    Packet { r#type: kind.into(), id, ..Packet::default() }
}

/// fsutil's `Validator` and `Hardlinks`.
#[derive(Default)]
struct Validator {
    /// Directories above the last entry, and the last name in each.
    above: Vec<(String, String)>,
    files: BTreeSet<String>,
}

impl Validator {
    fn check(&mut self, stat: &Stat) -> Result<(), String> {
        let path = &stat.path;
        if path.is_empty() || path.starts_with('/') || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(format!("unclean path {path:?}"));
        }
        if self.above.is_empty() {
            self.above.push((String::new(), String::new()));
        }
        let (dir, base) = path.rsplit_once('/').unwrap_or(("", path));
        while self.above.last().is_some_and(|(above, _)| above != dir) {
            self.above.pop();
        }
        match self.above.last_mut() {
            Some((_, last)) if last.as_bytes() < base.as_bytes() => *last = base.to_owned(),
            last => return Err(format!("{path:?} out of order after {last:?}")),
        }
        if stat.mode & DIR != 0 {
            self.above.push((path.clone(), String::new()));
        } else if stat.mode & SYMLINK == 0 {
            if stat.linkname.is_empty() {
                self.files.insert(path.clone());
            } else if !self.files.contains(&stat.linkname) {
                return Err(format!("invalid link {path:?} to unknown path {:?}", stat.linkname));
            }
        }
        Ok(())
    }
}

/// fsutil's table for its validator: ours must be as strict, or the tests prove nothing.
#[test]
fn the_validator_is_as_strict_as_fsutils() {
    for (paths, valid) in [
        (&["foo", "foo2"][..], true),
        (&["foo", "foo2", "bar"], false),
        (&["foo", "foo2", "foo2"], false),
        (&["foo", "foo2", "foo2/"], false),
        (&["bar", "foo/baz"], false),
        (&["bar", "bar/baz"], false),
        (&["foo/bar"], false),
        (&["foo/", "foo/bar"], true),
        (
            &[
                "foo/",
                "foo/bar",
                "foo/bay/",
                "foo/bay/aa",
                "foo/bay/ab/",
                "foo/bay/abb/",
                "foo/bay/abb/a/",
                "foo/bay/ba",
                "foo/baz",
            ],
            true,
        ),
        (&["foo/", "foo/bar", "foo/bay/", "foo/bay/aa", "foo/bay/", "foo/baz"], false),
        (&["foo/", "foo/bar", "foo/bay/", "foo/bay/aa", "foo/bay/ab/", "foo/bar"], false),
        (&["foo/", "foo/a/", "foo/a/b/foo/"], false),
        (&["foo/", "foo/a/", "foo.2/"], true),
        (&["foo.a/", "foo/a/a/"], false),
        (&["foo/", "foo./", "foo/"], false),
        (&["bar/", "bar/foo/a/"], false),
        (&["bar>foo", "foo"], false),
        (&["foo", "foo2>bar"], false),
        (&["foo", "foo2>foo"], true),
        (&["foo/", "foo2>foo"], false),
    ] {
        let mut validator = Validator::default();
        let result = paths.iter().try_for_each(|path| {
            let (path, link) = path.split_once('>').unwrap_or((path, ""));
            let mode = if path.ends_with('/') { DIR } else { 0 };
            let path = path.trim_end_matches('/').to_owned();
            validator.check(&Stat { path, mode, linkname: link.to_owned(), ..Stat::default() })
        });
        assert_eq!(result.is_ok(), valid, "{paths:?}: {result:?}");
    }
}

/// Sends the entries of a directory that `ask` requests.
async fn send(path: &Path, ask: Ask<'_>) -> Result<Received, String> {
    let ask = Ask { dir: "context", ..ask };
    receive(&mut connect(shared("context", path)).await, ask, EVERYTHING).await
}

/// The status with which a call is refused.
async fn refusal(client: &mut FileSyncClient<Channel>, ask: Ask<'_>) -> Status {
    client.diff_copy(ask.request(tokio_stream::empty())).await.unwrap_err()
}
