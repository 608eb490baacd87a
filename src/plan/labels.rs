//! Labels and annotations that describe the origin of an image.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::{
    domain::git_event::GitEvent,
    inputs::{
        typed::{Annotation, AnnotationLevel},
        values::pair,
    },
    tags::{
        language::Dialect,
        names::{Facts, RenderError},
    },
};

/// Returns the eight OCI annotation keys that docker/metadata-action sets, with their values
/// (<https://github.com/opencontainers/image-spec/blob/main/annotations.md>).
///
/// `created` is the time of the commit, not of the build, so that building the same commit again yields the same
/// image. Unknown values are omitted; in [`Dialect::Exact`] they are empty. `version` is the first tag.
pub fn standard(event: &GitEvent, facts: &Facts<'_>, version: &str) -> BTreeMap<String, String> {
    let dialect = facts.dialect();
    let (created, revision) = match dialect {
        Dialect::Repaired => (event.commit_time.as_deref().map(in_utc), event.sha.as_str()),
        Dialect::Exact => (Some(facts.commit().to_rfc3339_opts(SecondsFormat::Millis, true)), facts.sha()),
    };
    let known = [
        ("created", created.as_deref()),
        ("description", event.description.as_deref()),
        ("licenses", event.license.as_deref()),
        ("revision", Some(revision)),
        ("source", Some(event.repo_url.as_str())),
        ("title", Some(event.repo.as_str())),
        ("url", Some(event.repo_url.as_str())),
        ("version", Some(version)),
    ];
    known
        .into_iter()
        .map(|(key, value)| (format!("org.opencontainers.image.{key}"), value.unwrap_or_default().to_owned()))
        .filter(|(_, value)| dialect == Dialect::Exact || !value.is_empty())
        .collect()
}

/// Normalizes a time to UTC, since the event and GitHub's API may use different time zones.
fn in_utc(time: &str) -> String {
    time.parse().map_or_else(|_| time.to_owned(), |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// Returns labels with their expressions evaluated.
pub fn rendered(written: &[(String, String)], facts: &Facts<'_>) -> Result<Vec<(String, String)>, RenderError> {
    written.iter().map(|(key, value)| Ok((facts.render(key)?, facts.render(value)?))).collect()
}

/// Evaluates the expressions in a line and splits it into name and value. The line is split last, so that an expression
/// can yield a whole `name=value`. `None` if the result has no value.
pub fn line(written: &str, facts: &Facts<'_>) -> Result<Option<(String, String)>, RenderError> {
    let line = facts.render(written)?;
    let Some((key, value)) = line.split_once('=') else { return Ok(None) };
    Ok(match facts.dialect() {
        Dialect::Exact => Some((key.to_owned(), value.to_owned())),
        Dialect::Repaired => pair(&line).map(|(key, value)| (key.to_owned(), value.to_owned())),
    })
}

/// Returns annotations keyed by `level:key`: the standard ones at each of `levels`, overridden by the written ones.
pub fn annotations(
    standard: &BTreeMap<String, String>,
    written: &[Annotation],
    levels: &[AnnotationLevel],
    facts: &Facts<'_>,
) -> Result<BTreeMap<String, String>, RenderError> {
    let mut all = BTreeMap::new();
    let mut set = |levels: &[AnnotationLevel], key: &str, value: &str| {
        all.extend(levels.iter().map(|level| (format!("{}:{key}", level.as_str()), value.to_owned())));
    };
    for (key, value) in standard {
        set(levels, key, value);
    }
    for annotation in written {
        let levels = if annotation.levels.is_empty() { levels } else { &annotation.levels };
        if let Some((key, value)) = line(&annotation.line, facts)? {
            set(levels, &key, &value);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::{annotations, line, rendered, standard};
    use crate::{
        domain::git_event::{GitEvent, GitRef},
        inputs::typed::{Annotation, AnnotationLevel},
        tags::{
            language::{Dialect, TagInputs},
            names::Facts,
        },
    };

    fn event() -> GitEvent {
        GitEvent {
            sha: "abc".into(),
            repo: "site".into(),
            reference: "refs/heads/a&b".into(),
            git_ref: GitRef::Branch("a&b".into()),
            commit_time: Some("2026-03-04T05:06:07+01:00".into()),
            ..GitEvent::default()
        }
    }

    fn shown(all: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
        all.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
    }

    #[test]
    fn what_is_unknown_is_left_out() {
        let event = event();
        let facts = Facts::new(&event, &TagInputs::default(), DateTime::UNIX_EPOCH);
        assert_eq!(
            shown(standard(&event, &facts, "main")),
            [
                "org.opencontainers.image.created=2026-03-04T04:06:07Z",
                "org.opencontainers.image.revision=abc",
                "org.opencontainers.image.title=site",
                "org.opencontainers.image.version=main",
            ]
        );
        let exact = TagInputs { dialect: Dialect::Exact, ..TagInputs::default() };
        let labels = shown(standard(&event, &Facts::new(&event, &exact, DateTime::UNIX_EPOCH), ""));
        assert_eq!(labels.len(), 8);
        assert_eq!(labels[0], "org.opencontainers.image.created=2026-03-04T04:06:07.000Z");
        assert_eq!(labels[7], "org.opencontainers.image.version=");
    }

    #[test]
    fn expressions_are_filled_in() {
        let event = event();
        let facts = Facts::new(&event, &TagInputs::default(), DateTime::UNIX_EPOCH);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let written = [pair("{{branch}}", "{{date 'YYYY'}}"), pair("plain", "x")];
        assert_eq!(rendered(&written, &facts).unwrap(), [pair("a&b", "1970"), pair("plain", "x")]);
        assert!(rendered(&[pair("a", "{{date}}")], &facts).is_err());
    }

    #[test]
    fn an_expression_may_yield_the_whole_line() {
        let event = event();
        let exact = TagInputs { dialect: Dialect::Exact, ..TagInputs::default() };
        for (written, repaired, as_is) in [
            ("{{#if branch}}b={{sha}}{{/if}}", Some("b|"), Some("b|")),
            ("{{#if tag}}t={{tag}}{{/if}}", None, None),
            ("{{branch}}", None, None),
            (" a = b=c ", Some("a|b=c"), Some(" a | b=c ")),
            ("{{tag}}=x", None, Some("|x")),
        ] {
            for (inputs, want) in [(&TagInputs::default(), repaired), (&exact, as_is)] {
                let made = line(written, &Facts::new(&event, inputs, DateTime::UNIX_EPOCH)).unwrap();
                assert_eq!(made.map(|(key, value)| format!("{key}|{value}")).as_deref(), want, "{written}");
            }
        }
        assert!(line("a={{date}}", &Facts::new(&event, &exact, DateTime::UNIX_EPOCH)).is_err());
    }

    #[test]
    fn annotations_go_where_they_are_said_to() {
        let event = event();
        let facts = Facts::new(&event, &TagInputs::default(), DateTime::UNIX_EPOCH);
        let level = |text: &str| AnnotationLevel::read(text).unwrap();
        let annotation =
            |levels: Vec<AnnotationLevel>, name: &str| Annotation { levels, line: format!("{name}={{{{branch}}}}") };
        let written = [annotation(vec![level("index"), level("manifest[linux/arm64]")], "a"), annotation(vec![], "t")];
        let standard = [("t".to_owned(), "site".to_owned())].into();
        let all = annotations(&standard, &written, &[level("manifest"), level("index-descriptor")], &facts).unwrap();
        assert_eq!(
            shown(all),
            ["index-descriptor:t=a&b", "index:a=a&b", "manifest:t=a&b", "manifest[linux/arm64]:a=a&b"]
        );
    }
}
