//! A tar archive of a few files (POSIX.1-1988, "ustar"). Pure.

use super::settings::SyncedFile;

/// The size of a block.
const BLOCK: usize = 512;

/// An archive with these files. Names are valid, see [`SyncedFile::new`].
pub(super) fn pack(files: &[SyncedFile]) -> Vec<u8> {
    let mut archive = Vec::new();
    for file in files {
        archive.extend_from_slice(&header(file));
        archive.extend_from_slice(file.content());
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}

fn header(file: &SyncedFile) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    let (prefix, name) = split(file.path()).unwrap_or(("", file.path()));
    put(0, name);
    put(100, if file.is_executable() { "0000755" } else { "0000644" });
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{:011o}", file.content().len()));
    put(136, "00000000000");
    // The checksum counts as blanks while it is computed.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar");
    put(263, "00");
    put(345, prefix);
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Prefix and name of a path, as the header holds them; `None` if it is too long.
pub(super) fn split(path: &str) -> Option<(&str, &str)> {
    if path.len() <= 100 {
        return Some(("", path));
    }
    let fits = |(at, _): &(usize, &str)| *at <= 155 && path.len() - at - 1 <= 100;
    path.match_indices('/').find(fits).map(|(at, _)| (&path[..at], &path[at + 1..]))
}

#[cfg(test)]
mod tests {

    use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _, process::Command, process::Stdio};

    use super::{super::settings::SyncedFile, pack};

    #[test]
    fn tar_unpacks_it() {
        let long = format!("{}/{}", "d".repeat(120), "f".repeat(90));
        let files = [
            SyncedFile::new("compose.yml", b"services: {}\n".to_vec(), false).unwrap(),
            SyncedFile::new("bin/it's here", vec![0xff; 1024], true).unwrap(),
            SyncedFile::new(&long, Vec::new(), false).unwrap(),
        ];
        let directory = tempfile::tempdir().unwrap();
        let mut tar =
            Command::new("tar").arg("-xf-").arg("-C").arg(directory.path()).stdin(Stdio::piped()).spawn().unwrap();
        tar.stdin.take().unwrap().write_all(&pack(&files)).unwrap();
        assert!(tar.wait().unwrap().success());
        for file in &files {
            assert_eq!(fs::read(directory.path().join(file.path())).unwrap(), file.content());
        }
        let mode = |name: &str| fs::metadata(directory.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("compose.yml"), mode("bin/it's here")), (0o644, 0o755));
    }
}
