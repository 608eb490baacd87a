//! Versions of Python packages (<https://peps.python.org/pep-0440/>).

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::render::{Arguments, Names, RenderError, Value};

/// The grammar of the specification's appendix B.
static GRAMMAR: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?xi-u)^v?
        (?:(?P<epoch>[0-9]+)!)?
        (?P<release>[0-9]+(?:\.[0-9]+)*)
        (?:[-_.]?(?P<pre_word>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pre>[0-9]+)?)?
        (?P<post_all>-(?P<post_bare>[0-9]+)|[-_.]?(?:post|rev|r)[-_.]?(?P<post>[0-9]+)?)?
        (?P<dev_all>[-_.]?dev[-_.]?(?P<dev>[0-9]+)?)?
        (?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?$",
    )
    .ok()
});

/// A version.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::tags) struct Version<'a> {
    raw: &'a str,
    epoch: f64,
    release: Vec<f64>,
    pre: Option<(&'static str, f64)>,
    post: Option<f64>,
    dev: Option<f64>,
    local: Vec<String>,
}

impl<'a> Version<'a> {
    /// Parses a version.
    pub(in crate::tags) fn read(raw: &'a str) -> Option<Self> {
        let found = GRAMMAR.as_ref()?.captures(raw)?;
        let pre = found.name("pre_word").map(|word| {
            let normal = match word.as_str().to_ascii_lowercase().as_str() {
                "a" | "alpha" => "a",
                "b" | "beta" => "b",
                _ => "rc",
            };
            (normal, numbered(&found, "pre"))
        });
        let local = found.name("local").map_or("", |local| local.as_str());
        Some(Self {
            raw,
            epoch: numbered(&found, "epoch"),
            release: found.name("release")?.as_str().split('.').map(number).collect(),
            pre,
            post: found.name("post_all").map(|_| numbered(&found, "post_bare").max(numbered(&found, "post"))),
            dev: found.name("dev_all").map(|_| numbered(&found, "dev")),
            local: local.split(['.', '-', '_']).filter(|part| !part.is_empty()).map(local_part).collect(),
        })
    }

    pub(in crate::tags) fn is_final(&self) -> bool {
        self.pre.is_none() && self.post.is_none() && self.dev.is_none()
    }

    /// Returns the version in its normal form.
    pub(in crate::tags) fn text(&self) -> String {
        let epoch = if self.epoch == 0.0 { String::new() } else { format!("{}!", self.epoch) };
        let release = self.release.iter().map(f64::to_string).collect::<Vec<_>>().join(".");
        let pre = self.pre.map_or_else(String::new, |(word, number)| format!("{word}{number}"));
        let post = self.post.map_or_else(String::new, |number| format!(".post{number}"));
        let dev = self.dev.map_or_else(String::new, |number| format!(".dev{number}"));
        // With commas, like the package that docker/metadata-action uses.
        let local = if self.local.is_empty() { String::new() } else { format!("+{}", self.local.join(",")) };
        format!("{epoch}{release}{pre}{post}{dev}{local}")
    }

    /// Whether it is a final version and none of the tags is a higher one.
    pub(in crate::tags) fn is_newest(&self, existing: &[String]) -> bool {
        let others = existing.iter().filter_map(|tag| Version::read(tag)).filter(Version::is_final);
        self.is_final() && others.into_iter().all(|other| !other.is_above(self))
    }

    fn is_above(&self, other: &Self) -> bool {
        let length = self.release.len().max(other.release.len());
        let key = |version: &Self| {
            let release = (0..length).map(|index| version.release.get(index).copied().unwrap_or(0.0));
            std::iter::once(version.epoch).chain(release).collect::<Vec<f64>>()
        };
        key(self) > key(other)
    }
}

fn number(digits: &str) -> f64 {
    digits.parse().unwrap_or_default()
}

fn numbered(found: &Captures<'_>, name: &str) -> f64 {
    found.name(name).map_or(0.0, |digits| number(digits.as_str()))
}

fn local_part(part: &str) -> String {
    if part.bytes().all(|b| b.is_ascii_digit()) { number(part).to_string() } else { part.to_lowercase() }
}

/// The names that a rule's pattern can use.
impl Names for Version<'_> {
    fn value(&self, name: &str, _: Option<&Arguments>) -> Result<Option<Value>, RenderError> {
        let part = |index: usize| Value::Number(self.release.get(index).copied().unwrap_or(0.0));
        Ok(Some(match name {
            "raw" => Value::Text(self.raw.to_owned()),
            "version" => Value::Text(self.text()),
            "major" => part(0),
            "minor" => part(1),
            "patch" => part(2),
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn the_normal_form() {
        for (raw, want, is_final) in [
            ("v1.0", "1.0", true),
            ("1.1beta2", "1.1b2", false),
            ("1.0dev4", "1.0.dev4", false),
            ("1.2post1", "1.2.post1", false),
            ("1.0-1", "1.0.post1", false),
            ("1.0C3", "1.0rc3", false),
            ("2!1.0.alpha", "2!1.0a0", false),
            ("1.0rev3.dev", "1.0.post3.dev0", false),
            ("01.02", "1.2", true),
        ] {
            let version = Version::read(raw).unwrap();
            assert_eq!((version.text().as_str(), version.is_final()), (want, is_final), "{raw}");
        }
        for bad in ["", "release1", "1.0-x", "1.0+", "v", "1..0", " 1.0"] {
            assert_eq!(Version::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_newest() {
        let tags = ["1.10", "2.0a1", "x"].map(str::to_owned);
        for (raw, want) in [("1.9", false), ("1.10.0", true), ("1!0.1", true), ("2.0rc1", false)] {
            assert_eq!(Version::read(raw).unwrap().is_newest(&tags), want, "{raw}");
        }
    }
}
