//! What became of an image's tags.

use super::digest::Digest;

/// What became of the tags of one image, in all of its repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The digest that the tags stand for.
    pub digest: Option<Digest>,
    /// Whether it differs from what the first tag pointed to before; `None` if that is unknown.
    pub changed: Option<bool>,
    /// Compressed bytes, where they became known only now.
    pub size: Option<u64>,
    /// Every tag in every repository, in the plan's order.
    pub tags: Vec<TagResult>,
}

/// What became of one tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagResult {
    /// `registry/path`.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// What became of it.
    pub state: TagState,
}

/// Where a tag points after the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagState {
    /// It points to the image now, and did not before.
    Moved,
    /// It pointed to the image already.
    Unchanged,
    /// It was moved, and moved back to what it pointed to before, since another tag of the run failed.
    Restored,
    /// It points to the image: it was moved, and could not be moved back.
    RestoreFailed,
    /// It points to what it did before.
    NotMoved,
    /// It was left where it is on purpose: it belongs to a newer commit.
    Kept,
    /// The registry did not say whether it moved.
    Unknown,
}

impl TagState {
    /// The state in a few words, for people.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::Unchanged => "unchanged",
            Self::Restored => "restored",
            Self::RestoreFailed => "restore failed",
            Self::NotMoved => "not moved",
            Self::Kept => "kept",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the tag certainly points to the image.
    pub fn is_published(&self) -> bool {
        matches!(self, Self::Moved | Self::Unchanged | Self::RestoreFailed)
    }

    /// Whether the tag ended as it was meant to.
    fn is_as_planned(&self) -> bool {
        matches!(self, Self::Moved | Self::Unchanged | Self::Kept)
    }
}

impl TagResult {
    /// `registry/path:tag`.
    pub fn reference(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }
}

impl Publication {
    /// Whether every tag ended as it was meant to.
    pub fn is_complete(&self) -> bool {
        self.tags.iter().all(|tag| tag.state.is_as_planned())
    }

    /// Whether this tag was left at the image of a newer commit.
    pub fn is_kept(&self, repository: &str, tag: &str) -> bool {
        let mut kept = self.tags.iter().filter(|result| result.state == TagState::Kept);
        kept.any(|result| result.repository == repository && result.tag == tag)
    }

    /// The tags that point to the image.
    pub fn published(&self) -> impl Iterator<Item = &TagResult> {
        self.tags.iter().filter(|tag| tag.state.is_published())
    }

    /// The results in groups of one state, for a line each: `moved`, and the references.
    pub fn by_state(&self) -> Vec<(&'static str, Vec<String>)> {
        let mut groups: Vec<(&'static str, Vec<String>)> = Vec::new();
        for tag in &self.tags {
            let words = tag.state.words();
            match groups.iter_mut().find(|(known, _)| *known == words) {
                Some((_, references)) => references.push(tag.reference()),
                None => groups.push((words, vec![tag.reference()])),
            }
        }
        groups
    }
}
