//! Semantic versions (<https://semver.org>), read as strictly as the package semver does.

use super::render::{Arguments, Names, RenderError, Value};

/// A semantic version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version<'a> {
    raw: &'a str,
    /// Major, minor, patch.
    pub(super) numbers: [u64; 3],
    pre_release: Option<&'a str>,
    build: Option<&'a str>,
}

/// The largest number of a version: the largest whole one that JavaScript holds.
const LARGEST: u64 = 9_007_199_254_740_991;
/// Most characters of a version.
const LONGEST: usize = 256;

impl<'a> Version<'a> {
    /// Reads `1.2.3`, with or without a `v` before, a pre-release and a build after it.
    pub(super) fn read(raw: &'a str) -> Option<Self> {
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

    pub(super) fn is_final(&self) -> bool {
        self.pre_release.is_none()
    }

    /// The version without `v` and build.
    pub(super) fn text(&self) -> String {
        let [major, minor, patch] = self.numbers;
        let pre_release = self.pre_release.map_or_else(String::new, |pre| format!("-{pre}"));
        format!("{major}.{minor}.{patch}{pre_release}")
    }

    /// `1.2.3`, `1.2`, `1`.
    pub(super) fn levels(&self) -> [String; 3] {
        let [major, minor, _] = self.numbers;
        [self.text(), format!("{major}.{minor}"), major.to_string()]
    }

    /// Whether it is final and no tag is a higher final version.
    pub(super) fn is_newest(&self, existing: &[String]) -> bool {
        let others = existing.iter().filter_map(|tag| Version::read(tag)).filter(Version::is_final);
        self.is_final() && others.map(|other| other.numbers).max().is_none_or(|highest| highest <= self.numbers)
    }
}

/// The names that a rule's pattern may use.
impl Names for Version<'_> {
    fn value(&self, name: &str, arguments: Option<&Arguments>) -> Result<Option<Value>, RenderError> {
        let [major, minor, patch] = self.numbers;
        #[expect(clippy::cast_precision_loss, reason = "no number is above what a double holds exactly")]
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
