//! Determines which tags of an image move from commit to commit, and which tag identifies a single commit.
//!
//! Rules may contain any expression, so they are not analyzed. Instead, they are evaluated for commits that do not
//! exist, and the results are compared: a tag that another commit of the branch gets too is a moving tag.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    language::TagInputs,
    names::Facts,
    subject::{GitTags, Subject},
    tagged::Tagged,
    tags_for::tags_for,
};
use crate::domain::{
    git_event::{GitEvent, GitRef},
    tag::Tag,
};

/// The moving tags of an image, and the tag that identifies its commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Movement {
    moving: Vec<Tag>,
    commit: Option<CommitTag>,
}

/// A tag that identifies a commit: the text before and after the hash, and the number of digits of the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CommitTag {
    before: String,
    digits: usize,
    after: String,
}

/// Hashes of commits that do not exist, with the length of SHA-256 hashes.
const ONE: &str = "c94a7d3b52e8f06119d7c3a58b4e26f09d81c7a35fe2b8604c7d19a3e85f2b06";
const TWO: &str = "3f8e6b1d07a2c594e8d3160f7bc5a92e4d06f81b93ca7e250fb8d4617a3ce95d";
/// Minimum number of digits for a hash to be recognized in a tag.
const FEWEST: usize = 4;

impl Movement {
    /// Compares `tagged`, the result of the rules of `inputs` for `event` at `now`, with the tags of other commits.
    ///
    /// Only tags of branches move. A release, a pull request or a merge group has its own tags.
    pub fn new(inputs: &TagInputs, event: &GitEvent, now: DateTime<Utc>, tagged: &Tagged) -> Self {
        if !matches!(event.git_ref, GitRef::Branch(_)) || event.sha.is_empty() {
            return Self::default();
        }
        let length = event.sha.len().min(ONE.len());
        let (one, two) = (&ONE[..length], &TWO[..length]);
        let later = now.checked_add_signed(TimeDelta::days(400)).unwrap_or(now);
        // The time of the run is the same, so a tag with the date of the run is a moving tag. The time of the commit
        // differs, so a tag with the date of the commit is not.
        let of_one = made(inputs, event, one, "2001-02-03T04:05:06Z", now);
        let of_two = made(inputs, event, two, "2012-11-10T09:08:07Z", later);
        let moving = tagged.moving.iter().filter(|tag| of_one.contains(tag)).cloned().collect();
        let commit = of_one.iter().filter_map(|tag| CommitTag::read(tag, one, inputs.sha.length)).find(|tag| {
            let fits = |sha: &str, tags: &[Tag]| tag.of(sha).is_some_and(|tag| tags.contains(&tag));
            fits(two, &of_two) && fits(&event.sha, &tagged.tags)
        });
        Self { moving, commit }
    }

    /// Returns the tags that the next commit of the branch gets too, such as the branch's name, `latest` and `nightly`.
    /// Empty unless the event is about a branch.
    pub fn moving(&self) -> &[Tag] {
        &self.moving
    }

    /// Returns the tag that the rules create only for the given commit of the branch, such as `sha-1234567`. `None` if
    /// no rule creates one, or if the tag also depends on something else, such as a date.
    pub fn tag_of_commit(&self, sha: &str) -> Option<Tag> {
        self.commit.as_ref()?.of(sha)
    }
}

impl CommitTag {
    /// Finds the hash in a tag of the commit `sha`.
    fn read(tag: &Tag, sha: &str, short: usize) -> Option<Self> {
        let fewest = short.clamp(FEWEST, sha.len());
        let digits = (fewest..=sha.len()).rev().find(|digits| tag.as_str().contains(&sha[..*digits]))?;
        let (before, after) = tag.as_str().split_once(&sha[..digits])?;
        Some(Self { before: before.to_owned(), digits, after: after.to_owned() })
    }

    fn of(&self, sha: &str) -> Option<Tag> {
        let digits = sha.get(..self.digits)?;
        // Replacing one hash by another keeps a tag valid.
        Some(Tag::exact(&format!("{}{digits}{}", self.before, self.after)))
    }
}

/// Returns the tags of a commit. Errors are ignored because they were already reported for the event's own commit.
fn made(inputs: &TagInputs, event: &GitEvent, sha: &str, time: &str, now: DateTime<Utc>) -> Vec<Tag> {
    let event = GitEvent {
        sha: sha.to_owned(),
        workflow_sha: sha.to_owned(),
        commit_time: Some(time.to_owned()),
        ..event.clone()
    };
    let facts = Facts::new(&event, inputs, now);
    let subject = Subject { event: &event, facts: &facts, git_tags: GitTags::Unasked };
    tags_for(inputs, &subject).map(|tagged| tagged.tags).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::{Facts, GitEvent, GitRef, GitTags, Movement, Subject, Tag, TagInputs, tags_for};
    use crate::tags::{
        language::{Dialect, Flavor, read},
        tags_for::tests,
    };

    const NEWER: &str = "fedcba9876543210fedcba9876543210fedcba98";

    fn event(name: &str, git_ref: GitRef) -> GitEvent {
        GitEvent { commit_time: Some("2026-03-04T05:06:07Z".into()), ..tests::event(name, git_ref) }
    }

    /// Returns the moving tags, and the tag of the newer commit.
    fn of(rules: &[&str], flavor: &str, dialect: Dialect, event: &GitEvent) -> (String, String) {
        let inputs = TagInputs {
            rules: read(&rules.join("\n"), dialect).unwrap().rules,
            flavor: Flavor::read(flavor, dialect).unwrap(),
            dialect,
            ..TagInputs::default()
        };
        let now = DateTime::UNIX_EPOCH;
        let facts = Facts::new(event, &inputs, now);
        let tagged = tags_for(&inputs, &Subject { event, facts: &facts, git_tags: GitTags::Unasked }).unwrap();
        let movement = Movement::new(&inputs, event, now, &tagged);
        let moving = movement.moving().iter().map(Tag::as_str).collect::<Vec<_>>().join(" ");
        (moving, movement.tag_of_commit(NEWER).map(|tag| tag.to_string()).unwrap_or_default())
    }

    #[test]
    fn without_rules_all_tags_of_a_branch_move_but_that_of_the_commit() {
        for (name, target, moving, commit) in [
            ("push", GitRef::Branch("main".into()), "main latest", "sha-fedcba9"),
            ("push", GitRef::Branch("dev".into()), "dev", "sha-fedcba9"),
            ("schedule", GitRef::Branch("main".into()), "nightly main", "sha-fedcba9"),
            ("workflow_dispatch", GitRef::Branch("main".into()), "main latest", "sha-fedcba9"),
            ("push", GitRef::Tag("v1.2.3".into()), "", ""),
            ("pull_request", GitRef::PullRequest(7), "", ""),
            ("merge_group", GitRef::MergeGroup(7), "", ""),
            ("", GitRef::Unknown, "", ""),
        ] {
            let found = of(&[], "", Dialect::Repaired, &event(name, target.clone()));
            assert_eq!(found, (moving.to_owned(), commit.to_owned()), "{name} {target:?}");
        }
        let main = event("push", GitRef::Branch("main".into()));
        let found = of(&[], "suffix=-alpine,onlatest=true", Dialect::Repaired, &main);
        assert_eq!(found, ("main-alpine latest-alpine".to_owned(), "sha-fedcba9-alpine".to_owned()));
        let unknown = GitEvent { sha: String::new(), workflow_sha: String::new(), ..main };
        assert_eq!(of(&[], "", Dialect::Repaired, &unknown), (String::new(), String::new()));
    }

    #[test]
    fn rules_move_what_the_next_commit_gets_too() {
        let long = format!("type=raw,value={}-{{{{sha}}}}", "x".repeat(130));
        for (name, rules, moving, commit) in [
            ("push", &["type=ref,event=branch", "type=sha"][..], "main", "sha-fedcba9"),
            ("push", &["type=sha,format=long,prefix="], "", NEWER),
            ("push", &["type=raw,value=latest", "type=edge"], "edge latest", ""),
            ("push", &["type=raw,value={{branch}}-{{sha}}"], "", "main-fedcba9"),
            ("push", &["type=raw,value={{branch}}-{{sha}}-{{date 'YYYYMMDD'}}", "{{branch}}"], "main", ""),
            ("push", &["type=raw,value={{commit_date 'YYYYMMDD'}}"], "", ""),
            ("push", &["type=raw,value={{commit_date 'YYYYMMDD'}}-{{sha}}", "type=sha"], "", "sha-fedcba9"),
            ("schedule", &["type=schedule", "type=sha"], "nightly", "sha-fedcba9"),
            ("schedule", &["type=schedule,pattern={{date 'YYYYMMDD'}}"], "19700101", ""),
            // A version that the workflow specifies is a release, regardless of the branch.
            ("push", &["type=semver,pattern={{version}},value=v1.2.3"], "latest", ""),
            ("push", &["type=match,pattern=\\d+,value=v7"], "latest", ""),
            ("push", &["type=semver,pattern={{version}},value=1.2.3", "type=raw,value=1.2.3"], "latest", ""),
            // Too long: the tag is truncated and ends with a hash of the whole text.
            ("push", &[&long], "", ""),
        ] {
            for dialect in [Dialect::Repaired, Dialect::Exact] {
                let found = of(rules, "", dialect, &event(name, GitRef::Branch("main".into())));
                let cut = dialect == Dialect::Exact && rules == [&long];
                let commit = if cut { format!("{}-fedcba9", "x".repeat(130)) } else { commit.to_owned() };
                assert_eq!(found, (moving.to_owned(), commit), "{rules:?} {dialect:?}");
            }
        }
        for rules in [&["type=semver,pattern={{major}}.{{minor}}", "type=ref,event=tag", "x"], &["x", "type=sha", "y"]]
        {
            let release = event("push", GitRef::Tag("v1.2.3".into()));
            assert_eq!(of(rules, "", Dialect::Repaired, &release), (String::new(), String::new()), "{rules:?}");
        }
    }
}
