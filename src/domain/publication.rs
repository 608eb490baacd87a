//! The results of publishing an image's tags.

use super::digest::Digest;

/// The results of publishing one image, for all tags in all of its repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The digest that the tags should point to.
    pub digest: Option<Digest>,
    /// Whether the digest differs from the previous one of the first tag; `None` if unknown.
    pub changed: Option<bool>,
    /// Compressed size in bytes, if it became known only during publication.
    pub size: Option<u64>,
    /// Every tag in every repository, in the order of the plan.
    pub tags: Vec<TagResult>,
}

/// The result for one tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagResult {
    /// `registry/path`.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// Its state.
    pub state: TagState,
}

/// The state of a tag after the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagState {
    /// Moved to the image.
    Moved,
    /// It already pointed to the image.
    Unchanged,
    /// Moved, then restored to its previous image because another tag of the run failed.
    Restored,
    /// Moved, but could not be restored, so it points to the image.
    RestoreFailed,
    /// Not moved, so it still points to its previous image.
    NotMoved,
    /// Deliberately not moved, because it belongs to a newer commit.
    Kept,
    /// The registry did not confirm whether it moved.
    Unknown,
}

impl TagState {
    /// Returns the state in a few words, for users.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::Unchanged => "already up to date",
            Self::Restored => "restored",
            Self::RestoreFailed => "restore failed",
            Self::NotMoved => "not moved",
            Self::Kept => "kept at a newer image",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the tag is known to point to the image.
    pub fn is_published(&self) -> bool {
        matches!(self, Self::Moved | Self::Unchanged | Self::RestoreFailed)
    }

    /// Whether the tag points to the intended image.
    fn is_as_planned(&self) -> bool {
        matches!(self, Self::Moved | Self::Unchanged | Self::Kept)
    }
}

impl TagResult {
    /// Returns `registry/path:tag`.
    pub fn reference(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }
}

impl Publication {
    /// Whether every tag points to the intended image.
    pub fn is_complete(&self) -> bool {
        self.tags.iter().all(|tag| tag.state.is_as_planned())
    }

    /// Whether this tag was not moved because it belongs to a newer commit.
    pub fn is_kept(&self, repository: &str, tag: &str) -> bool {
        let mut kept = self.tags.iter().filter(|result| result.state == TagState::Kept);
        kept.any(|result| result.repository == repository && result.tag == tag)
    }

    /// Returns the tags that are known to point to the image.
    pub fn published(&self) -> impl Iterator<Item = &TagResult> {
        self.tags.iter().filter(|tag| tag.state.is_published())
    }

    /// Returns the references of the tags, grouped by the description of their state.
    pub fn by_state(&self) -> Vec<(&'static str, Vec<String>)> {
        let mut groups: Vec<(&'static str, Vec<String>)> = Vec::new();
        for tag in &self.tags {
            let label = tag.state.label();
            match groups.iter_mut().find(|(known, _)| *known == label) {
                Some((_, references)) => references.push(tag.reference()),
                None => groups.push((label, vec![tag.reference()])),
            }
        }
        groups
    }
}
