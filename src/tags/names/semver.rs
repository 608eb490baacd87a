//! Semantic versions (<https://semver.org>), parsed as strictly as the package semver does.

use super::render::{Arguments, Names, RenderError, Value};

/// A semantic version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tags) struct Version<'a> {
    raw: &'a str,
    /// Major, minor, patch.
    numbers: [u64; 3],
    pre_release: Option<&'a str>,
    build: Option<&'a str>,
}

/// The largest number in a version: JavaScript's largest safe integer.
const LARGEST: u64 = 9_007_199_254_740_991;
/// Maximum length of a version, in bytes.
const LONGEST: usize = 256;

impl<'a> Version<'a> {
    /// Parses `1.2.3`, optionally with a `v` before and a pre-release and build metadata after it.
    pub(in crate::tags) fn read(raw: &'a str) -> Option<Self> {
        if raw.len() > LONGEST {
            return None;
        }
        let text = raw.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
        let (core, pre_release) = text.split_once('-').map_or((text, None), |(core, pre)| (core, Some(pre)));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let plain = |part: &str| digits(part) && (part == "0" || !part.starts_with('0'));
        let number =
            |part: &str| plain(part).then(|| part.parse().ok()).flatten().filter(|number: &u64| *number <= LARGEST);
        let identifier = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let pre_identifier = |part: &str| identifier(part) && (!digits(part) || plain(part));
        let mut parts = core.split('.').map(number);
        let numbers = [parts.next()??, parts.next()??, parts.next()??];
        let valid = parts.next().is_none()
            && pre_release.is_none_or(|pre| pre.split('.').all(pre_identifier))
            && build.is_none_or(|build| build.split('.').all(identifier));
        valid.then_some(Self { raw, numbers, pre_release, build })
    }

    pub(in crate::tags) fn is_final(&self) -> bool {
        self.pre_release.is_none()
    }

    /// Returns the version without `v` and build metadata.
    pub(in crate::tags) fn text(&self) -> String {
        let [major, minor, patch] = self.numbers;
        let pre_release = self.pre_release.map_or_else(String::new, |pre| format!("-{pre}"));
        format!("{major}.{minor}.{patch}{pre_release}")
    }

    /// Returns `1.2.3`, `1.2` and `1`.
    pub(in crate::tags) fn levels(&self) -> [String; 3] {
        let [major, minor, _] = self.numbers;
        [self.text(), format!("{major}.{minor}"), major.to_string()]
    }

    /// Whether it is a final version and none of the tags is a higher one.
    pub(in crate::tags) fn is_newest(&self, existing: &[String]) -> bool {
        let others = existing.iter().filter_map(|tag| Version::read(tag)).filter(Version::is_final);
        self.is_final() && others.map(|other| other.numbers).max().is_none_or(|highest| highest <= self.numbers)
    }
}

/// The names that a rule's pattern can use.
impl Names for Version<'_> {
    fn value(&self, name: &str, arguments: Option<&Arguments>) -> Result<Option<Value>, RenderError> {
        let [major, minor, patch] = self.numbers;
        #[expect(clippy::cast_precision_loss, reason = "a double holds every number up to LARGEST exactly")]
        let number = |number: u64| Value::Number(number as f64);
        let list = |text: Option<&str>| {
            let items = text.into_iter().flat_map(|text| text.split('.'));
            Value::List(items.map(|item| Value::Text(item.to_owned())).collect())
        };
        let value = match name {
            "raw" => Value::Text(self.raw.to_owned()),
            "version" => Value::Text(self.text()),
            "major" => number(major),
            "minor" => number(minor),
            "patch" => number(patch),
            "prerelease" => list(self.pre_release),
            "build" => list(self.build),
            "loose" => Value::Bool(true),
            "includePrerelease" => Value::Bool(false),
            _ => return Ok(None),
        };
        if arguments.is_some() { Err(RenderError::NoArguments(name.to_owned())) } else { Ok(Some(value)) }
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn strict() {
        for good in ["1.2.3", "v1.2.3", "1.2.3-rc.1+build.5", "1.0.0--x.7", "9007199254740991.0.0", "0.0.0-0a"] {
            assert!(Version::read(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "1.2",
            "01.2.3",
            "1.2.3-01",
            "1.2.3.4",
            "V1.2.3",
            "=1.2.3",
            "9007199254740992.0.0",
            "1.2.3-",
            "1.2.3+a+b",
        ] {
            assert_eq!(Version::read(bad), None, "{bad}");
        }
        assert_eq!(Version::read("v1.2.3-rc.1+build5").unwrap().text(), "1.2.3-rc.1");
    }
}
