//! Reads files that others wrote, such as those of a checkout: regular files only, and no more of them than a bound.
//!
//! A checkout may have a symbolic link to a device that never ends, or a named pipe that nobody writes to.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use rustix::fs::{Mode, OFlags};
use thiserror::Error;

/// Blocks on nothing, should a pipe take the file's place after it was looked at, and gets no terminal.
const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Type of the file system `/proc`, whose files count as regular ones although some never end
/// (<https://man7.org/linux/man-pages/man2/statfs.2.html>).
const PROC: i64 = 0x9fa0;

/// Why a file is not read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// A directory, device, pipe or socket.
    #[error("it is {0}, not a regular file")]
    Special(&'static str),
    /// Larger than the bound.
    #[error("it is larger than {} KiB", .0 >> 10)]
    TooLarge(u64),
    /// Not UTF-8, where text is asked for.
    #[error("it is not UTF-8")]
    NotText,
    /// The system's reason.
    #[error(transparent)]
    System(#[from] io::Error),
}

impl ReadError {
    /// Whether there is no such file.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::System(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
    }
}

/// The bytes of a regular file of at most `limit` bytes. Symbolic links are followed.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    // To open a device may already do something, so it is looked at before; and after, since it may have been replaced.
    check(&fs::metadata(path)?, limit)?;
    let file = File::from(rustix::fs::open(path, FLAGS, Mode::empty()).map_err(io::Error::from)?);
    let metadata = file.metadata()?;
    check(&metadata, limit)?;
    if rustix::fs::fstatfs(&file).is_ok_and(|system| system.f_type == PROC) {
        return Err(ReadError::Special("a file of /proc"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    // It may grow while it is read.
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(ReadError::TooLarge(limit)) } else { Ok(bytes) }
}

/// The same as text.
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
    fn reads_regular_files_up_to_a_bound() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "12345").unwrap();
        symlink("file", directory.path().join("link")).unwrap();
        assert_eq!(read(&directory.path().join("link"), 5).unwrap(), b"12345");
        fs::write(&file, vec![b'x'; 2049]).unwrap();
        assert_eq!(read(&file, 2048).unwrap_err().to_string(), "it is larger than 2 KiB");
        fs::write(&file, b"\xff").unwrap();
        assert_eq!(read_text(&file, 5).unwrap_err().to_string(), "it is not UTF-8");
        assert!(read(&directory.path().join("none"), 5).unwrap_err().is_missing());
        assert!(read(&file.join("below"), 5).unwrap_err().is_missing());
    }

    #[test]
    fn reads_nothing_that_may_never_end() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let socket = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, want) in [
            (directory.path(), "it is a directory, not a regular file"),
            (&pipe, "it is a named pipe, not a regular file"),
            (&socket, "it is a socket, not a regular file"),
            (Path::new("/dev/zero"), "it is a device, not a regular file"),
            (Path::new("/proc/self/environ"), "it is a file of /proc, not a regular file"),
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
