//! Remembers the entries that were listed, since the daemon may request the content of a file long after that. Takes about
//! 17 bytes per entry and its name. Pure.

/// The answer to a request for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// None: it is a directory, a link or a device, which may not be requested.
    None,
    /// An empty file, for a socket.
    Empty,
    /// The file's content, if its [`Fingerprint`] is still the same.
    File(Fingerprint),
    /// None any more: each file may be requested once.
    Sent,
}

/// A hash of a file's size and modification time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(u32);

impl Fingerprint {
    /// Hashes a size in bytes and a time in nanoseconds.
    pub(super) fn new(size: i64, modified: i64) -> Self {
        // FNV-1a.
        let bytes = size.to_le_bytes().into_iter().chain(modified.to_le_bytes());
        Self(bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)))
    }
}

#[derive(Debug)]
struct Entry {
    parent: Option<std::num::NonZeroU32>,
    /// The offset of its name in `names`; it ends where the next one begins.
    name: u32,
    content: Content,
}

/// The entries of one transfer, numbered as they are listed.
#[derive(Debug, Default)]
pub(super) struct Table {
    names: String,
    entries: Vec<Entry>,
    /// The ids of the directories above the last entry, and of the entry itself.
    above: Vec<u32>,
}

impl Table {
    /// Adds the entry at `path`, whose parents were added before, and returns its id. `None` if there are more than
    /// 2³² entries or bytes of names.
    pub(super) fn push(&mut self, path: &str, content: Content) -> Option<u32> {
        let id = u32::try_from(self.entries.len()).ok()?;
        let name = u32::try_from(self.names.len()).ok()?;
        self.above.truncate(path.bytes().filter(|byte| *byte == b'/').count());
        let parent = match self.above.last() {
            Some(parent) => Some(std::num::NonZeroU32::new(parent.checked_add(1)?)?),
            None => None,
        };
        self.names.push_str(path.rsplit_once('/').map_or(path, |(_, name)| name));
        self.entries.push(Entry { parent, name, content });
        self.above.push(id);
        Some(id)
    }

    /// The path of an entry; empty for an unknown one.
    pub(super) fn path(&self, id: u32) -> String {
        let mut names = Vec::new();
        let mut next = Some(id);
        while let Some(at) = next.take().map(|id| id as usize) {
            let Some(entry) = self.entries.get(at) else { break };
            let end = self.entries.get(at + 1).map_or(self.names.len(), |after| after.name as usize);
            names.push(self.names.get(entry.name as usize..end).unwrap_or_default());
            next = entry.parent.map(|parent| parent.get() - 1);
        }
        names.reverse();
        names.join("/")
    }

    /// The answer to a request, once. `None` if the daemon may not request it.
    pub(super) fn take(&mut self, id: u32) -> Option<Content> {
        let content = &mut self.entries.get_mut(usize::try_from(id).ok()?)?.content;
        match std::mem::replace(content, Content::Sent) {
            Content::Sent => None,
            Content::None => {
                *content = Content::None;
                None
            }
            taken => Some(taken),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_find_their_path_and_are_taken_once() {
        let mut table = Table::default();
        let print = Fingerprint::new(1, 2);
        let listed = [
            ("a", Content::None),
            ("a/b", Content::None),
            ("a/b/c.txt", Content::File(print)),
            ("a/d", Content::Empty),
            ("a.b", Content::File(print)),
            ("é", Content::None),
            ("é/ü", Content::File(print)),
        ];
        for (at, (path, content)) in listed.iter().enumerate() {
            assert_eq!(table.push(path, *content), u32::try_from(at).ok());
        }
        for (id, (path, content)) in (0..).zip(listed) {
            assert_eq!(table.path(id), path);
            assert_eq!(table.take(id), (content != Content::None).then_some(content), "{path}");
            assert_eq!(table.take(id), None, "{path}, again");
        }
        assert_eq!(table.take(99), None);
    }

    #[test]
    fn a_fingerprint_tells_size_and_time_apart() {
        let print = Fingerprint::new(10, 1_700_000_000_000_000_000);
        assert_ne!(print, Fingerprint::new(11, 1_700_000_000_000_000_000));
        assert_ne!(print, Fingerprint::new(10, 1_700_000_000_000_000_001));
        assert_eq!(std::mem::size_of::<Entry>(), 16);
    }
}
