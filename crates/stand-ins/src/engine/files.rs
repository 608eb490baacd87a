//! Takes the files of a directory that the caller offers in its session, as `fsutil` does, and refuses what that refuses.

use std::collections::{BTreeMap, HashSet};

use bollard_buildkit_proto::{
    fsutil::types::{Packet, Stat, packet::PacketType},
    moby::filesync::packet::file_sync_client::FileSyncClient,
};
use tokio::sync::mpsc;
use tonic::{Request, Status, metadata::MetadataValue};

use super::session::Session;

/// Files by path; directories and links are not kept.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Bits of Go's `os.FileMode` that a regular file does not have.
const NOT_REGULAR: u32 = 1 << 31 | 1 << 27 | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21;
const DIRECTORY: u32 = 1 << 31;

/// What is wanted of a directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted<'a> {
    /// The name under which it is offered.
    pub(super) directory: &'a str,
    /// Paths; none for everything.
    pub(super) follow: Vec<String>,
    /// Patterns of what is not wanted.
    pub(super) exclude: Vec<String>,
}

/// Takes them.
pub(super) async fn take(session: &Session, wanted: &Wanted<'_>) -> Result<Files, Status> {
    if !session.serves("/moby.filesync.v1.FileSync/DiffCopy") {
        return Err(Status::unknown("no local sources enabled"));
    }
    let (sender, receiver) = mpsc::unbounded_channel();
    let requests = futures_util::stream::unfold(receiver, async |mut receiver: mpsc::UnboundedReceiver<Packet>| {
        receiver.recv().await.map(|packet| (packet, receiver))
    });
    let mut request = Request::new(requests);
    let mut add = |key: &'static str, value: &str| {
        // Names and patterns of the tests are ASCII.
        if let Ok(value) = MetadataValue::try_from(value) {
            request.metadata_mut().append(key, value);
        }
    };
    add("dir-name", wanted.directory);
    wanted.follow.iter().for_each(|path| add("followpaths", path));
    wanted.exclude.iter().for_each(|pattern| add("exclude-patterns", pattern));
    let mut packets = FileSyncClient::new(session.channel()).diff_copy(request).await?.into_inner();
    let send = |kind: PacketType, id: u32| {
        // If the caller is gone, the next packet says so.
        let _ = sender.send(Packet { r#type: kind.into(), id, ..Packet::default() });
    };
    let mut taking = Taking::default();
    while let Some(packet) = packets.message().await? {
        match packet.r#type() {
            PacketType::PacketStat => match packet.stat {
                Some(stat) => {
                    if let Some(id) = taking.entry(&stat)? {
                        send(PacketType::PacketReq, id);
                    }
                }
                None => taking.listed = true,
            },
            PacketType::PacketData => taking.data(packet.id, &packet.data)?,
            PacketType::PacketErr => {
                return Err(Status::unknown(format!("error from sender: {}", String::from_utf8_lossy(&packet.data))));
            }
            PacketType::PacketFin => return Ok(taking.files()),
            PacketType::PacketReq => return Err(Status::unknown("the sender asks for a file")),
        }
        if taking.is_complete() {
            taking.finished = true;
            send(PacketType::PacketFin, 0);
        }
    }
    if taking.finished { Ok(taking.files()) } else { Err(Status::unknown("unexpected EOF")) }
}

#[derive(Default)]
struct Taking {
    entries: u32,
    last: Option<String>,
    directories: HashSet<String>,
    open: BTreeMap<u32, (String, Vec<u8>)>,
    done: Files,
    listed: bool,
    finished: bool,
}

impl Taking {
    /// Notes an entry; returns its number if it is a file that is wanted.
    fn entry(&mut self, stat: &Stat) -> Result<Option<u32>, Status> {
        let id = self.entries;
        self.entries += 1;
        self.check(&stat.path)?;
        self.last = Some(stat.path.clone());
        if stat.mode & DIRECTORY != 0 {
            self.directories.insert(stat.path.clone());
        }
        if stat.mode & NOT_REGULAR != 0 || !stat.linkname.is_empty() {
            return Ok(None);
        }
        self.open.insert(id, (stat.path.clone(), Vec::new()));
        Ok(Some(id))
    }

    /// Entries come in order, each after its directory.
    fn check(&self, path: &str) -> Result<(), Status> {
        let parts = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
        let clean = !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !clean {
            return Err(Status::unknown(format!("invalid unclean path {path}")));
        }
        if self.last.as_ref().is_some_and(|last| parts(last) >= parts(path)) {
            return Err(Status::unknown(format!("changes out of order: {:?} {path:?}", self.last)));
        }
        match path.rsplit_once('/') {
            Some((parent, _)) if !self.directories.contains(parent) => {
                Err(Status::unknown(format!("no parent dir for {path}")))
            }
            _ => Ok(()),
        }
    }

    fn data(&mut self, id: u32, data: &[u8]) -> Result<(), Status> {
        let unknown = || Status::unknown(format!("invalid file request {id}"));
        if data.is_empty() {
            let (path, content) = self.open.remove(&id).ok_or_else(unknown)?;
            self.done.insert(path, content);
        } else {
            self.open.get_mut(&id).ok_or_else(unknown)?.1.extend_from_slice(data);
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.listed && self.open.is_empty() && !self.finished
    }

    fn files(&mut self) -> Files {
        std::mem::take(&mut self.done)
    }
}
