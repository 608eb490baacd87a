//! A tag of an image.

use std::fmt;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// A tag. Every registry accepts it: `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
/// (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>). The exception is a tag
/// from [`Tag::exact`], which may be too long or begin with `.` or `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Tag(String);

impl Tag {
    /// Maximum length, in characters.
    pub const LONGEST: usize = 128;

    /// Creates a valid tag from any text. Each sequence of invalid characters becomes one `-`, and leading `.` and `-`
    /// are removed. A text that is too long is truncated and ends with a hash of the whole text, so that the tag is
    /// unique. A text without any valid character becomes such a hash.
    pub fn repaired(text: &str) -> Self {
        let tag = sanitized(text);
        let tag = tag.trim_start_matches(['.', '-']);
        if (1..=Self::LONGEST).contains(&tag.len()) {
            return Self(tag.to_owned());
        }
        let hash = format!("{:x}", Sha256::digest(text));
        let hash = &hash[..12];
        // Only ASCII is left, so truncating cannot split a character.
        let kept = &tag[..tag.len().min(Self::LONGEST - hash.len() - 1)];
        Self(if kept.is_empty() { hash.to_owned() } else { format!("{kept}-{hash}") })
    }

    /// Creates a tag like docker/metadata-action: each sequence of invalid characters becomes one `-`.
    pub fn exact(text: &str) -> Self {
        Self(sanitized(text))
    }

    /// Returns the tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Tag {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn sanitized(text: &str) -> String {
    let mut tag = String::with_capacity(text.len());
    let mut replaced = false;
    for character in text.chars() {
        let valid = character.is_ascii_alphanumeric() || "_.-".contains(character);
        if valid {
            tag.push(character);
        } else if !replaced {
            tag.push('-');
        }
        replaced = !valid;
    }
    tag
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::Tag;

    #[test]
    fn repairs() {
        let long = "x".repeat(150);
        let cut = Tag::repaired(&long);
        assert_eq!(cut.as_str().len(), Tag::LONGEST);
        assert_ne!(cut, Tag::repaired(&"x".repeat(151)), "the hash tells them apart");
        assert_eq!(Tag::repaired(&"x".repeat(128)).as_str(), "x".repeat(128));
        for (text, want) in [("-foo", "foo"), ("..a", "a"), ("a=b&c'd", "a-b-c-d"), ("a  b", "a-b"), ("Ä_b", "_b")] {
            assert_eq!(Tag::repaired(text).as_str(), want);
        }
        assert_eq!(Tag::repaired("日本").as_str().len(), 12);
        assert_ne!(Tag::repaired("日本"), Tag::repaired("中国"));
    }

    proptest! {
        #[test]
        fn is_always_valid_and_stays_as_it_is(text in any::<String>()) {
            let tag = Tag::repaired(&text);
            let valid = regex::Regex::new(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$").unwrap();
            assert!(valid.is_match(tag.as_str()), "{tag}");
            assert_eq!(Tag::repaired(tag.as_str()), tag);
        }
    }
}
