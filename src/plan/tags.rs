//! Which tags an image gets.
//!
//! [`tags_for`] decides: by the rules of the input `tags` ([`evaluate`]), or without any by what the event says
//! ([`standard`]).

mod evaluate;
mod facts;
mod moment;
mod movement;
mod pep440;
mod render;
mod semver;
mod standard;

use thiserror::Error;

pub use self::{evaluate::RuleError, facts::Facts, movement::Movement, render::RenderError};
use crate::{
    domain::tag::Tag,
    inputs::{
        context::GitEvent,
        rules::{Dialect, TagInputs},
    },
};

/// What tags are made for.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What happened.
    pub event: &'a GitEvent,
    /// Facts of it that expressions may name.
    pub facts: &'a Facts<'a>,
    /// The repository's Git tags: a release moves `latest` unless a higher one is among them.
    pub git_tags: GitTags<'a>,
}

/// What is known of the repository's Git tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GitTags<'a> {
    /// GitHub was not asked, as without a token. Every final version moves `latest` then, as docker/metadata-action has
    /// it.
    #[default]
    Unasked,
    /// Their short names.
    Known(&'a [String]),
    /// GitHub was asked and did not tell. A higher version may exist, so that no version moves `latest`.
    Unreadable,
}

impl GitTags<'_> {
    /// Whether a final version moves `latest`, if `is_highest` says whether it is the highest of some tags.
    fn allow_latest(self, is_highest: impl FnOnce(&[String]) -> bool) -> bool {
        match self {
            Self::Unasked => is_highest(&[]),
            Self::Known(tags) => is_highest(tags),
            Self::Unreadable => false,
        }
    }
}

/// The tags of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tagged {
    /// The tags; the first is the version. In [`Dialect::Repaired`] none stands there twice. Without rules there is
    /// at least one.
    pub tags: Vec<Tag>,
    /// Those that name no version and no commit, as far as the kind of the rule says.
    pub moving: Vec<Tag>,
    /// Rules that could have made a tag and why they did not.
    pub warnings: Vec<String>,
}

/// Why there are no tags.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TagError {
    /// A rule cannot be used.
    #[error("line {line}, `{written}`: {reason}")]
    Rule {
        /// Its line.
        line: usize,
        /// The rule.
        written: String,
        /// Why.
        reason: RuleError,
    },
    /// The flavor cannot be used.
    #[error("input `flavor`: {0}; correct the expression")]
    Flavor(RenderError),
}

/// The tags that the rules of `inputs` make, or without any what the event says.
pub fn tags_for(inputs: &TagInputs, subject: &Subject<'_>) -> Result<Tagged, TagError> {
    match (inputs.rules.is_empty(), inputs.dialect) {
        (true, Dialect::Repaired) => standard::tags(&inputs.flavor, subject).map_err(TagError::Flavor),
        (true, Dialect::Exact) => evaluate::tags(&standard::rules(), inputs, subject),
        (false, _) => evaluate::tags(&inputs.rules, inputs, subject),
    }
}

/// Text with the flavor's affixes, unless the tag brings its own.
fn affixed(text: &str, prefix: &str, suffix: &str, facts: &Facts<'_>) -> Result<String, RenderError> {
    Ok(format!("{}{text}{}", facts.render(prefix)?, facts.render(suffix)?))
}

#[cfg(test)]
mod tests {

    use chrono::DateTime;

    use super::{Facts, GitTags, Subject, Tag, tags_for};
    use crate::inputs::{
        context::{GitEvent, Target},
        rules::{Dialect, Flavor, TagInputs, read},
    };

    const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

    pub(super) fn event(name: &str, target: Target) -> GitEvent {
        let reference = match &target {
            Target::Branch(branch) => format!("refs/heads/{branch}"),
            Target::Tag(tag) => format!("refs/tags/{tag}"),
            Target::PullRequest(number) => format!("refs/pull/{number}/merge"),
            Target::MergeGroup(_) | Target::Unknown => String::new(),
        };
        GitEvent {
            name: name.into(),
            reference,
            target,
            sha: SHA.into(),
            workflow_sha: SHA.into(),
            default_branch: Some("main".into()),
            ..GitEvent::default()
        }
    }

    fn made(rules: &str, flavor: &str, event: &GitEvent, existing: Option<&[&str]>) -> Result<String, String> {
        let inputs = TagInputs {
            rules: read(rules, Dialect::Repaired).unwrap().rules,
            flavor: Flavor::read(flavor, Dialect::Repaired).unwrap(),
            ..TagInputs::default()
        };
        let existing: Option<Vec<String>> = existing.map(|tags| tags.iter().map(ToString::to_string).collect());
        made_of(&inputs, event, existing.as_deref().map_or(GitTags::Unasked, GitTags::Known))
    }

    fn made_of(inputs: &TagInputs, event: &GitEvent, git_tags: GitTags<'_>) -> Result<String, String> {
        let facts = Facts::new(event, inputs, DateTime::UNIX_EPOCH);
        let subject = Subject { event, facts: &facts, git_tags };
        let tags = tags_for(inputs, &subject).map_err(|error| error.to_string())?.tags;
        Ok(tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(" "))
    }

    fn shown(written: &[&str], event: &GitEvent, existing: Option<&[&str]>) -> String {
        made(&written.join("\n"), "", event, existing).unwrap()
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
    fn the_flavor_holds_for_the_default_tags_too() {
        let main = event("push", Target::Branch("main".into()));
        for (flavor, want) in [
            ("latest=false", "main sha-0123456"),
            ("prefix=a-,onlatest=true\nsuffix=-{{tag}}z", "a-main-z sha-0123456-z a-latest"),
            ("suffix=-alpine,onlatest=true", "main-alpine sha-0123456-alpine latest-alpine"),
        ] {
            assert_eq!(made("", flavor, &main, None).as_deref(), Ok(want), "{flavor}");
        }
        let other = event("push", Target::Branch("dev".into()));
        assert_eq!(made("", "latest=true", &other, None).as_deref(), Ok("dev sha-0123456 latest"));
    }

    #[test]
    fn a_release_is_the_latest_only_if_none_is_higher() {
        let tag = |tag: &str| event("push", Target::Tag(tag.into()));
        let semver = "type=semver,pattern={{version}}";
        let pep440 = "type=pep440,pattern={{version}}";
        for (rule, pushed, existing, want) in [
            (semver, "v1.2.3", None, "1.2.3 latest"),
            (semver, "v1.2.3", Some(&["v1.2.3", "v2.0.0-rc.1"][..]), "1.2.3 latest"),
            (semver, "v1.2.3", Some(&["v1.10.0"]), "1.2.3"),
            (semver, "v1.2.3-rc.1", Some(&[]), "1.2.3-rc.1"),
            (pep440, "1.9", Some(&["1.10"]), "1.9"),
            (pep440, "1.10", Some(&["1.9", "2.0a1"]), "1.10 latest"),
            ("type=ref,event=tag", "v1.2.3", Some(&["v1.10.0"]), "v1.2.3 latest"),
        ] {
            assert_eq!(made(rule, "", &tag(pushed), existing).as_deref(), Ok(want), "{rule} {pushed} {existing:?}");
        }
        assert_eq!(made(semver, "latest=true", &tag("v1.2.3"), Some(&["v2.0.0"])).as_deref(), Ok("1.2.3 latest"));
    }

    #[test]
    fn no_release_moves_latest_while_the_other_tags_cannot_be_read() {
        let release = event("push", Target::Tag("v1.2.3".into()));
        let main = event("push", Target::Branch("main".into()));
        let semver = "type=semver,pattern={{version}}";
        let pep440 = "type=pep440,pattern={{version}}";
        for (rules, flavor, dialect, event, want) in [
            ("", "", Dialect::Repaired, &release, "1.2.3 1.2 1 sha-0123456"),
            ("", "latest=true", Dialect::Repaired, &release, "1.2.3 1.2 1 sha-0123456 latest"),
            (semver, "", Dialect::Repaired, &release, "1.2.3"),
            (pep440, "", Dialect::Repaired, &release, "1.2.3"),
            (semver, "latest=true", Dialect::Repaired, &release, "1.2.3 latest"),
            (semver, "", Dialect::Exact, &release, "1.2.3 latest"),
            ("", "", Dialect::Repaired, &main, "main sha-0123456 latest"),
        ] {
            let flavor = Flavor::read(flavor, dialect).unwrap();
            let rules = read(rules, dialect).unwrap().rules;
            let inputs = TagInputs { rules, flavor, dialect, ..TagInputs::default() };
            assert_eq!(made_of(&inputs, event, GitTags::Unreadable).as_deref(), Ok(want), "{inputs:?}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_line() {
        let release = event("push", Target::Tag("release1".into()));
        for (rules, want) in [
            (
                "x\ntype=semver,pattern={{version}}",
                "line 2, `type=semver,pattern={{version}}`: the Git tag `release1` is no",
            ),
            ("x,enable=yes", "line 1, `x,enable=yes`: `enable` came to `yes`; write `true`"),
            ("{{date}}", "line 1, `{{date}}`: `date` needs a format, as in `{{date 'YYYYMMDD'}}`"),
            ("type=raw,value={{date 'YYYY' tz='Mars/One'}}", "there is no time zone `Mars/One`"),
            ("type=raw,value={{date 'YYYY' zone='UTC'}}", "`date` knows no `zone`, only `tz`"),
            ("{{lower 'X'}}", "there is no function `lower`"),
            ("type=semver,pattern={{version}},match=\\d", "`match=\\d` has no group; put brackets"),
        ] {
            let error = made(rules, "", &release, None).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
        let error = made("", "prefix={{date}}", &release, None).unwrap_err();
        assert!(error.starts_with("input `flavor`: `date` needs a format"), "{error}");
    }
}
