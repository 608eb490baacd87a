//! Regular expressions in rules, with JavaScript's syntax as in docker/metadata-action.

use std::{sync::mpsc, thread, time::Duration};

use regress::{Flags, Regex};

/// Time limit of a match. As in JavaScript, some expressions take exponential time even for a short text, and the text
/// may be the name of a branch that anyone can choose.
const MATCH_TIMEOUT: Duration = Duration::from_secs(1);

/// The match and its groups, or all matches; `None` if the text does not match.
type Groups = Option<Vec<Option<String>>>;

/// A regular expression.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    /// Flag `g`: the result is the list of all matches, without groups.
    global: bool,
    /// Flag `y`: it matches only at the beginning of the text.
    sticky: bool,
}

impl Pattern {
    /// Compiles an expression without delimiters.
    pub fn plain(text: &str) -> Result<Self, String> {
        Self::with_flags(text, "")
    }

    /// Compiles an expression in the form `/…/flags` or without delimiters.
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
                    return Err(format!("duplicate flag `{letter}`"));
                }
                'g' => global = true,
                'y' => sticky = true,
                'i' => flags.icase = true,
                'm' => flags.multiline = true,
                's' => flags.dot_all = true,
                'u' => flags.unicode = true,
                'v' => flags.unicode_sets = true,
                'd' => {}
                _ => return Err(format!("unknown flag `{letter}`")),
            }
        }
        let regex = Regex::with_flags(text, flags).map_err(|error| error.text)?;
        Ok(Self { regex, global, sticky })
    }

    /// Returns the result of `String.prototype.match`: the match and its groups, or all matches with the flag `g`.
    ///
    /// # Errors
    /// Fails if matching takes too long.
    pub fn groups(&self, text: &str) -> Result<Groups, String> {
        let (sender, receiver) = mpsc::channel();
        let (pattern, searched) = (self.clone(), text.to_owned());
        // The engine cannot be interrupted, so a search that takes too long continues in its thread until the process
        // ends.
        let search = move || drop(sender.send(pattern.search(&searched)));
        let shown: String = text.chars().take(100).collect();
        thread::Builder::new().spawn(search).map_err(|error| error.to_string())?;
        receiver
            .recv_timeout(MATCH_TIMEOUT)
            .map_err(|_| format!("matching `{shown}` takes more than {} s", MATCH_TIMEOUT.as_secs()))
    }

    fn search(&self, text: &str) -> Groups {
        let owned = |range| text.get::<std::ops::Range<usize>>(range).map(str::to_owned);
        if self.global {
            let all: Vec<_> = self.regex.find_iter(text).map(|found| owned(found.range())).collect();
            return (!all.is_empty()).then_some(all);
        }
        let found = self.regex.find(text).filter(|found| !self.sticky || found.start() == 0)?;
        Some(found.groups().map(|group| group.and_then(owned)).collect())
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
            let want = want.map(|groups| groups.into_iter().map(|group| group.map(str::to_owned)).collect());
            assert_eq!(Pattern::literal(pattern).unwrap().groups(text), Ok(want), "{pattern}");
        }
        assert_eq!(Pattern::plain("/a/").unwrap().groups("a"), Ok(None), "slashes are ordinary characters");
        for slow in ["(a*)*b", "(.*)(.*)(.*)(.*)(.*)x"] {
            let error = Pattern::plain(slow).unwrap().groups(&"a".repeat(1000)).unwrap_err();
            assert!(error.starts_with("matching `aaa") && error.ends_with("takes more than 1 s"), "{error}");
        }
        for bad in ["(", "a{2,1}", "/a/o", "/a/ii", "[b-a]"] {
            assert!(Pattern::literal(bad).is_err(), "{bad}");
        }
    }
}
