//! A directory of a few files in memory.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use bollard_buildkit_proto::fsutil::types::Stat;

use super::{
    FileSyncError,
    filter::{Filter, Inherited, Shape, Verdict},
    follow::Links,
    glob,
    stat::mode,
    table::{Content, Fingerprint},
    walk::{Listed, Stop},
};

/// Files by the components of their path, which is the order of the protocol.
#[derive(Debug)]
pub(super) struct Memory {
    files: BTreeMap<Vec<String>, Vec<u8>>,
    /// The first invalid path.
    refused: Option<String>,
    /// The time of creation in nanoseconds since 1970, so that the daemon does not confuse them with older files of the
    /// same name and size.
    modified: i64,
}

impl Memory {
    /// A directory of these files, all created now.
    pub(super) fn new(files: Vec<(String, Vec<u8>)>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map(|age| age.as_nanos()).unwrap_or_default();
        let mut memory = Self { files: BTreeMap::new(), refused: None, modified: i64::try_from(now).unwrap_or(0) };
        for (path, content) in files {
            let clean = glob::clean(&path) == path && path != "." && path != ".." && !path.starts_with(['/', '\0']);
            if !clean || path.starts_with("../") {
                memory.refused.get_or_insert(path);
                continue;
            }
            memory.files.insert(path.split('/').map(str::to_owned).collect(), content);
        }
        memory
    }

    /// Lists what the filter keeps.
    pub(super) fn walk(&self, filter: &Filter, list: &mut impl FnMut(Listed) -> Result<(), Stop>) -> Result<(), Stop> {
        if let Some(path) = &self.refused {
            return Err(FileSyncError::MemoryPath { path: path.clone() }.into());
        }
        // The directories above the last file: path, results of the filter, whether it was listed.
        let mut above: Vec<(String, Inherited, bool)> = Vec::new();
        let mut pruned: Option<String> = None;
        for (parts, content) in &self.files {
            let path = parts.join("/");
            if pruned.as_deref().is_some_and(|dir| is_below(&path, dir)) {
                continue;
            }
            while above.last().is_some_and(|(dir, ..)| !is_below(&path, dir)) {
                above.pop();
            }
            for depth in above.len() + 1..parts.len() {
                let dir = parts.get(..depth).unwrap_or_default();
                if self.files.contains_key(dir) {
                    return Err(FileSyncError::MemoryPath { path }.into());
                }
                let dir = dir.join("/");
                let mut own = Inherited::default();
                let root = Inherited::default();
                let parent = above.last().map_or(&root, |(_, parent, _)| parent);
                match filter.judge(&dir, Shape::Directory, parent, &mut own).map_err(FileSyncError::from)? {
                    Verdict::Prune => {
                        pruned = Some(dir);
                        break;
                    }
                    Verdict::Keep => {
                        self.list_directories(&mut above, list)?;
                        list(self.directory(&dir))?;
                        above.push((dir, own, true));
                    }
                    Verdict::Skip => above.push((dir, own, false)),
                }
            }
            if above.len() + 1 < parts.len() {
                continue;
            }
            let root = Inherited::default();
            let parent = above.last().map_or(&root, |(_, parent, _)| parent);
            let mut own = Inherited::default();
            let verdict = filter.judge(&path, Shape::Other, parent, &mut own).map_err(FileSyncError::from)?;
            if verdict == Verdict::Keep {
                self.list_directories(&mut above, list)?;
                let size = i64::try_from(content.len()).map_err(|_| FileSyncError::TooMany)?;
                let content = Content::File(Fingerprint::new(size, self.modified));
                let stat = Stat { path, mode: 0o644, size, mod_time: self.modified, ..Stat::default() };
                list(Listed { stat, inode: None, content })?;
            }
        }
        Ok(())
    }

    /// The content of a file.
    pub(super) fn content(&self, path: &str) -> &[u8] {
        let parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        self.files.get(&parts).map(Vec::as_slice).unwrap_or_default()
    }

    fn list_directories(
        &self,
        above: &mut [(String, Inherited, bool)],
        list: &mut impl FnMut(Listed) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        for (dir, _, listed) in above.iter_mut().filter(|(_, _, listed)| !listed) {
            *listed = true;
            list(self.directory(dir))?;
        }
        Ok(())
    }

    fn directory(&self, path: &str) -> Listed {
        let stat = Stat { path: path.to_owned(), mode: mode::DIR | 0o755, mod_time: self.modified, ..Stat::default() };
        Listed { stat, inode: None, content: Content::None }
    }
}

fn is_below(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

/// There are no links in memory.
impl Links for Memory {
    fn target(&self, _path: &str) -> Result<Option<String>, FileSyncError> {
        Ok(None)
    }

    fn names(&self, _path: &str) -> Result<Vec<String>, FileSyncError> {
        Ok(Vec::new())
    }
}
