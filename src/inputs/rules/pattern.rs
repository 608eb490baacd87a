//! Regular expressions of rules: JavaScript's, as docker/metadata-action takes them.

use regress::{Flags, Regex};

/// A regular expression.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    /// Whether a match is the list of all matches and has no groups: flag `g`.
    global: bool,
    /// Whether it matches at the beginning only: flag `y`.
    sticky: bool,
}

impl Pattern {
    /// Compiles an expression, taken as it stands.
    pub fn plain(text: &str) -> Result<Self, String> {
        Self::with_flags(text, "")
    }

    /// Compiles an expression, `/…/flags` or plain.
    pub fn literal(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix('/').and_then(|rest| rest.rsplit_once('/'));
        match inner.filter(|(expression, _)| !expression.is_empty()) {
            Some((expression, flags)) => Self::with_flags(expression, flags),
            None => Self::plain(text),
        }
    }

    fn with_flags(text: &str, letters: &str) -> Result<Self, String> {
        let mut flags = Flags::default();
        let (mut global, mut sticky) = (false, false);
        for (index, letter) in letters.char_indices() {
            match letter {
                _ if letters[..index].contains(letter) => {
                    return Err(format!("the flag `{letter}` stands there twice"));
                }
                'g' => global = true,
                'y' => sticky = true,
                'i' => flags.icase = true,
                'm' => flags.multiline = true,
                's' => flags.dot_all = true,
                'u' => flags.unicode = true,
                'v' => flags.unicode_sets = true,
                'd' => {}
                _ => return Err(format!("there is no flag `{letter}`")),
            }
        }
        let regex = Regex::with_flags(text, flags).map_err(|error| error.text)?;
        Ok(Self { regex, global, sticky })
    }

    /// What `String.prototype.match` yields: the match and its groups, or with the flag `g` all matches.
    pub fn groups<'t>(&self, text: &'t str) -> Option<Vec<Option<&'t str>>> {
        if self.global {
            let all: Vec<_> = self.regex.find_iter(text).map(|found| text.get(found.range())).collect();
            return (!all.is_empty()).then_some(all);
        }
        let found = self.regex.find(text).filter(|found| !self.sticky || found.start() == 0)?;
        Some(found.groups().map(|group| group.and_then(|range| text.get(range))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn matches_as_javascript_does() {
        for (pattern, text, want) in [
            (r"\d.\d", "v2.0.8", Some(vec![Some("2.0")])),
            ("v(.*)", "v1", Some(vec![Some("v1"), Some("1")])),
            ("/V(.*)/i", "v1", Some(vec![Some("v1"), Some("1")])),
            (r"/\d/g", "v1.2", Some(vec![Some("1"), Some("2")])),
            ("/1/y", "v1", None),
            ("(x)?1", "1", Some(vec![Some("1"), None])),
            (r"(?<=v)\d", "v7", Some(vec![Some("7")])),
            (r"(?<a>\d)\.\k<a>", "3.3", Some(vec![Some("3.3"), Some("3")])),
            ("//", "a//", Some(vec![Some("//")])),
            ("x", "y", None),
        ] {
            assert_eq!(Pattern::literal(pattern).unwrap().groups(text), want, "{pattern}");
        }
        assert_eq!(Pattern::plain("/a/").unwrap().groups("a"), None, "slashes stand for themselves");
        for bad in ["(", "a{2,1}", "/a/o", "/a/ii", "[b-a]"] {
            assert!(Pattern::literal(bad).is_err(), "{bad}");
        }
    }
}
