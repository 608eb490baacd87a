//! Reads a directory on disk. Everything is opened beneath its root without following symbolic links, so that a link that
//! appears during the build cannot lead out of the directory.

use std::{
    fs::File,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags},
    io::Errno,
};

use super::{FileSyncError, Reason, follow::Links, glob, stat, table::Fingerprint};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);
/// A named pipe that replaced a file must not block us.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);
const PLACE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// An open directory tree.
#[derive(Debug)]
pub(super) struct Disk {
    root: OwnedFd,
    path: PathBuf,
}

impl Disk {
    /// Opens the tree at `path`, which may be a symbolic link.
    pub(super) fn open(path: &Path) -> Result<Self, FileSyncError> {
        let failed = |reason: Reason| FileSyncError::Root { path: path.to_owned(), reason };
        let real = path.canonicalize().map_err(|error| failed(error.into()))?;
        let root = rustix::fs::open(&real, DIRECTORY, Mode::empty()).map_err(|error| failed(error.into()))?;
        Ok(Self { root, path: real })
    }

    /// The root.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The path of the root, without symbolic links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file at the relative `path` and returns its size, if it is still the one that was listed.
    pub(super) fn file(&self, path: &str, listed: Fingerprint) -> Result<(File, u64), FileSyncError> {
        let changed = |how: &str| FileSyncError::Changed { path: path.to_owned(), how: how.to_owned() };
        let fd = self.open_below(path, FILE).map_err(|error| match error {
            Errno::NOENT | Errno::NOTDIR => changed("was deleted"),
            Errno::LOOP | Errno::NXIO => changed("is no longer a file"),
            error => FileSyncError::Read { path: path.to_owned(), reason: error.into() },
        })?;
        let size = unchanged(&fd, path, listed)?;
        Ok((File::from(fd), size))
    }

    fn open_below(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
            // The errors of kernels before 5.6 and of sandboxes that do not support the call.
            Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN | Errno::INVAL) => open_stepwise(self.root(), path, flags),
            result => result,
        }
    }
}

/// The size of an open file, if it is still the one that was listed.
pub(super) fn unchanged(file: impl AsFd, path: &str, listed: Fingerprint) -> Result<u64, FileSyncError> {
    let changed = |how: &str| FileSyncError::Changed { path: path.to_owned(), how: how.to_owned() };
    let now =
        rustix::fs::fstat(file).map_err(|error| FileSyncError::Read { path: path.to_owned(), reason: error.into() })?;
    if FileType::from_raw_mode(now.st_mode) != FileType::RegularFile {
        return Err(changed("is no longer a file"));
    }
    if Fingerprint::new(now.st_size, stat::modified(&now)) != listed {
        return Err(changed("was modified"));
    }
    u64::try_from(now.st_size).map_err(|_| changed("has a negative size"))
}

/// Opens `path` below `root` one component at a time, following no link.
fn open_stepwise(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut above: Option<OwnedFd> = None;
    let mut rest = path;
    loop {
        let from = above.as_ref().map_or(root, AsFd::as_fd);
        let Some((part, behind)) = rest.split_once('/') else {
            if rest == ".." {
                return Err(Errno::XDEV);
            }
            return rustix::fs::openat(from, rest, flags, Mode::empty());
        };
        if part == ".." {
            return Err(Errno::XDEV);
        }
        above = Some(rustix::fs::openat(from, part, PLACE, Mode::empty())?);
        rest = behind;
    }
}

/// Opens the directory `name` within `parent`; a symbolic link there is an error.
pub(super) fn open_directory(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())
}

/// The entry `name` within `parent`; `None` if it does not exist any more.
pub(super) fn stat_at(parent: BorrowedFd<'_>, name: &[u8]) -> Result<Option<rustix::fs::Stat>, Errno> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Target of the symbolic link `name` within `parent`.
pub(super) fn link_at(parent: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>, Errno> {
    rustix::fs::readlinkat(parent, name, Vec::new()).map(std::ffi::CString::into_bytes)
}

/// The names in a directory, sorted by their bytes. One block of text, since a directory may contain very many.
#[derive(Debug, Default)]
pub(super) struct Names {
    text: Vec<u8>,
    list: Vec<(u32, u16, FileType)>,
}

impl Names {
    /// Reads the directory. `buffer` is scratch space.
    pub(super) fn read(directory: BorrowedFd<'_>, buffer: &mut [MaybeUninit<u8>]) -> Result<Self, Errno> {
        let mut names = Self::default();
        let mut entries = RawDir::new(directory, buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let start = u32::try_from(names.text.len()).map_err(|_| Errno::OVERFLOW)?;
            let length = u16::try_from(name.len()).map_err(|_| Errno::NAMETOOLONG)?;
            names.text.extend_from_slice(name);
            names.list.push((start, length, entry.file_type()));
        }
        let Self { text, list } = &mut names;
        list.sort_unstable_by(|a, b| text_of(text, *a).cmp(text_of(text, *b)));
        Ok(names)
    }

    /// The entry at this index in the order.
    pub(super) fn get(&self, at: usize) -> Option<(&[u8], FileType)> {
        self.list.get(at).map(|entry| (text_of(&self.text, *entry), entry.2))
    }
}

fn text_of(text: &[u8], (start, length, _): (u32, u16, FileType)) -> &[u8] {
    let start = start as usize;
    text.get(start..start + usize::from(length)).unwrap_or_default()
}

impl Links for Disk {
    fn target(&self, path: &str) -> Result<Option<String>, FileSyncError> {
        if path == "." || path == ".." || path.starts_with("../") {
            return Ok(None);
        }
        let (dir, base) = glob::split(path);
        let target = self.open_below(dir, PLACE).and_then(|dir| link_at(dir.as_fd(), base.as_bytes()));
        match target {
            Ok(target) => match String::from_utf8(target) {
                Ok(target) => Ok(Some(target)),
                Err(_) => Err(FileSyncError::NotUtf8 { what: "link target", path: path.to_owned() }),
            },
            Err(error) if is_absent(error) => Ok(None),
            Err(error) => Err(FileSyncError::Read { path: path.to_owned(), reason: error.into() }),
        }
    }

    fn names(&self, path: &str) -> Result<Vec<String>, FileSyncError> {
        let mut buffer = vec![MaybeUninit::uninit(); 8192];
        let names = self.open_below(path, DIRECTORY).and_then(|dir| Names::read(dir.as_fd(), &mut buffer));
        match names {
            // A name that is not UTF-8 cannot be sent, so its target is not needed.
            Ok(names) => Ok((0..)
                .map_while(|at| names.get(at))
                .filter_map(|(name, _)| std::str::from_utf8(name).ok().map(str::to_owned))
                .collect()),
            Err(error) if is_absent(error) => Ok(Vec::new()),
            Err(error) => Err(FileSyncError::Read { path: path.to_owned(), reason: error.into() }),
        }
    }
}

/// Whether nothing exists at a path within the root, or it is not a link (`EINVAL`).
fn is_absent(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::INVAL | Errno::LOOP | Errno::XDEV | Errno::NAMETOOLONG)
}

/// An extended attribute.
#[derive(Debug)]
pub(super) struct Attribute {
    /// Its name, namespace included.
    pub(super) name: Vec<u8>,
    /// Its value.
    pub(super) value: Vec<u8>,
}

/// Extended attributes of what is at the absolute `path`, a symbolic link itself included. `scratch` is for names.
pub(super) fn attributes(path: &Path, scratch: &mut [u8]) -> Result<Vec<Attribute>, Errno> {
    let list = match rustix::fs::llistxattr(path, &mut *scratch) {
        // The second means a file system without attributes, the third a file that is gone.
        Ok(0) | Err(Errno::NOTSUP | Errno::NOENT) => return Ok(Vec::new()),
        Ok(length) => scratch.get(..length).unwrap_or_default().to_vec(),
        Err(Errno::RANGE) => {
            let mut list = vec![0; rustix::fs::llistxattr_query(path)?];
            let length = rustix::fs::llistxattr(path, list.as_mut_slice())?;
            list.truncate(length);
            list
        }
        Err(error) => return Err(error),
    };
    let names = list.split(|byte| *byte == 0).filter(|name| !name.is_empty() && !name.starts_with(b"com.apple."));
    // One that may not be read is left out, as fsutil does.
    Ok(names.filter_map(|name| Some(Attribute { name: name.to_vec(), value: attribute(path, name)? })).collect())
}

fn attribute(path: &Path, name: &[u8]) -> Option<Vec<u8>> {
    let mut value = vec![0; rustix::fs::lgetxattr_query(path, name).ok()?];
    let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).ok()?;
    value.truncate(length);
    Some(value)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn nothing_is_opened_outside_of_the_root_with_and_without_openat2() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/f"), "").unwrap();
        fs::write(outer.path().join("secret"), "").unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("a", root.join("link")).unwrap();
        symlink("../secret", root.join("file")).unwrap();
        let disk = Disk::open(&root).unwrap();
        for (path, want) in [
            ("a/b/f", None),
            ("a/b", None),
            (".", None),
            ("a/b/missing", Some(Errno::NOENT)),
            ("a/b/f/x", Some(Errno::NOTDIR)),
            ("file", Some(Errno::LOOP)),
            ("..", Some(Errno::XDEV)),
            ("../secret", Some(Errno::XDEV)),
        ] {
            assert_eq!(disk.open_below(path, FILE).err(), want, "{path}");
            assert_eq!(open_stepwise(disk.root(), path, FILE).err(), want, "{path}, stepwise");
        }
        for path in ["up/secret", "link/b/f", "a/../../secret"] {
            let errors = [disk.open_below(path, FILE).err(), open_stepwise(disk.root(), path, FILE).err()];
            assert!(errors.iter().all(Option::is_some), "{path}: {errors:?}");
        }
    }
}
