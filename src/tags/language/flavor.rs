//! The input `flavor`: settings that apply to every rule.

use super::{
    csv::{Quotes, records},
    dialect::Dialect,
    lines::{LineError, lines},
    template::Template,
    text::trimmed,
};
use crate::domain::{invalid::Invalid, tag::Tag};

/// Settings that apply to every rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flavor {
    /// Whether the tag `latest` is added.
    pub latest: Latest,
    /// Text before each tag.
    pub prefix: Affix,
    /// Text after each tag.
    pub suffix: Affix,
}

/// Whether the tag `latest` is added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Latest {
    /// If the first rule that creates a tag requests it.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Text before or after each tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affix {
    /// Its template; may be empty.
    pub text: String,
    /// Whether it is added to `latest` too, without rendering it.
    pub on_latest: bool,
}

impl Flavor {
    /// Parses the input. All mistakes are reported together.
    pub fn read(text: &str, dialect: Dialect) -> Result<Self, Vec<LineError>> {
        let mut flavor = Self::default();
        let mut mistakes = Vec::new();
        for (number, line) in lines(text, dialect).map_err(|mistake| vec![mistake])? {
            if let Err(Invalid { problem, hint }) = flavor.set(&line, dialect) {
                mistakes.push(LineError { line: number, written: line, problem, hint });
            }
        }
        if mistakes.is_empty() { Ok(flavor) } else { Err(mistakes) }
    }

    /// Returns the tag `latest`, with the prefix and suffix that apply to it.
    pub(in crate::tags) fn latest_tag(&self, dialect: Dialect) -> Tag {
        let text = |affix: &Affix| if affix.on_latest { affix.text.clone() } else { String::new() };
        dialect.tag(&format!("{}latest{}", text(&self.prefix), text(&self.suffix)))
    }

    fn set(&mut self, line: &str, dialect: Dialect) -> Result<(), Invalid> {
        let fields = records(line, Quotes::Strict).map_err(|(_, error)| Invalid::new(error.to_string(), HINT))?;
        let mut affix: Option<&mut Affix> = None;
        for field in fields.into_iter().next().unwrap_or_default().fields {
            let mut parts = field.split('=').map(trimmed);
            let key = parts.next().unwrap_or_default().to_lowercase();
            let Some(value) = parts.next() else { return Err(Invalid::new(format!("has no value for `{key}`"), HINT)) };
            match (key.as_str(), value) {
                ("latest", "auto") => self.latest = Latest::Auto,
                ("latest", "true") => self.latest = Latest::Always,
                ("latest", "false") => self.latest = Latest::Never,
                ("latest", _) => {
                    return Err(Invalid::new(
                        format!("has the invalid value `{value}` for `latest`"),
                        "use `auto`, `true` or `false`",
                    ));
                }
                ("prefix" | "suffix", text) => {
                    if dialect == Dialect::Repaired {
                        Template::check(text)?;
                    }
                    let changed = if key == "prefix" { &mut self.prefix } else { &mut self.suffix };
                    text.clone_into(&mut changed.text);
                    affix = Some(changed);
                }
                ("onlatest", "true" | "false") => {
                    if let Some(affix) = &mut affix {
                        affix.on_latest = value == "true";
                    } else if dialect == Dialect::Repaired {
                        let hint = "write it after a prefix or suffix, as in `prefix=X,onlatest=true`";
                        return Err(Invalid::new("has `onlatest` without a prefix or suffix before it", hint));
                    }
                }
                ("onlatest", _) => {
                    return Err(Invalid::new(
                        format!("has the invalid value `{value}` for `onlatest`"),
                        "use `true` or `false`",
                    ));
                }
                _ => return Err(Invalid::new(format!("has the unknown key `{key}`"), HINT)),
            }
        }
        Ok(())
    }
}

const HINT: &str =
    "use `latest=auto|true|false`, `prefix=X` or `suffix=X`; prefix and suffix may end in `,onlatest=true`";

#[cfg(test)]
mod tests {
    use super::{Affix, Dialect, Flavor, Latest};

    #[test]
    fn settings() {
        let flavor =
            Flavor::read("latest=false\n# no\nprefix=a-,onlatest=true\nSuffix=-{{sha}}", Dialect::Repaired).unwrap();
        let affix = |text: &str, on_latest| Affix { text: text.into(), on_latest };
        assert_eq!(
            flavor,
            Flavor { latest: Latest::Never, prefix: affix("a-", true), suffix: affix("-{{sha}}", false) }
        );
    }

    #[test]
    fn mistakes() {
        for (text, want) in [
            ("latest=maybe", "has the invalid value `maybe` for `latest`"),
            ("prefix=a,onlatest=yes", "has the invalid value `yes` for `onlatest`"),
            ("onlatest=true", "has `onlatest` without a prefix or suffix"),
            ("lates=true", "has the unknown key `lates`"),
            ("a\nb", "has no value for `a`"),
            ("prefix={{", "expected a name"),
            ("\"", "without a closing"),
        ] {
            let mistakes = Flavor::read(text, Dialect::Repaired).unwrap_err();
            assert!(mistakes[0].problem.contains(want), "{mistakes:?}");
        }
        assert_eq!(Flavor::read("a\nb", Dialect::Exact).unwrap_err().len(), 2);
        assert!(Flavor::read("onlatest=true", Dialect::Exact).is_ok());
    }
}
