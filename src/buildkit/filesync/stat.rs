//! Converts the system's metadata of a file to the `Stat` of BuildKit's protocol. Pure.
//!
//! Source: `stat.go` and `stat_unix.go` of `github.com/tonistiigi/fsutil`, and Go's `os.FileMode`.

use bollard_buildkit_proto::fsutil::types::Stat;
use rustix::fs::FileType;

/// Bits of Go's `os.FileMode`; the lowest nine are those of Unix.
pub(super) mod mode {
    /// A directory.
    pub(in super::super) const DIR: u32 = 1 << 31;
    /// A symbolic link.
    pub(in super::super) const SYMLINK: u32 = 1 << 27;
    /// A device; a block device unless [`CHAR_DEVICE`] is set too.
    pub(in super::super) const DEVICE: u32 = 1 << 26;
    /// A named pipe.
    pub(in super::super) const FIFO: u32 = 1 << 25;
    /// Set user id.
    pub(in super::super) const SETUID: u32 = 1 << 23;
    /// Set group id.
    pub(in super::super) const SETGID: u32 = 1 << 22;
    /// A character device.
    pub(in super::super) const CHAR_DEVICE: u32 = 1 << 21;
    /// Sticky.
    pub(in super::super) const STICKY: u32 = 1 << 20;
}

/// The `Stat` of a file, all but link target and extended attributes. Owner and group are 0, as with `docker build`.
pub(super) fn stat(path: String, file: &rustix::fs::Stat) -> Stat {
    let kind = FileType::from_raw_mode(file.st_mode);
    let (major, minor) = match kind {
        FileType::BlockDevice | FileType::CharacterDevice => device(file.st_rdev),
        _ => (0, 0),
    };
    Stat {
        path,
        mode: go_mode(file.st_mode),
        size: if kind == FileType::Directory { 0 } else { file.st_size },
        mod_time: modified(file),
        devmajor: major,
        devminor: minor,
        ..Stat::default()
    }
}

/// Modification time in nanoseconds since 1970.
pub(super) fn modified(file: &rustix::fs::Stat) -> i64 {
    let nanoseconds = i64::try_from(file.st_mtime_nsec).unwrap_or_default();
    file.st_mtime.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

/// A Unix mode as `os.FileMode`. A socket becomes a regular file, as fsutil has it.
fn go_mode(unix: u32) -> u32 {
    let kind = match FileType::from_raw_mode(unix) {
        FileType::Directory => mode::DIR,
        FileType::Symlink => mode::SYMLINK,
        FileType::BlockDevice => mode::DEVICE,
        FileType::CharacterDevice => mode::DEVICE | mode::CHAR_DEVICE,
        FileType::Fifo => mode::FIFO,
        _ => 0,
    };
    let special = [(0o4000, mode::SETUID), (0o2000, mode::SETGID), (0o1000, mode::STICKY)];
    special.into_iter().filter(|(bit, _)| unix & bit != 0).fold(unix & 0o777 | kind, |mode, (_, go)| mode | go)
}

/// Major and minor number, with the widths that fsutil gives them.
fn device(number: u64) -> (i64, i64) {
    let major = (number >> 8) & 0xfff;
    let minor = (number & 0xff) | ((number >> 12) & 0xf_ff00);
    (i64::try_from(major).unwrap_or_default(), i64::try_from(minor).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right column is what Go's `fmt.Printf("%#x", uint32(info.Mode()))` gives, the socket bit cleared.
    #[test]
    fn modes_are_gos() {
        for (unix, go) in [
            (0o100_644, 0x1a4),
            (0o040_755, 0x8000_01ed),
            (0o041_777, 0x8010_01ff),
            (0o120_777, 0x0800_01ff),
            (0o104_755, 0x0080_01ed),
            (0o102_755, 0x0040_01ed),
            (0o010_600, 0x0200_0180),
            (0o140_755, 0x1ed),
            (0o060_660, 0x0400_01b0),
            (0o020_666, 0x0420_01b6),
        ] {
            assert_eq!(go_mode(unix), go, "{unix:o}");
        }
    }

    #[test]
    fn device_numbers_are_split() {
        assert_eq!(device(0x0103), (1, 3));
        assert_eq!(device(0x0010_0800), (8, 0x100));
    }
}
