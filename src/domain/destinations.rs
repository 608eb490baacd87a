//! The names under which an image is published.

use serde::Serialize;

use super::{repository::Repository, tag::Tag};

/// The names of one image: its repositories and its tags. Each repository gets all tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Destinations {
    /// The image's own repository.
    pub repository: Repository,
    /// More repositories that get the same image under the same tags.
    pub copies: Vec<Repository>,
    /// The tags; the first is the version. Empty if no rule of `tags` applies to the event.
    pub tags: Vec<Tag>,
}

impl Destinations {
    /// Returns all repositories, the image's own first.
    pub fn repositories(&self) -> impl Iterator<Item = &Repository> {
        std::iter::once(&self.repository).chain(&self.copies)
    }

    /// Returns all names: each repository with each tag.
    pub fn names(&self) -> impl Iterator<Item = (&Repository, &Tag)> {
        self.repositories().flat_map(|repository| self.tags.iter().map(move |tag| (repository, tag)))
    }

    /// Returns the first tag, which names the version.
    pub fn version(&self) -> Option<&str> {
        self.tags.first().map(Tag::as_str)
    }
}

#[cfg(test)]
impl Default for Destinations {
    fn default() -> Self {
        let repository = Repository::parse("ghcr.io/acme/app").unwrap();
        Self { repository, copies: Vec::new(), tags: Vec::new() }
    }
}
