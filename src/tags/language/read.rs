//! Parses rules, and reports all mistakes together.

use std::collections::BTreeMap;

use super::{
    csv::{Quotes, records},
    dialect::Dialect,
    lines::{LineError, QUOTING_HINT, lines},
    pattern::Pattern,
    rule::{RefKind, Rule, RuleKind, ShaForm, VersionRule},
    template::Template,
    text::{number, trimmed},
};
use crate::domain::invalid::Invalid;

/// Rules, and warnings about parts of them that have no effect.
#[derive(Debug, Default, PartialEq)]
pub struct ParsedRules {
    /// The rules.
    pub rules: Vec<Rule>,
    /// Warnings about parts that have no effect.
    pub warnings: Vec<String>,
}

/// The types of rules and their default priorities.
const TYPES: [(&str, f64); 8] = [
    ("schedule", 1000.0),
    ("semver", 900.0),
    ("pep440", 900.0),
    ("match", 800.0),
    ("edge", 700.0),
    ("ref", 600.0),
    ("raw", 200.0),
    ("sha", 100.0),
];

/// The attributes of all types.
const ATTRIBUTES: [&str; 10] =
    ["priority", "enable", "prefix", "suffix", "value", "pattern", "match", "group", "branch", "event"];

/// Parses rules, one per line. [`Dialect::Exact`] accepts mistakes that docker/metadata-action reports only when it
/// uses the rule, or never.
pub fn read(text: &str, dialect: Dialect) -> Result<ParsedRules, Vec<LineError>> {
    let mut parsed = ParsedRules::default();
    let mut mistakes = Vec::new();
    for (line, written) in lines(text, dialect).map_err(|mistake| vec![mistake])? {
        let result = rule(line, &written, dialect, &mut parsed.warnings).and_then(|rule| {
            if dialect == Dialect::Repaired {
                check(&rule)?;
            }
            Ok(rule)
        });
        match result {
            Ok(rule) => parsed.rules.push(rule),
            Err(Invalid { problem, hint }) => mistakes.push(LineError { line, written, problem, hint }),
        }
    }
    if mistakes.is_empty() { Ok(parsed) } else { Err(mistakes) }
}

/// The attributes of a rule, as written.
struct Attributes(BTreeMap<String, String>);

impl Attributes {
    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn required(&mut self, name: &str, example: &str) -> Result<String, Invalid> {
        self.take(name).ok_or_else(|| Invalid::new(format!("has no `{name}`"), format!("add it, as in `{example}`")))
    }

    fn version(&mut self, example: &str) -> Result<VersionRule, Invalid> {
        Ok(VersionRule {
            pattern: self.required("pattern", example)?,
            value: self.take("value").unwrap_or_default(),
            matching: self.take("match").unwrap_or_default(),
        })
    }
}

fn rule(line: usize, written: &str, dialect: Dialect, warnings: &mut Vec<String>) -> Result<Rule, Invalid> {
    let fields =
        records(written, Quotes::Strict).map_err(|(_, error)| Invalid::new(error.to_string(), QUOTING_HINT))?;
    let mut kind = None;
    let mut attributes = Attributes(BTreeMap::new());
    for field in fields.into_iter().next().unwrap_or_default().fields {
        match field.split_once('=').filter(|(key, _)| !key.is_empty()) {
            None => {
                let value = trimmed(&field).to_owned();
                if let Some(first) = attributes.0.insert("value".to_owned(), value)
                    && dialect == Dialect::Repaired
                    && !first.is_empty()
                {
                    return Err(Invalid::new("has several values", "write one tag per line"));
                }
            }
            Some((key, value)) if trimmed(key).eq_ignore_ascii_case("type") => kind = Some(trimmed(value).to_owned()),
            Some((key, value)) => drop(attributes.0.insert(trimmed(key).to_lowercase(), trimmed(value).to_owned())),
        }
    }
    let kind = kind.as_deref().unwrap_or("raw");
    let Some((_, priority)) = TYPES.iter().find(|(name, _)| *name == kind) else {
        let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        return Err(Invalid::new(format!("has the unknown type `{kind}`"), format!("use one of {}", names.join(", "))));
    };
    let mut prefix = attributes.take("prefix");
    let known = kind_of(kind, &mut attributes, &mut prefix)?;
    let priority = match attributes.take("priority") {
        None => *priority,
        Some(text) => number(&text).ok_or_else(|| {
            Invalid::new(
                format!("has the invalid priority `{text}`"),
                "use a number; tags with higher numbers come first",
            )
        })?,
    };
    let rule = Rule {
        line,
        written: written.to_owned(),
        kind: known,
        priority,
        enable: attributes.take("enable").unwrap_or_else(|| "true".to_owned()),
        prefix,
        suffix: attributes.take("suffix"),
    };
    if dialect == Dialect::Repaired {
        if let RuleKind::Raw { value } = &rule.kind
            && !value.contains("{{")
            && (value.rsplit_once('/').is_some_and(|(_, name)| name.contains([':', '@']))
                || (written == value && value.contains(':')))
        {
            let hint = "write only the tag; `registry` and `image-name` set the image's name";
            return Err(Invalid::new("is an image name, not a tag", hint));
        }
        let unknown = attributes.0.keys().filter(|name| *name != "format" && !ATTRIBUTES.contains(&name.as_str()));
        warnings.extend(unknown.map(|name| format!("`tags`, line {line}: unknown attribute `{name}` is ignored")));
    }
    Ok(rule)
}

fn kind_of(kind: &str, attributes: &mut Attributes, prefix: &mut Option<String>) -> Result<RuleKind, Invalid> {
    let one_of = |what: &str, value: &str, all: &str| {
        Err(Invalid::new(format!("has the invalid value `{value}` for `{what}`"), format!("use {all}")))
    };
    Ok(match kind {
        "schedule" => {
            RuleKind::Schedule { pattern: attributes.take("pattern").unwrap_or_else(|| "nightly".to_owned()) }
        }
        "semver" => RuleKind::Semver(attributes.version("type=semver,pattern={{version}}")?),
        "pep440" => RuleKind::Pep440(attributes.version("type=pep440,pattern={{version}}")?),
        "match" => {
            let pattern = attributes.required("pattern", r"type=match,pattern=v(\d+)\.\d+,group=1")?;
            let group = attributes.take("group").unwrap_or_else(|| "0".to_owned());
            if number(&group).is_none() {
                return one_of("group", &group, "the number of a group, or 0 for the whole match");
            }
            let index = group.parse().ok().filter(|index: &usize| index.to_string() == group);
            RuleKind::Match { pattern, group: index, value: attributes.take("value").unwrap_or_default() }
        }
        "edge" => RuleKind::Edge { branch: attributes.take("branch").unwrap_or_default() },
        "ref" => match attributes.required("event", "type=ref,event=branch")?.as_str() {
            "branch" => RuleKind::Ref(RefKind::Branch),
            "tag" => RuleKind::Ref(RefKind::Tag),
            "pr" => {
                prefix.get_or_insert_with(|| "pr-".to_owned());
                RuleKind::Ref(RefKind::PullRequest)
            }
            other => return one_of("event", other, "`branch`, `tag` or `pr`"),
        },
        "sha" => {
            prefix.get_or_insert_with(|| "sha-".to_owned());
            match attributes.take("format").as_deref() {
                None | Some("short") => RuleKind::Sha(ShaForm::Short),
                Some("long") => RuleKind::Sha(ShaForm::Long),
                Some(other) => return one_of("format", other, "`short` or `long`"),
            }
        }
        _ => RuleKind::Raw { value: attributes.required("value", "type=raw,value=X")? },
    })
}

/// Validates the parts that are otherwise parsed only when the rule is used.
fn check(rule: &Rule) -> Result<(), Invalid> {
    let pattern = |compiled: Result<Pattern, String>| {
        let hint = r#"use JavaScript's syntax; if it contains a comma, quote it twice, as in `"""pattern=\d{1,2}"""`"#;
        compiled.map_err(|error| Invalid::new(format!("has an invalid regular expression: {error}"), hint))
    };
    Template::check(&rule.enable)?;
    for affix in [&rule.prefix, &rule.suffix].into_iter().flatten() {
        Template::check(affix)?;
    }
    match &rule.kind {
        RuleKind::Schedule { pattern } => Template::check(pattern),
        RuleKind::Raw { value } => Template::check(value),
        RuleKind::Semver(version) | RuleKind::Pep440(version) => {
            Template::check(&version.pattern)?;
            Template::check(&version.value)?;
            pattern(Pattern::plain(&version.matching)).map(drop)
        }
        RuleKind::Match { pattern: text, group, value } => {
            Template::check(value)?;
            pattern(Pattern::literal(text))?;
            if group.is_none() {
                let hint = "use 0 for the whole match, 1 for the first group";
                return Err(Invalid::new("has a `group` that is not a whole number", hint));
            }
            Ok(())
        }
        RuleKind::Edge { .. } | RuleKind::Ref(_) | RuleKind::Sha(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::{Dialect, RefKind, RuleKind, ShaForm, read};
    use crate::tags::language::flavor::Flavor;

    #[test]
    fn kinds() {
        let text = "hello\ntype=sha,format=long\n\n# no\n  # neither\ntype=ref,event=pr,priority=1e3\n\
                    TYPE=match,\"\"\"pattern=\\d{1,2}\"\"\",group=1\n\"type=raw,\"\"value=a,b\"\"\"";
        let read = read(text, Dialect::Repaired).unwrap();
        let shown: Vec<(usize, &RuleKind)> = read.rules.iter().map(|rule| (rule.line, &rule.kind)).collect();
        let matching = RuleKind::Match { pattern: r"\d{1,2}".into(), group: Some(1), value: String::new() };
        let want = [
            (1, &RuleKind::Raw { value: "hello".into() }),
            (2, &RuleKind::Sha(ShaForm::Long)),
            (6, &RuleKind::Ref(RefKind::PullRequest)),
            (7, &matching),
            (8, &RuleKind::Raw { value: "a,b".into() }),
        ];
        assert_eq!(shown, want);
        assert_eq!((read.rules[2].prefix.as_deref(), read.rules[2].priority), (Some("pr-"), 1000.0));
    }

    #[test]
    fn mistakes_come_together_with_their_lines() {
        let text = "type=nope\ntype=semver\ntype=ref,event=x\n\ntype=match,pattern=(\ntype=raw\nva\"lue\n{{\n\
                    x,priority=high\ntype=sha,format=x\ntype=match,pattern=a,group=1.5\nghcr.io/o/r:main\nmyimage:latest\n\
                    a,b";
        let mistakes = read(text, Dialect::Repaired).unwrap_err();
        let shown: Vec<String> = mistakes.iter().map(|m| format!("{}: {}", m.line, m.problem)).collect();
        assert_eq!(
            shown,
            [
                "1: has the unknown type `nope`",
                "2: has no `pattern`",
                "3: has the invalid value `x` for `event`",
                "5: has an invalid regular expression: Unbalanced parenthesis",
                "6: has no `value`",
                "7: has a `\"` inside an unquoted field",
                "8: has an invalid expression: expected a name, found the end of the text",
                "9: has the invalid priority `high`",
                "10: has the invalid value `x` for `format`",
                "11: has a `group` that is not a whole number",
                "12: is an image name, not a tag",
                "13: is an image name, not a tag",
                "14: has several values",
            ]
        );
    }

    #[test]
    fn unknown_attributes_are_warnings() {
        let read = read("x\ntype=sha,lenght=8", Dialect::Repaired).unwrap();
        assert_eq!(read.warnings, ["`tags`, line 2: unknown attribute `lenght` is ignored"]);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), parts in prop::collection::vec(
            prop::sample::select(vec!["type=", "semver", "match", "raw", ",", "=", "\"", "\n", "pattern", "{{", "}}", "(", "#", "a",
                                      "group", "1", "latest", "prefix", " "]), 0..16)) {
            for text in [text, parts.concat()] {
                let _ = (read(&text, Dialect::Exact), read(&text, Dialect::Repaired), Flavor::read(&text, Dialect::Exact));
            }
        }
    }
}
