//! Matches the patterns of `.dockerignore` and of BuildKit's include lists exactly as moby does. Pure.
//!
//! Source: `github.com/moby/patternmatcher`, whose `MatchesUsingParentResults` is the algorithm here.
//!
//! A plain name, a `dir/**`, a `**/name` and everything with single stars alone is compared as text; only what is
//! left (`?`, `[...]`, `\`, an inner `**`) becomes a regular expression.

use regex::Regex;

use super::{glob, regexp};

/// Why a list of patterns cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A line that is only `!`.
    #[error("the pattern `!` has no path")]
    LoneException,
    /// A pattern that Go's `filepath.Match` or `regexp` rejects.
    #[error("`{0}` is not a valid pattern")]
    Malformed(String),
    /// The patterns need more memory as regular expressions than is allowed.
    #[error("the patterns with `?`, `[`, `\\` or an inner `**` have more than {MAX_WEIGHT} characters")]
    TooMany,
}

/// The most characters that the regular expressions of a list may have, repetitions expanded. Compiled, each takes about a
/// hundred bytes.
const MAX_WEIGHT: usize = 50_000;

/// A list of patterns. The last pattern that matches decides; one with `!` excludes the path from the match.
#[derive(Debug)]
pub(super) struct Patterns {
    list: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    text: String,
    exception: bool,
    matcher: Matcher,
}

#[derive(Debug)]
enum Matcher {
    Exact,
    Prefix(String),
    /// The path ends with the text; if the text begins with `/`, its rest alone matches too.
    Suffix(String),
    Stars(Stars),
    Regex(Regex),
    /// Valid for `filepath.Match` but not for `regexp`: like moby, fails when it is first needed.
    Malformed,
}

/// How moby compares a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Exact,
    Prefix,
    Suffix,
    /// Go source of the regular expression.
    Regex(String),
}

impl Patterns {
    /// Parses patterns: white space around them is removed, empty ones are ignored, and the others are cleaned as paths.
    ///
    /// # Errors
    /// [`PatternError`] for a `!` without a path and for patterns that Go's `filepath.Match` rejects.
    pub(super) fn new<'p>(patterns: impl IntoIterator<Item = &'p str>) -> Result<Self, PatternError> {
        let mut list = Vec::new();
        let mut weight = 0;
        for given in patterns {
            if given.trim().is_empty() {
                continue;
            }
            let cleaned = glob::clean(given.trim());
            let (exception, text) = match cleaned.strip_prefix('!') {
                Some("") => return Err(PatternError::LoneException),
                Some(text) => (true, text.to_owned()),
                None => (false, cleaned),
            };
            if glob::matches(&text, ".").is_err() {
                return Err(PatternError::Malformed(text));
            }
            list.push(Pattern { matcher: Matcher::new(&text, &mut weight)?, exception, text });
        }
        Ok(Self { list })
    }

    /// The patterns with `!`, without it.
    pub(super) fn exceptions(&self) -> impl Iterator<Item = &str> {
        self.list.iter().filter(|pattern| pattern.exception).map(|pattern| pattern.text.as_str())
    }

    /// The patterns without `!`.
    pub(super) fn inclusions(&self) -> impl Iterator<Item = &str> {
        self.list.iter().filter(|pattern| !pattern.exception).map(|pattern| pattern.text.as_str())
    }

    /// Whether the relative path `path` matches. `parent` has the results of this call for the directory above, and is empty
    /// for a path without one; `own` is overwritten with those of `path`.
    ///
    /// # Errors
    /// [`PatternError::Malformed`] if the result depends on a pattern that Go's `regexp` rejects.
    pub(super) fn matches(&self, path: &str, parent: &[bool], own: &mut Vec<bool>) -> Result<bool, PatternError> {
        own.clear();
        let mut matched = false;
        for (at, pattern) in self.list.iter().enumerate() {
            let mut fits = parent.get(at).copied().unwrap_or(false);
            if !fits && pattern.exception == matched {
                fits = pattern.fits(path)?;
            }
            own.push(fits);
            if fits {
                matched = !pattern.exception;
            }
        }
        Ok(matched)
    }
}

impl Pattern {
    fn fits(&self, path: &str) -> Result<bool, PatternError> {
        Ok(match &self.matcher {
            Matcher::Exact => path == self.text,
            Matcher::Prefix(prefix) => path.starts_with(prefix.as_str()),
            Matcher::Suffix(suffix) => path.ends_with(suffix.as_str()) || suffix.strip_prefix('/') == Some(path),
            Matcher::Stars(stars) => stars.fits(path),
            Matcher::Regex(regex) => regex.is_match(path),
            Matcher::Malformed => return Err(PatternError::Malformed(self.text.clone())),
        })
    }
}

impl Matcher {
    fn new(text: &str, weight: &mut usize) -> Result<Self, PatternError> {
        Ok(match kind(text) {
            Kind::Exact => Self::Exact,
            Kind::Prefix => Self::Prefix(text.strip_suffix("**").unwrap_or(text).to_owned()),
            Kind::Suffix => Self::Suffix(text.strip_prefix("**").unwrap_or(text).to_owned()),
            Kind::Regex(source) => {
                if let Some(stars) = Stars::new(text) {
                    return Ok(Self::Stars(stars));
                }
                *weight += regexp::weight(&source);
                if *weight > MAX_WEIGHT {
                    return Err(PatternError::TooMany);
                }
                regexp::compile(&source).map_or(Self::Malformed, Self::Regex)
            }
        })
    }
}

/// moby's `Pattern.compile`.
fn kind(text: &str) -> Kind {
    let mut source = String::from("^");
    let mut kind = Kind::Exact;
    let is_regex = || Kind::Regex(String::new());
    let mut chars = text.chars().peekable();
    let mut first = true;
    while let Some(ch) = chars.next() {
        match ch {
            '*' if chars.peek() == Some(&'*') => {
                chars.next();
                // `**/` is `**`.
                chars.next_if_eq(&'/');
                if chars.peek().is_some() {
                    source.push_str("(.*/)?");
                    kind = is_regex();
                } else if kind == Kind::Exact {
                    kind = Kind::Prefix;
                } else {
                    source.push_str(".*");
                    kind = is_regex();
                }
                if first {
                    kind = Kind::Suffix;
                }
            }
            '*' => {
                source.push_str("[^/]*");
                kind = is_regex();
            }
            '?' => {
                source.push_str("[^/]");
                kind = is_regex();
            }
            // `{`, `|` and `}` are meant to be among these, but the table of moby's released versions (v0.6.1) has no room
            // for them, so that they act where a pattern becomes a regular expression.
            '.' | '+' | '(' | ')' | '$' => {
                source.push('\\');
                source.push(ch);
            }
            '\\' => {
                source.push('\\');
                if let Some(escaped) = chars.next() {
                    source.push(escaped);
                    kind = is_regex();
                }
            }
            '[' | ']' => {
                source.push(ch);
                kind = is_regex();
            }
            ch => source.push(ch),
        }
        first = false;
    }
    match kind {
        Kind::Regex(_) => Kind::Regex(source + "$"),
        kind => kind,
    }
}

/// A pattern of names and single stars, such as `docs/*.md`, or one below any directory, such as `**/*.pyc`.
#[derive(Debug)]
struct Stars {
    anywhere: bool,
    /// Of each path component: the texts between its stars.
    components: Vec<Vec<String>>,
}

impl Stars {
    fn new(text: &str) -> Option<Self> {
        let (anywhere, rest) = match text.strip_prefix("**/") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if rest.contains("**") || rest.contains(['?', '[', ']', '\\', '^', '{', '|', '}']) {
            return None;
        }
        let component = |part: &str| part.split('*').map(str::to_owned).collect();
        Some(Self { anywhere, components: rest.split('/').map(component).collect() })
    }

    fn fits(&self, path: &str) -> bool {
        let mut left = Some(path);
        // From the end, so that the directories that `**/` matches need not be searched for.
        for component in self.components.iter().rev() {
            let Some(text) = left else { return false };
            let name;
            (left, name) = match text.rsplit_once('/') {
                Some((above, name)) => (Some(above), name),
                None => (None, text),
            };
            if !component_fits(component, name) {
                return false;
            }
        }
        match left {
            None => true,
            // moby's `(.*/)?` does not match a line feed.
            Some(above) => self.anywhere && !above.contains('\n'),
        }
    }
}

fn component_fits(texts: &[String], name: &str) -> bool {
    let [first, middle @ .., last] = texts else {
        return texts.first().is_some_and(|only| only == name);
    };
    let Some(mut left) = name.strip_prefix(first.as_str()).and_then(|left| left.strip_suffix(last.as_str())) else {
        return false;
    };
    for text in middle {
        match left.split_once(text.as_str()) {
            Some((_, behind)) => left = behind,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
pub(super) mod tests;
