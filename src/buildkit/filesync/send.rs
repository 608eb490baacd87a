//! Answers the daemon's `DiffCopy` calls: lists a directory, and sends the files that the daemon then requests.
//!
//! The daemon reads one ordered stream of packets from us. Two threads write to it: one lists, the other reads files.
//! Both wait while the daemon is busy, so that neither accumulates in memory.
//! Source: `send.go` of `github.com/tonistiigi/fsutil`.

use std::{
    collections::HashMap,
    fs::File,
    io::Read,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use bollard_buildkit_proto::{
    fsutil::types::{Packet, packet::PacketType},
    moby::filesync::packet::file_sync_server,
};
use tokio::sync::mpsc::{self, error::TryRecvError};
use tonic::{Response, Status, Streaming};

use super::{
    FileSyncError, Monitor, SharedDir, Source, Stats,
    disk::{self, Disk},
    filter::{Filter, without_nested},
    follow::follow,
    memory::Memory,
    packets::{PacketStream, packet},
    request::Request,
    table::{Content, Fingerprint, Table},
    walk::{Listed, Stop, walk},
};

/// Most bytes of content in one packet, and in one batch of packets before it is sent.
const CHUNK: usize = 64 << 10;
/// Entries in one batch.
const ENTRIES: usize = 64;
/// Batches that may wait for the daemon.
const BATCHES: usize = 4;
/// Requests that may be queued before the daemon has to wait.
const REQUESTS: usize = 128;

/// The service `moby.filesync.v1.FileSync` for a set of directories.
///
/// Each call uses up to two of the runtime's blocking threads.
#[derive(Debug)]
pub struct FileSync {
    dirs: HashMap<String, Shared>,
    monitor: Monitor,
}

#[derive(Clone, Debug)]
struct Shared {
    source: Origin,
    stats: Arc<Stats>,
}

#[derive(Clone, Debug)]
enum Origin {
    Path(Arc<std::path::Path>),
    Memory(Arc<Memory>),
}

/// An open source.
#[derive(Debug)]
enum Tree {
    Disk(Disk),
    Memory(Arc<Memory>),
}

impl FileSync {
    /// Shares these directories. Nothing is read before the daemon requests it. Of two with the same name the last is used.
    pub fn new(dirs: Vec<SharedDir>) -> Self {
        let mut all = HashMap::new();
        let mut stats = Vec::new();
        for SharedDir { name, source } in dirs {
            let source = match source {
                Source::Path(path) => Origin::Path(path.into()),
                Source::Memory(files) => Origin::Memory(Arc::new(Memory::new(files))),
            };
            let counters = Arc::new(Stats::default());
            stats.push((name.clone(), Arc::clone(&counters)));
            all.insert(name, Shared { source, stats: counters });
        }
        Self { dirs: all, monitor: Monitor { stats: stats.into(), failure: Arc::default() } }
    }

    /// Observes the counters and failures after a server has taken ownership of this.
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }
}

#[tonic::async_trait]
impl file_sync_server::FileSync for FileSync {
    type DiffCopyStream = PacketStream;
    type TarStreamStream = PacketStream;

    async fn diff_copy(
        &self,
        request: tonic::Request<Streaming<Packet>>,
    ) -> Result<Response<Self::DiffCopyStream>, Status> {
        let wanted = Request::new(request.metadata())?;
        let Some(shared) = self.dirs.get(&wanted.dir) else {
            return Err(Status::not_found(format!("no access allowed to dir {:?}", wanted.dir)));
        };
        let (out, batches) = mpsc::channel(BATCHES);
        let transfer = Transfer {
            stats: if wanted.is_ignore_file() { Arc::default() } else { Arc::clone(&shared.stats) },
            monitor: self.monitor.clone(),
            table: Arc::default(),
            out,
        };
        let source = shared.source.clone();
        let (opened, tree) = tokio::sync::oneshot::channel();
        tokio::task::spawn_blocking({
            let transfer = transfer.clone();
            move || transfer.clone().report(|| transfer.list(&source, &wanted, opened))
        });
        tokio::spawn(transfer.answer(request.into_inner(), tree));
        Ok(Response::new(PacketStream::new(batches)))
    }

    async fn tar_stream(
        &self,
        _request: tonic::Request<Streaming<Packet>>,
    ) -> Result<Response<Self::TarStreamStream>, Status> {
        Err(Status::unimplemented("only DiffCopy is served"))
    }
}

/// One call of the daemon.
#[derive(Clone)]
struct Transfer {
    stats: Arc<Stats>,
    monitor: Monitor,
    table: Arc<Mutex<Table>>,
    out: mpsc::Sender<Vec<Packet>>,
}

impl Transfer {
    /// Does the work, and reports a failure to the daemon and to the [`Monitor`].
    fn report(self, work: impl FnOnce() -> Result<(), Stop>) {
        if let Err(Stop::Failed(error)) = work() {
            self.monitor.fail(&error);
            // If the receiver is gone, the error is not needed.
            let _ = self.out.blocking_send(vec![packet(PacketType::PacketErr, 0, error.to_string().into_bytes())]);
        }
    }

    /// Lists what the daemon requested of the source.
    fn list(
        &self,
        source: &Origin,
        wanted: &Request,
        opened: tokio::sync::oneshot::Sender<Arc<Tree>>,
    ) -> Result<(), Stop> {
        let tree = Arc::new(match source {
            Origin::Path(path) => Tree::Disk(Disk::open(path)?),
            Origin::Memory(memory) => Tree::Memory(Arc::clone(memory)),
        });
        // Fails if the daemon has hung up, which the first send below detects.
        let _ = opened.send(Arc::clone(&tree));
        let filter = tree.filter(wanted)?;
        let mut listing = Listing { transfer: self, batch: Vec::with_capacity(ENTRIES), first_names: HashMap::new() };
        let mut list = |listed| listing.add(listed);
        match &*tree {
            Tree::Disk(disk) => walk(disk, &filter, &mut list)?,
            Tree::Memory(memory) => memory.walk(&filter, &mut list)?,
        }
        listing.batch.push(packet(PacketType::PacketStat, 0, Vec::new()));
        listing.pass_on()
    }

    /// Reads the daemon's requests until it is done.
    async fn answer(self, mut requests: Streaming<Packet>, tree: tokio::sync::oneshot::Receiver<Arc<Tree>>) {
        let (ids, queue) = mpsc::channel(REQUESTS);
        let mut reader = Some((queue, tree));
        loop {
            let request = tokio::select! {
                request = requests.message() => request,
                () = self.out.closed() => return,
            };
            // The daemon has hung up, or has ended the call.
            let Ok(Some(request)) = request else { return };
            match request.r#type() {
                PacketType::PacketReq => {
                    if let Some((queue, tree)) = reader.take() {
                        // The daemon knows files, so the tree is open.
                        let Ok(tree) = tree.await else { return };
                        let transfer = self.clone();
                        tokio::task::spawn_blocking(move || {
                            transfer.clone().report(|| transfer.send_files(&tree, queue));
                        });
                    }
                    if ids.send(request.id).await.is_err() {
                        return;
                    }
                }
                PacketType::PacketFin => {
                    let _ = self.out.send(vec![packet(PacketType::PacketFin, 0, Vec::new())]).await;
                    return;
                }
                PacketType::PacketErr => {
                    let reason = String::from_utf8_lossy(&request.data);
                    let reason = format!("error from receiver: {reason}").into_bytes();
                    let _ = self.out.send(vec![packet(PacketType::PacketErr, 0, reason)]).await;
                    return;
                }
                PacketType::PacketStat | PacketType::PacketData => {}
            }
        }
    }

    /// Sends the requested files. Small ones are sent in one batch as long as more requests are queued.
    fn send_files(&self, tree: &Tree, mut ids: mpsc::Receiver<u32>) -> Result<(), Stop> {
        let mut batch = Batch { transfer: self, packets: Vec::new(), bytes: 0 };
        loop {
            let id = match ids.try_recv() {
                Ok(id) => id,
                Err(TryRecvError::Disconnected) => return batch.pass_on(),
                Err(TryRecvError::Empty) => {
                    batch.pass_on()?;
                    match ids.blocking_recv() {
                        Some(id) => id,
                        None => return Ok(()),
                    }
                }
            };
            let (content, path) = {
                let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
                (table.take(id).ok_or(FileSyncError::UnknownFile(id))?, table.path(id))
            };
            match (content, tree) {
                (Content::File(listed), Tree::Disk(disk)) => send_file(&mut batch, disk, id, &path, listed)?,
                (Content::File(_), Tree::Memory(memory)) => {
                    for chunk in memory.content(&path).chunks(CHUNK) {
                        batch.data(id, chunk.to_vec())?;
                    }
                }
                (Content::Empty | Content::None | Content::Sent, _) => {}
            }
            batch.data(id, Vec::new())?;
            self.stats.sent_files.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Sends the content of a file, which must not change until the end.
fn send_file(batch: &mut Batch<'_>, disk: &Disk, id: u32, path: &str, listed: Fingerprint) -> Result<(), Stop> {
    let (mut file, size) = disk.file(path, listed)?;
    let mut left = size;
    while left > 0 {
        let chunk = read_chunk(&mut file, left)
            .map_err(|error| FileSyncError::Read { path: path.to_owned(), reason: error.into() })?;
        if chunk.is_empty() {
            let how = "became shorter".to_owned();
            return Err(FileSyncError::Changed { path: path.to_owned(), how }.into());
        }
        left -= chunk.len() as u64;
        batch.data(id, chunk)?;
    }
    disk::unchanged(&file, path, listed)?;
    Ok(())
}

/// The next bytes of a file that has `left` more; fewer at its end.
fn read_chunk(file: &mut File, left: u64) -> std::io::Result<Vec<u8>> {
    let length = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
    let mut chunk = Vec::with_capacity(length);
    file.take(length as u64).read_to_end(&mut chunk)?;
    Ok(chunk)
}

impl Tree {
    fn filter(&self, wanted: &Request) -> Result<Filter, FileSyncError> {
        let mut include = wanted.include.clone();
        if !wanted.follow.is_empty() {
            let followed = match self {
                Self::Disk(disk) => follow(disk, &wanted.follow)?,
                Self::Memory(memory) => follow(&**memory, &wanted.follow)?,
            };
            if let Some(followed) = followed {
                include.extend(followed);
                include = without_nested(include).unwrap_or_default();
            }
        }
        Ok(Filter::new(&include, &wanted.exclude)?)
    }
}

/// The list that is being sent.
struct Listing<'t> {
    transfer: &'t Transfer,
    batch: Vec<Packet>,
    /// The first entry of each inode that has several names. The others are sent as links to it.
    first_names: HashMap<(u64, u64), u32>,
}

impl Listing<'_> {
    fn add(&mut self, listed: Listed) -> Result<(), Stop> {
        let Listed { mut stat, inode, content } = listed;
        {
            let mut table = self.transfer.table.lock().unwrap_or_else(PoisonError::into_inner);
            let id = table.push(&stat.path, content).ok_or(FileSyncError::TooMany)?;
            if let Some(inode) = inode {
                let first = *self.first_names.entry(inode).or_insert(id);
                if first != id {
                    stat.linkname = table.path(first);
                }
            }
        }
        if content != Content::None {
            self.transfer.stats.files.fetch_add(1, Ordering::Relaxed);
        }
        self.batch.push(Packet { stat: Some(stat), ..packet(PacketType::PacketStat, 0, Vec::new()) });
        if self.batch.len() < ENTRIES { Ok(()) } else { self.pass_on() }
    }

    fn pass_on(&mut self) -> Result<(), Stop> {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(ENTRIES));
        self.transfer.out.blocking_send(batch).map_err(|_| Stop::Gone)
    }
}

/// Content that is being sent.
struct Batch<'t> {
    transfer: &'t Transfer,
    packets: Vec<Packet>,
    bytes: usize,
}

impl Batch<'_> {
    /// Sends bytes of a file; an empty slice marks its end.
    fn data(&mut self, id: u32, bytes: Vec<u8>) -> Result<(), Stop> {
        self.transfer.stats.sent_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.bytes += bytes.len() + size_of::<Packet>();
        self.packets.push(packet(PacketType::PacketData, id, bytes));
        if self.bytes < CHUNK { Ok(()) } else { self.pass_on() }
    }

    fn pass_on(&mut self) -> Result<(), Stop> {
        if self.packets.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        self.transfer.out.blocking_send(std::mem::take(&mut self.packets)).map_err(|_| Stop::Gone)
    }
}
