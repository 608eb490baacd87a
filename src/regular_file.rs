//! Reads untrusted files, such as those of a checkout: only regular files, and only up to a limit.
//!
//! A checkout may contain a symbolic link to an endless device, or a named pipe without a writer.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use rustix::fs::{Mode, OFlags};
use thiserror::Error;

/// Does not block if a pipe replaces the file after the check, and never acquires a terminal.
const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Type of the file system `/proc`. Its files count as regular, although some are endless
/// (<https://man7.org/linux/man-pages/man2/statfs.2.html>).
const PROC: i64 = 0x9fa0;

/// Why a file was not read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// A directory, device, pipe or socket.
    #[error("expected a regular file, found {0}")]
    Special(&'static str),
    /// Larger than the limit.
    #[error("larger than {} KiB", .0 >> 10)]
    TooLarge(u64),
    /// Not valid UTF-8.
    #[error("not valid UTF-8")]
    NotText,
    /// A system error.
    #[error(transparent)]
    System(#[from] io::Error),
}

impl ReadError {
    /// Whether the file does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::System(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
    }
}

/// Reads a regular file of at most `limit` bytes. Follows symbolic links.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    // Check before, since opening a device may have effects, and after, since the file may have been replaced.
    check(&fs::metadata(path)?, limit)?;
    let file = File::from(rustix::fs::open(path, FLAGS, Mode::empty()).map_err(io::Error::from)?);
    let metadata = file.metadata()?;
    check(&metadata, limit)?;
    if rustix::fs::fstatfs(&file).is_ok_and(|system| system.f_type == PROC) {
        return Err(ReadError::Special("a file of /proc"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    // The file may grow in the meantime.
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(ReadError::TooLarge(limit)) } else { Ok(bytes) }
}

/// Reads a regular file as UTF-8 text.
pub fn read_text(path: &Path, limit: u64) -> Result<String, ReadError> {
    String::from_utf8(read(path, limit)?).map_err(|_| ReadError::NotText)
}

fn check(metadata: &fs::Metadata, limit: u64) -> Result<(), ReadError> {
    use std::os::unix::fs::FileTypeExt as _;

    let kind = metadata.file_type();
    let special = if kind.is_file() {
        return if metadata.len() > limit { Err(ReadError::TooLarge(limit)) } else { Ok(()) };
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(ReadError::Special(special))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, path::Path};

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::{read, read_text};

    #[test]
    fn reads_regular_files_up_to_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "12345").unwrap();
        symlink("file", directory.path().join("link")).unwrap();
        assert_eq!(read(&directory.path().join("link"), 5).unwrap(), b"12345");
        fs::write(&file, vec![b'x'; 2049]).unwrap();
        assert_eq!(read(&file, 2048).unwrap_err().to_string(), "larger than 2 KiB");
        fs::write(&file, b"\xff").unwrap();
        assert_eq!(read_text(&file, 5).unwrap_err().to_string(), "not valid UTF-8");
        assert!(read(&directory.path().join("none"), 5).unwrap_err().is_missing());
        assert!(read(&file.join("below"), 5).unwrap_err().is_missing());
    }

    #[test]
    fn rejects_special_files() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let socket = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, want) in [
            (directory.path(), "expected a regular file, found a directory"),
            (&pipe, "expected a regular file, found a named pipe"),
            (&socket, "expected a regular file, found a socket"),
            (Path::new("/dev/zero"), "expected a regular file, found a device"),
            (Path::new("/proc/self/environ"), "expected a regular file, found a file of /proc"),
        ] {
            let link = directory.path().join("link");
            symlink(path, &link).unwrap();
            for path in [path, &link] {
                assert_eq!(read(path, 1 << 20).unwrap_err().to_string(), want, "{}", path.display());
            }
            fs::remove_file(link).unwrap();
        }
    }
}
