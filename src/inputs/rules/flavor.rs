//! The input `flavor`: what holds for all rules.

use super::{
    Dialect, RuleMistake,
    csv::{Quotes, records},
    read::lines,
    trimmed,
};
use crate::inputs::template::Template;

/// What holds for all rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flavor {
    /// When there is a tag `latest`.
    pub latest: Latest,
    /// What stands before each tag.
    pub prefix: Affix,
    /// What stands behind each tag.
    pub suffix: Affix,
}

/// When there is a tag `latest`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Latest {
    /// Where the first rule that yields a tag says so.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What stands before or behind each tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affix {
    /// Its template; empty for nothing.
    pub text: String,
    /// Whether it stands at `latest` too, there as written.
    pub on_latest: bool,
}

impl Flavor {
    /// Reads the input. All mistakes are reported together.
    pub fn read(text: &str, dialect: Dialect) -> Result<Self, Vec<RuleMistake>> {
        let mut flavor = Self::default();
        let mut mistakes = Vec::new();
        for (number, line) in lines(text, dialect).map_err(|mistake| vec![mistake])? {
            if let Err((problem, fix)) = flavor.set(&line, dialect) {
                mistakes.push(RuleMistake { line: number, written: line, problem, fix: fix.to_owned() });
            }
        }
        if mistakes.is_empty() { Ok(flavor) } else { Err(mistakes) }
    }

    fn set(&mut self, line: &str, dialect: Dialect) -> Result<(), (String, &'static str)> {
        let fields = records(line, Quotes::Strict).map_err(|(_, error)| (error.to_string(), FIX))?;
        let mut affix: Option<&mut Affix> = None;
        for field in fields.into_iter().next().unwrap_or_default().fields {
            let mut parts = field.split('=').map(trimmed);
            let key = parts.next().unwrap_or_default().to_lowercase();
            let Some(value) = parts.next() else { return Err((format!("`{key}` has no `=`"), FIX)) };
            match (key.as_str(), value) {
                ("latest", "auto") => self.latest = Latest::Auto,
                ("latest", "true") => self.latest = Latest::Always,
                ("latest", "false") => self.latest = Latest::Never,
                ("latest", _) => {
                    return Err((format!("`latest` cannot be `{value}`"), "use `auto`, `true` or `false`"));
                }
                ("prefix" | "suffix", text) => {
                    if dialect == Dialect::Repaired {
                        let fix = "correct the expression, or leave the braces out";
                        Template::read(text).map_err(|error| (error.to_string(), fix))?;
                    }
                    let changed = if key == "prefix" { &mut self.prefix } else { &mut self.suffix };
                    text.clone_into(&mut changed.text);
                    affix = Some(changed);
                }
                ("onlatest", "true" | "false") => {
                    if let Some(affix) = &mut affix {
                        affix.on_latest = value == "true";
                    } else if dialect == Dialect::Repaired {
                        let fix = "put it behind a prefix or suffix: `prefix=X,onlatest=true`";
                        return Err(("`onlatest` stands alone".to_owned(), fix));
                    }
                }
                ("onlatest", _) => {
                    return Err((format!("`onlatest` cannot be `{value}`"), "use `true` or `false`"));
                }
                _ => return Err((format!("there is no `{key}`"), FIX)),
            }
        }
        Ok(())
    }
}

const FIX: &str =
    "write `latest=auto|true|false`, `prefix=X` or `suffix=X`, the latter two with `,onlatest=true` if need be";

#[cfg(test)]
mod tests {
    use super::{Affix, Flavor, Latest};
    use crate::inputs::rules::Dialect;

    #[test]
    fn is_read() {
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
            ("latest=maybe", "`latest` cannot be `maybe`"),
            ("prefix=a,onlatest=yes", "`onlatest` cannot be `yes`"),
            ("onlatest=true", "`onlatest` stands alone"),
            ("lates=true", "there is no `lates`"),
            ("a\nb", "`a` has no `=`"),
            ("prefix={{", "`the end` stands where"),
            ("\"", "never closed"),
        ] {
            let mistakes = Flavor::read(text, Dialect::Repaired).unwrap_err();
            assert!(mistakes[0].problem.contains(want), "{mistakes:?}");
        }
        assert_eq!(Flavor::read("a\nb", Dialect::Exact).unwrap_err().len(), 2);
        assert!(Flavor::read("onlatest=true", Dialect::Exact).is_ok());
    }
}
