//! Decides which tags an image gets.

use super::{
    by_event, by_rules,
    language::{Dialect, TagInputs},
    subject::Subject,
    tagged::{TagError, Tagged},
};

/// Decides the tags by the rules of `inputs`, or by the event if there are no rules.
pub fn tags_for(inputs: &TagInputs, subject: &Subject<'_>) -> Result<Tagged, TagError> {
    match (inputs.rules.is_empty(), inputs.dialect) {
        (true, Dialect::Repaired) => by_event::tags(&inputs.flavor, subject).map_err(TagError::Flavor),
        (true, Dialect::Exact) => by_rules::tags(&by_event::rules(), inputs, subject),
        (false, _) => by_rules::tags(&inputs.rules, inputs, subject),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use chrono::DateTime;

    use super::{Dialect, Subject, TagInputs, tags_for};
    use crate::{
        domain::{
            git_event::{GitEvent, GitRef},
            tag::Tag,
        },
        tags::{
            language::{Flavor, read},
            names::Facts,
            subject::GitTags,
        },
    };

    const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

    pub(in crate::tags) fn event(name: &str, git_ref: GitRef) -> GitEvent {
        let reference = match &git_ref {
            GitRef::Branch(branch) => format!("refs/heads/{branch}"),
            GitRef::Tag(tag) => format!("refs/tags/{tag}"),
            GitRef::PullRequest(number) => format!("refs/pull/{number}/merge"),
            GitRef::MergeGroup(_) | GitRef::Unknown => String::new(),
        };
        GitEvent {
            name: name.into(),
            reference,
            git_ref,
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
            assert_eq!(shown(&[], &event(name, GitRef::Branch(branch.into())), None), want, "{name} {branch}");
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
            assert_eq!(shown(&[], &event("push", GitRef::Tag(tag.into())), existing), want, "{tag} {existing:?}");
        }
    }

    #[test]
    fn other_targets() {
        assert_eq!(shown(&[], &event("pull_request", GitRef::PullRequest(7)), None), "pr-7 sha-0123456");
        assert_eq!(shown(&[], &event("merge_group", GitRef::MergeGroup(104)), None), "mq-104 sha-0123456");
        assert_eq!(shown(&[], &GitEvent::default(), None), "local", "outside an action");
    }

    #[test]
    fn written_tags_replace_the_default_ones() {
        let main = event("push", GitRef::Branch("main".into()));
        assert_eq!(shown(&["stable", "Feature/X y", "stable"], &main, None), "stable Feature-X-y");
    }

    #[test]
    fn the_flavor_holds_for_the_default_tags_too() {
        let main = event("push", GitRef::Branch("main".into()));
        for (flavor, want) in [
            ("latest=false", "main sha-0123456"),
            ("prefix=a-,onlatest=true\nsuffix=-{{tag}}z", "a-main-z sha-0123456-z a-latest"),
            ("suffix=-alpine,onlatest=true", "main-alpine sha-0123456-alpine latest-alpine"),
        ] {
            assert_eq!(made("", flavor, &main, None).as_deref(), Ok(want), "{flavor}");
        }
        let other = event("push", GitRef::Branch("dev".into()));
        assert_eq!(made("", "latest=true", &other, None).as_deref(), Ok("dev sha-0123456 latest"));
    }

    #[test]
    fn a_release_is_the_latest_only_if_none_is_higher() {
        let tag = |tag: &str| event("push", GitRef::Tag(tag.into()));
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
        let release = event("push", GitRef::Tag("v1.2.3".into()));
        let main = event("push", GitRef::Branch("main".into()));
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
    fn a_git_tag_that_is_no_version_creates_no_tag_and_a_notice() {
        let release = event("push", GitRef::Tag("release1".into()));
        let rules = "type=semver,pattern={{version}}\ntype=semver,pattern={{major}}\ntype=ref,event=tag";
        assert_eq!(made(rules, "latest=false", &release, None).as_deref(), Ok("release1"));
        let inputs = TagInputs { rules: read(rules, Dialect::Repaired).unwrap().rules, ..TagInputs::default() };
        let facts = Facts::new(&release, &inputs, DateTime::UNIX_EPOCH);
        let subject = Subject { event: &release, facts: &facts, git_tags: GitTags::Unasked };
        let tagged = tags_for(&inputs, &subject).unwrap();
        assert_eq!(
            tagged.notices,
            ["the Git tag `release1` is not a semantic version, so `type=semver` creates no tag"; 2]
        );
        assert!(tagged.warnings.is_empty(), "{:?}", tagged.warnings);
    }

    #[test]
    fn errors_name_the_line() {
        let release = event("push", GitRef::Tag("release1".into()));
        for (rules, want) in [
            ("x,enable=yes", "line 1, `x,enable=yes`: `enable` is `yes`, not `true` or `false`"),
            ("{{date}}", "line 1, `{{date}}`: `date` requires a format, as in `{{date 'YYYYMMDD'}}`"),
            ("type=raw,value={{date 'YYYY' tz='Mars/One'}}", "unknown time zone `Mars/One`"),
            ("type=raw,value={{date 'YYYY' zone='UTC'}}", "unknown argument `zone` of `date`; only `tz` is supported"),
            ("{{lower 'X'}}", "unknown function `lower`"),
            ("type=semver,pattern={{version}},match=\\d", "`match=\\d` has no group"),
        ] {
            let error = made(rules, "", &release, None).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
        let error = made("", "prefix={{date}}", &release, None).unwrap_err();
        assert!(error.starts_with("input `flavor`: `date` requires a format"), "{error}");
    }
}
