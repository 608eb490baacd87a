//! Reads rules, and finds all mistakes in one go.

use std::collections::BTreeMap;

use super::{
    Dialect, Pattern, RefKind, Rule, RuleKind, RuleMistake, RulesRead, ShaForm, VersionRule,
    csv::{Quotes, records},
    trimmed,
};
use crate::inputs::template::Template;

/// A problem and its fix.
type Complaint = (String, String);

/// The types of rules, with the priority of each.
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

/// All attributes that some type knows.
const ATTRIBUTES: [&str; 10] =
    ["priority", "enable", "prefix", "suffix", "value", "pattern", "match", "group", "branch", "event"];

/// Reads rules, one a line. [`Dialect::Exact`] lets through what docker/metadata-action notices only when the rule is
/// used, if at all.
pub fn read(text: &str, dialect: Dialect) -> Result<RulesRead, Vec<RuleMistake>> {
    let mistake = |line, written: &str, (problem, fix): Complaint| RuleMistake {
        line,
        written: written.to_owned(),
        problem,
        fix,
    };
    let mut read = RulesRead::default();
    let mut mistakes = Vec::new();
    for (line, written) in lines(text, dialect).map_err(|mistake| vec![mistake])? {
        let result = rule(line, &written, dialect, &mut read.warnings).and_then(|rule| {
            if dialect == Dialect::Repaired {
                check(&rule)?;
            }
            Ok(rule)
        });
        match result {
            Ok(rule) => read.rules.push(rule),
            Err(complaint) => mistakes.push(mistake(line, &written, complaint)),
        }
    }
    if mistakes.is_empty() { Ok(read) } else { Err(mistakes) }
}

/// The lines of an input with their numbers, without blank ones and comments. A line, or several at once, may stand
/// between quotes.
pub fn lines(text: &str, dialect: Dialect) -> Result<Vec<(usize, String)>, RuleMistake> {
    let all = records(text, Quotes::Relaxed).map_err(|(line, error)| RuleMistake {
        line,
        written: text.lines().nth(line - 1).unwrap_or_default().to_owned(),
        problem: error.to_string(),
        fix: QUOTES.to_owned(),
    })?;
    let lines = all.into_iter().map(|record| (record.line, trimmed(&record.fields.join(",")).to_owned()));
    let comment = |line: &str| dialect == Dialect::Repaired && line.starts_with('#');
    Ok(lines.filter(|(_, line)| !line.is_empty() && !comment(line)).collect())
}

const QUOTES: &str = "put the whole field between quotes and double those inside it: `\"pattern=a\"\"b\"`";

/// The attributes of a rule, as written.
struct Attributes(BTreeMap<String, String>);

impl Attributes {
    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn needed(&mut self, name: &str, example: &str) -> Result<String, Complaint> {
        self.take(name).ok_or_else(|| (format!("has no `{name}`"), format!("add it, as in `{example}`")))
    }

    fn version(&mut self, example: &str) -> Result<VersionRule, Complaint> {
        Ok(VersionRule {
            pattern: self.needed("pattern", example)?,
            value: self.take("value").unwrap_or_default(),
            matching: self.take("match").unwrap_or_default(),
        })
    }
}

fn rule(line: usize, written: &str, dialect: Dialect, warnings: &mut Vec<String>) -> Result<Rule, Complaint> {
    let fields = records(written, Quotes::Strict).map_err(|(_, error)| (error.to_string(), QUOTES.to_owned()))?;
    let mut kind = None;
    let mut attributes = Attributes(BTreeMap::new());
    for field in fields.into_iter().next().unwrap_or_default().fields {
        match field.split_once('=').filter(|(key, _)| !key.is_empty()) {
            None => drop(attributes.0.insert("value".to_owned(), trimmed(&field).to_owned())),
            Some((key, value)) if trimmed(key).eq_ignore_ascii_case("type") => kind = Some(trimmed(value).to_owned()),
            Some((key, value)) => drop(attributes.0.insert(trimmed(key).to_lowercase(), trimmed(value).to_owned())),
        }
    }
    let kind = kind.as_deref().unwrap_or("raw");
    let Some((_, priority)) = TYPES.iter().find(|(name, _)| *name == kind) else {
        let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        return Err((format!("there is no `type={kind}`"), format!("use one of {}", names.join(", "))));
    };
    let mut prefix = attributes.take("prefix");
    let known = kind_of(kind, &mut attributes, &mut prefix)?;
    let priority = match attributes.take("priority") {
        None => *priority,
        Some(text) => number(&text).ok_or_else(|| {
            (format!("`priority` cannot be `{text}`"), "write a number; higher ones come first".to_owned())
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
            let fix = "write the tag alone; `registry` and `image-name` say where it goes";
            return Err(("is an image's name, not a tag".to_owned(), fix.to_owned()));
        }
        let unknown = attributes.0.keys().filter(|name| *name != "format" && !ATTRIBUTES.contains(&name.as_str()));
        warnings.extend(unknown.map(|name| format!("`tags`, line {line}: the attribute `{name}` means nothing")));
    }
    Ok(rule)
}

fn kind_of(kind: &str, attributes: &mut Attributes, prefix: &mut Option<String>) -> Result<RuleKind, Complaint> {
    let one_of =
        |what: &str, value: &str, all: &str| Err((format!("`{what}` cannot be `{value}`"), format!("use {all}")));
    Ok(match kind {
        "schedule" => {
            RuleKind::Schedule { pattern: attributes.take("pattern").unwrap_or_else(|| "nightly".to_owned()) }
        }
        "semver" => RuleKind::Semver(attributes.version("type=semver,pattern={{version}}")?),
        "pep440" => RuleKind::Pep440(attributes.version("type=pep440,pattern={{version}}")?),
        "match" => {
            let pattern = attributes.needed("pattern", r"type=match,pattern=v(\d+)\.\d+,group=1")?;
            let group = attributes.take("group").unwrap_or_else(|| "0".to_owned());
            if number(&group).is_none() {
                return one_of("group", &group, "the number of a group, 0 for all");
            }
            let index = group.parse().ok().filter(|index: &usize| index.to_string() == group);
            RuleKind::Match { pattern, group: index, value: attributes.take("value").unwrap_or_default() }
        }
        "edge" => RuleKind::Edge { branch: attributes.take("branch").unwrap_or_default() },
        "ref" => match attributes.needed("event", "type=ref,event=branch")?.as_str() {
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
        _ => RuleKind::Raw { value: attributes.needed("value", "type=raw,value=X")? },
    })
}

/// Finds what would only be noticed when the rule is used.
fn check(rule: &Rule) -> Result<(), Complaint> {
    let template = |text: &str| {
        let fix = "correct the expression, or leave the braces out";
        Template::read(text).map(drop).map_err(|error| (error.to_string(), fix.to_owned()))
    };
    let pattern = |compiled: Result<Pattern, String>| {
        let fix = r#"write a JavaScript regular expression; one with a comma goes between quotes twice: """pattern=\d{1,2}""""#;
        compiled.map_err(|error| (format!("is no regular expression: {error}"), fix.to_owned()))
    };
    template(&rule.enable)?;
    for affix in [&rule.prefix, &rule.suffix].into_iter().flatten() {
        template(affix)?;
    }
    match &rule.kind {
        RuleKind::Schedule { pattern } => template(pattern),
        RuleKind::Raw { value } => template(value),
        RuleKind::Semver(version) | RuleKind::Pep440(version) => {
            template(&version.pattern)?;
            template(&version.value)?;
            pattern(Pattern::plain(&version.matching)).map(drop)
        }
        RuleKind::Match { pattern: text, group, value } => {
            template(value)?;
            pattern(Pattern::literal(text))?;
            match group {
                Some(_) => Ok(()),
                None => Err(("`group` is no whole number".to_owned(), "write 0 for all, 1 for the first".to_owned())),
            }
        }
        RuleKind::Edge { .. } | RuleKind::Ref(_) | RuleKind::Sha(_) => Ok(()),
    }
}

/// A number as JavaScript reads it: decimal, of any size, `0x10` and its like, or empty for 0. `None` for anything else.
pub fn number(text: &str) -> Option<f64> {
    let text = trimmed(text);
    match text {
        "" => return Some(0.0),
        "Infinity" | "+Infinity" => return Some(f64::INFINITY),
        "-Infinity" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        let digits = text.get(..2).filter(|start| start.eq_ignore_ascii_case(prefix)).and_then(|_| text.get(2..));
        if let Some(digits) = digits {
            // The largest are beyond any use.
            return u32::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+')).map(f64::from);
        }
    }
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::{RefKind, RuleKind, ShaForm, number, read};
    use crate::inputs::rules::{Dialect, Flavor};

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
                    x,priority=high\ntype=sha,format=x\ntype=match,pattern=a,group=1.5\nghcr.io/o/r:main\nmyimage:latest";
        let mistakes = read(text, Dialect::Repaired).unwrap_err();
        let shown: Vec<String> = mistakes.iter().map(|m| format!("{}: {}", m.line, m.problem)).collect();
        assert_eq!(
            shown,
            [
                "1: there is no `type=nope`",
                "2: has no `pattern`",
                "3: `event` cannot be `x`",
                "5: is no regular expression: Unbalanced parenthesis",
                "6: has no `value`",
                "7: has a `\"` inside a field",
                "8: `the end` stands where a name should",
                "9: `priority` cannot be `high`",
                "10: `format` cannot be `x`",
                "11: `group` is no whole number",
                "12: is an image's name, not a tag",
                "13: is an image's name, not a tag",
            ]
        );
    }

    #[test]
    fn what_means_nothing_is_told() {
        let read = read("x\ntype=sha,lenght=8", Dialect::Repaired).unwrap();
        assert_eq!(read.warnings, ["`tags`, line 2: the attribute `lenght` means nothing"]);
    }

    #[test]
    fn numbers() {
        assert_eq!(["", " 7 ", "-1.5", "1e3", "\u{feff}1"].map(number), [0.0, 7.0, -1.5, 1000.0, 1.0].map(Some));
        assert_eq!(["0x1F", "0b11", "0O17"].map(number), [31.0, 3.0, 15.0].map(Some));
        assert_eq!(["Infinity", "-Infinity"].map(number), [f64::INFINITY, f64::NEG_INFINITY].map(Some));
        assert_eq!(["x", "inf", "NaN", "1 2", "0x", "0x+1", "-0x1"].map(number), [None; 7]);
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in any::<String>(), parts in prop::collection::vec(
            prop::sample::select(vec!["type=", "semver", "match", "raw", ",", "=", "\"", "\n", "pattern", "{{", "}}", "(", "#", "a",
                                      "group", "1", "latest", "prefix", " "]), 0..16)) {
            for text in [text, parts.concat()] {
                let _ = (read(&text, Dialect::Exact), read(&text, Dialect::Repaired), Flavor::read(&text, Dialect::Exact));
            }
        }
    }
}
