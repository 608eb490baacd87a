//! Which tags an image gets.

use std::fmt;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::inputs::context::{GitEvent, Target};

/// A tag that every registry takes: `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
/// (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Tag(String);

impl Tag {
    /// Most characters of a tag.
    pub const LONGEST: usize = 128;

    /// Makes a valid tag of any text. Each run of characters that a tag cannot hold becomes one `-`, `.` and `-` at
    /// the beginning go, and what is too long is cut and ends in a hash of the whole, so that it stays unique.
    /// A text of which nothing is left becomes such a hash.
    pub fn repaired(text: &str) -> Self {
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
        let tag = tag.trim_start_matches(['.', '-']);
        if (1..=Self::LONGEST).contains(&tag.len()) {
            return Self(tag.to_owned());
        }
        let hash = format!("{:x}", Sha256::digest(text));
        let hash = &hash[..12];
        // Only ASCII is left, so cutting cannot split a character.
        let kept = &tag[..tag.len().min(Self::LONGEST - hash.len() - 1)];
        Self(if kept.is_empty() { hash.to_owned() } else { format!("{kept}-{hash}") })
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The tags of every image of a run: those of the input `tags` if there are any, else what the event says.
/// Never empty, no tag twice; the first is the version.
///
/// `existing` are the repository's Git tags, by short name, if they are known: a release moves `latest` unless a
/// higher one is among them.
pub fn tags_for(written: &[String], event: &GitEvent, existing: Option<&[String]>) -> Vec<Tag> {
    let texts = if written.is_empty() { default_tags(event, existing) } else { written.to_vec() };
    let mut tags: Vec<Tag> = Vec::with_capacity(texts.len());
    for tag in texts.iter().map(|text| Tag::repaired(text)) {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

fn default_tags(event: &GitEvent, existing: Option<&[String]>) -> Vec<String> {
    let mut tags = match &event.target {
        Target::Branch(branch) if event.name == "schedule" => vec!["nightly".to_owned(), branch.clone()],
        Target::Branch(branch) => vec![branch.clone()],
        Target::Tag(tag) => match Version::read(tag) {
            Some(version) if version.is_final() => version.levels(),
            Some(version) => vec![version.text()],
            None => vec![tag.clone()],
        },
        Target::PullRequest(number) => vec![format!("pr-{number}")],
        Target::MergeGroup(number) => vec![format!("mq-{number}")],
        Target::Unknown => Vec::new(),
    };
    tags.extend(event.short_sha().map(|sha| format!("sha-{sha}")));
    let latest = match &event.target {
        Target::Branch(_) => event.is_default_branch() && event.name != "schedule",
        Target::Tag(tag) => Version::read(tag).is_some_and(|version| version.is_newest(existing.unwrap_or_default())),
        Target::PullRequest(_) | Target::MergeGroup(_) | Target::Unknown => false,
    };
    if latest {
        tags.push("latest".to_owned());
    }
    if tags.is_empty() {
        tags.push("local".to_owned());
    }
    tags
}

/// A semantic version (<https://semver.org>), as far as tags need it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Version<'a> {
    numbers: [u64; 3],
    pre_release: Option<&'a str>,
}

impl<'a> Version<'a> {
    /// Reads `1.2.3`, with or without a `v` before, a pre-release and a build after it. Strict otherwise.
    fn read(tag: &'a str) -> Option<Self> {
        let text = tag.strip_prefix('v').unwrap_or(tag);
        let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
        let (core, pre_release) = text.split_once('-').map_or((text, None), |(core, pre)| (core, Some(pre)));
        let number = |part: &str| {
            let leading_zero = part.len() > 1 && part.starts_with('0');
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            (digits && !leading_zero).then(|| part.parse().ok()).flatten()
        };
        let identifier = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let pre_identifier =
            |part: &str| identifier(part) && (!part.bytes().all(|b| b.is_ascii_digit()) || number(part).is_some());
        let mut parts = core.split('.').map(number);
        let numbers = [parts.next()??, parts.next()??, parts.next()??];
        let valid = parts.next().is_none()
            && pre_release.is_none_or(|pre| pre.split('.').all(pre_identifier))
            && build.is_none_or(|build| build.split('.').all(identifier));
        valid.then_some(Self { numbers, pre_release })
    }

    fn is_final(&self) -> bool {
        self.pre_release.is_none()
    }

    /// The version without `v` and build.
    fn text(&self) -> String {
        let [major, minor, patch] = self.numbers;
        let pre_release = self.pre_release.map_or_else(String::new, |pre| format!("-{pre}"));
        format!("{major}.{minor}.{patch}{pre_release}")
    }

    /// `1.2.3`, `1.2`, `1`.
    fn levels(&self) -> Vec<String> {
        let [major, minor, _] = self.numbers;
        vec![self.text(), format!("{major}.{minor}"), major.to_string()]
    }

    /// Whether it is final and no tag is a higher final version.
    fn is_newest(&self, existing: &[String]) -> bool {
        let others = existing.iter().filter_map(|tag| Version::read(tag)).filter(Version::is_final);
        self.is_final() && others.map(|other| other.numbers).max().is_none_or(|highest| highest <= self.numbers)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{Tag, tags_for};
    use crate::inputs::context::{GitEvent, Target};

    fn event(name: &str, target: Target) -> GitEvent {
        GitEvent {
            name: name.into(),
            target,
            sha: "0123456789abcdef0123456789abcdef01234567".into(),
            default_branch: Some("main".into()),
            ..GitEvent::default()
        }
    }

    fn shown(written: &[&str], event: &GitEvent, existing: Option<&[&str]>) -> String {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let existing = existing.map(owned);
        let tags = tags_for(&owned(written), event, existing.as_deref());
        tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn branches() {
        for (name, branch, want) in [
            ("push", "main", "main sha-0123456 latest"),
            ("push", "dev", "dev sha-0123456"),
            ("push", "releases/v1", "releases-v1 sha-0123456"),
            ("push", "latest", "latest sha-0123456"),
            ("workflow_dispatch", "main", "main sha-0123456 latest"),
            ("repository_dispatch", "main", "main sha-0123456 latest"),
            ("schedule", "main", "nightly main sha-0123456"),
        ] {
            assert_eq!(shown(&[], &event(name, Target::Branch(branch.into())), None), want, "{name} {branch}");
        }
    }

    #[test]
    fn git_tags() {
        for (tag, existing, want) in [
            ("v1.2.3", None, "1.2.3 1.2 1 sha-0123456 latest"),
            ("1.2.3", None, "1.2.3 1.2 1 sha-0123456 latest"),
            ("v1.2.3+build5", None, "1.2.3 1.2 1 sha-0123456 latest"),
            ("v1.2.3", Some(&["v1.2.3", "v1.3.0-rc.1", "v1.2.2", "nightly"][..]), "1.2.3 1.2 1 sha-0123456 latest"),
            ("v1.2.3", Some(&["v1.10.0", "v1.2.3"]), "1.2.3 1.2 1 sha-0123456"),
            ("v2.0.0", Some(&["v1.10.0"]), "2.0.0 2.0 2 sha-0123456 latest"),
            ("v1.2.3-rc.1", None, "1.2.3-rc.1 sha-0123456"),
            ("v1.2.3-rc.1", Some(&[]), "1.2.3-rc.1 sha-0123456"),
            ("v1.2", None, "v1.2 sha-0123456"),
            ("v01.2.3", None, "v01.2.3 sha-0123456"),
            ("v1.2.3-01", None, "v1.2.3-01 sha-0123456"),
            ("v1.2.3.4", None, "v1.2.3.4 sha-0123456"),
            ("p1/v1.0.0", None, "p1-v1.0.0 sha-0123456"),
            ("nightly-2026", None, "nightly-2026 sha-0123456"),
            ("v99999999999999999999.0.0", None, "v99999999999999999999.0.0 sha-0123456"),
        ] {
            assert_eq!(shown(&[], &event("push", Target::Tag(tag.into())), existing), want, "{tag} {existing:?}");
        }
    }

    #[test]
    fn other_targets() {
        assert_eq!(shown(&[], &event("pull_request", Target::PullRequest(7)), None), "pr-7 sha-0123456");
        assert_eq!(shown(&[], &event("merge_group", Target::MergeGroup(104)), None), "mq-104 sha-0123456");
        assert_eq!(shown(&[], &GitEvent::default(), None), "local", "outside an action");
    }

    #[test]
    fn written_tags_replace_the_default_ones() {
        let main = event("push", Target::Branch("main".into()));
        assert_eq!(shown(&["stable", "Feature/X y", "stable"], &main, None), "stable Feature-X-y");
    }

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
