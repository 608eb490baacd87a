//! Lists a directory tree in the order that BuildKit's receiver requires: a directory before its content, siblings by the
//! bytes of their names, everything below a directory before its next sibling.
//!
//! Source: `fs.go` and `filter.go` of `github.com/tonistiigi/fsutil`; its `Validator` checks the order.

use std::{
    ffi::OsStr,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use bollard_buildkit_proto::fsutil::types::Stat;
use rustix::{fs::FileType, io::Errno};

use super::{
    FileSyncError,
    disk::{self, Disk, Names},
    filter::{Filter, Inherited, Shape, Verdict},
    stat,
    table::{Content, Fingerprint},
};

/// An entry to send.
#[derive(Debug)]
pub(super) struct Listed {
    /// Its description; for a hard link, still that of the file.
    pub(super) stat: Stat,
    /// Device and inode of a file that has several names; its content is sent for the first only.
    pub(super) inode: Option<(u64, u64)>,
    /// The answer to a request for it.
    pub(super) content: Content,
}

/// Why a walk ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The receiver is gone.
    Gone,
    /// It failed.
    Failed(FileSyncError),
}

impl From<FileSyncError> for Stop {
    fn from(error: FileSyncError) -> Self {
        Self::Failed(error)
    }
}

/// An open directory of the walk.
struct Level {
    directory: OwnedFd,
    names: Names,
    next: usize,
    /// Lengths of the two paths without anything within this directory.
    path_length: usize,
    raw_length: usize,
    inherited: Inherited,
    /// Whether it was sent. A directory that the patterns exclude is sent when something in it is.
    listed: bool,
}

/// Lists the entries of `tree` that the filter keeps. Remembers only the directories above the current entry.
pub(super) fn walk(
    tree: &Disk,
    filter: &Filter,
    list: &mut impl FnMut(Listed) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut walker = Walker {
        filter,
        list,
        levels: Vec::new(),
        path: String::new(),
        raw: tree.path().as_os_str().as_bytes().to_vec(),
        entries: vec![MaybeUninit::uninit(); 32 << 10],
        attributes: vec![0; 4 << 10],
    };
    let root = tree
        .root()
        .try_clone_to_owned()
        .map_err(|error| FileSyncError::Root { path: tree.path().to_owned(), reason: error.into() })?;
    walker.enter(root, Inherited::default(), true)?;
    walker.run()
}

struct Walker<'w, L> {
    filter: &'w Filter,
    list: &'w mut L,
    levels: Vec<Level>,
    /// The relative path of the current entry, with replacements for what is not UTF-8.
    path: String,
    /// The absolute path of the current entry, unchanged.
    raw: Vec<u8>,
    /// Buffers for directory entries and for names of attributes.
    entries: Vec<MaybeUninit<u8>>,
    attributes: Vec<u8>,
}

impl<L: FnMut(Listed) -> Result<(), Stop>> Walker<'_, L> {
    fn run(&mut self) -> Result<(), Stop> {
        while let Some(mut level) = self.levels.pop() {
            let Some((directory, inherited, listed)) = self.resume(&mut level)? else { continue };
            self.levels.push(level);
            self.enter(directory, inherited, listed)?;
        }
        Ok(())
    }

    /// Continues in a directory until the next one to enter; `None` at its end.
    fn resume(&mut self, level: &mut Level) -> Result<Option<(OwnedFd, Inherited, bool)>, Stop> {
        let mut own = Inherited::default();
        let parent = level.directory.as_fd();
        while let Some((name, kind)) = level.names.get(level.next) {
            level.next += 1;
            self.set_path(level.path_length, level.raw_length, name);
            // Not every file system reports the type of an entry.
            let mut found = None;
            let mut is_directory = kind == FileType::Directory;
            if kind == FileType::Unknown {
                found = disk::stat_at(parent, name).map_err(|error| self.unreadable(error))?;
                let Some(found) = &found else { continue };
                is_directory = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
            }
            let shape = if is_directory { Shape::Directory } else { Shape::Other };
            let verdict = self.filter.judge(&self.path, shape, &level.inherited, &mut own);
            let verdict = verdict.map_err(FileSyncError::from)?;
            if verdict == Verdict::Keep {
                if found.is_none() {
                    found = disk::stat_at(parent, name).map_err(|error| self.unreadable(error))?;
                }
                // Deleted since the directory was read.
                let Some(found) = found else { continue };
                if !level.listed {
                    self.list_held_back()?;
                    self.list_directory(parent, level.path_length, level.raw_length)?;
                    level.listed = true;
                }
                self.emit(parent, name, &found)?;
            }
            if is_directory && verdict != Verdict::Prune {
                match disk::open_directory(parent, name) {
                    Ok(directory) => return Ok(Some((directory, own, verdict == Verdict::Keep))),
                    // It was replaced since it was listed.
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                    Err(Errno::ACCESS) if verdict == Verdict::Skip => {}
                    Err(error) => return Err(self.unreadable(error).into()),
                }
            }
        }
        Ok(None)
    }

    /// Reads the directory at the current path and makes it the current one.
    fn enter(&mut self, directory: OwnedFd, inherited: Inherited, listed: bool) -> Result<(), Stop> {
        let names = Names::read(directory.as_fd(), &mut self.entries).map_err(|error| self.unreadable(error))?;
        let (path_length, raw_length) = (self.path.len(), self.raw.len());
        self.levels.push(Level { directory, names, next: 0, path_length, raw_length, inherited, listed });
        Ok(())
    }

    /// Sends the directories above the current one that were not sent yet.
    fn list_held_back(&mut self) -> Result<(), Stop> {
        let mut levels = std::mem::take(&mut self.levels);
        for level in levels.iter_mut().filter(|level| !level.listed) {
            self.list_directory(level.directory.as_fd(), level.path_length, level.raw_length)?;
            level.listed = true;
        }
        self.levels = levels;
        Ok(())
    }

    fn list_directory(&mut self, directory: BorrowedFd<'_>, path_length: usize, raw_length: usize) -> Result<(), Stop> {
        let below = (self.path.split_off(path_length), self.raw.split_off(raw_length));
        let found = rustix::fs::fstat(directory).map_err(|error| self.unreadable(error))?;
        self.emit(directory, b"", &found)?;
        self.path.push_str(&below.0);
        self.raw.extend(below.1);
        Ok(())
    }

    /// Sends the entry at the current path.
    fn emit(&mut self, parent: BorrowedFd<'_>, name: &[u8], found: &rustix::fs::Stat) -> Result<(), Stop> {
        let not_utf8 = |what| FileSyncError::NotUtf8 { what, path: self.path.clone() };
        // The replacement may be in the name itself.
        if self.path.contains(char::REPLACEMENT_CHARACTER) && !self.raw.ends_with(self.path.as_bytes()) {
            return Err(not_utf8("name").into());
        }
        let mut stat = stat::stat(self.path.clone(), found);
        let kind = FileType::from_raw_mode(found.st_mode);
        if kind == FileType::Symlink {
            let target = disk::link_at(parent, name).map_err(|error| self.unreadable(error))?;
            stat.linkname = String::from_utf8(target).map_err(|_| not_utf8("link target"))?;
        }
        let attributes = disk::attributes(Path::new(OsStr::from_bytes(&self.raw)), &mut self.attributes);
        for attribute in attributes.map_err(|error| self.unreadable(error))? {
            let name = String::from_utf8(attribute.name).map_err(|_| not_utf8("extended attribute"))?;
            stat.xattrs.insert(name, attribute.value);
        }
        let content = match kind {
            FileType::RegularFile => Content::File(Fingerprint::new(stat.size, stat.mod_time)),
            FileType::Socket => Content::Empty,
            _ => Content::None,
        };
        let several = found.st_nlink > 1 && !matches!(kind, FileType::Directory | FileType::Symlink);
        let inode = several.then_some((found.st_dev, found.st_ino));
        (self.list)(Listed { stat, inode, content })
    }

    fn set_path(&mut self, path_length: usize, raw_length: usize, name: &[u8]) {
        self.path.truncate(path_length);
        if path_length > 0 {
            self.path.push('/');
        }
        self.path.push_str(&String::from_utf8_lossy(name));
        self.raw.truncate(raw_length);
        self.raw.push(b'/');
        self.raw.extend_from_slice(name);
    }

    fn unreadable(&self, error: Errno) -> FileSyncError {
        let path = if self.path.is_empty() { ".".to_owned() } else { self.path.clone() };
        FileSyncError::Read { path, reason: error.into() }
    }
}
