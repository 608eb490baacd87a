//! Compiles the regular expressions of moby's patterns, which have Go's syntax, with the `regex` crate. Pure.
//!
//! Source: <https://pkg.go.dev/regexp/syntax>. The syntaxes differ in classes and escapes: `regex` has nested classes and
//! set operators, and its `\d` is Unicode. A `{` that begins no repetition is a literal in Go. Octal, hexadecimal, `\Q` and
//! `\p` escapes, which no ignore file uses, are rejected.

use regex::Regex;

/// The named classes that both support.
const NAMED: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// The most repetitions that Go allows.
const MAX_REPEAT: u32 = 1000;

/// Compiles an expression; `None` if Go rejects it.
pub(super) fn compile(go: &str) -> Option<Regex> {
    Regex::new(&translate(go)?).ok()
}

/// The approximate size of a compiled expression, in characters that it matches.
pub(super) fn weight(go: &str) -> usize {
    let braces = go.match_indices('{').map(|(at, _)| at);
    let repeats = braces.filter_map(|at| repetition(&go[at + 1..]));
    // A repeated part may be a class of many ranges.
    go.len() + 10 * repeats.map(|(_, low, high)| low.max(high.unwrap_or_default()) as usize).sum::<usize>()
}

fn translate(go: &str) -> Option<String> {
    let mut out = String::with_capacity(go.len() + 8);
    let mut rest = go;
    let mut after_repeat = false;
    while let Some(ch) = rest.chars().next() {
        rest = &rest[ch.len_utf8()..];
        let was_repeat = std::mem::replace(&mut after_repeat, matches!(ch, '*' | '?'));
        match ch {
            '{' => match repetition(rest) {
                None => out.push_str("\\{"),
                Some((behind, low, high)) => {
                    let highest = high.unwrap_or(low);
                    if was_repeat || low > MAX_REPEAT || highest > MAX_REPEAT || highest < low {
                        return None;
                    }
                    let text = &rest[..rest.len() - behind.len()];
                    out.extend(["{", text]);
                    rest = behind;
                    after_repeat = true;
                }
            },
            '}' => out.push_str("\\}"),
            '\\' => rest = escape(rest, &mut out, Place::Outside)?,
            '[' => rest = class(rest, &mut out)?,
            ']' => out.push_str("\\]"),
            ch => out.push(ch),
        }
    }
    Some(out)
}

/// Parses `n}`, `n,}` or `n,m}` after a `{`. Returns the rest, the lowest and the highest number.
fn repetition(text: &str) -> Option<(&str, u32, Option<u32>)> {
    let (low, rest) = number(text)?;
    if let Some(behind) = rest.strip_prefix('}') {
        return Some((behind, low, Some(low)));
    }
    let rest = rest.strip_prefix(',')?;
    if let Some(behind) = rest.strip_prefix('}') {
        return Some((behind, low, None));
    }
    let (high, rest) = number(rest)?;
    rest.strip_prefix('}').map(|behind| (behind, low, Some(high)))
}

/// A number of any size without leading zeros.
fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|ch: char| !ch.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let is_number = !digits.is_empty() && (digits.len() == 1 || !digits.starts_with('0'));
    is_number.then(|| (digits.parse().unwrap_or(u32::MAX), rest))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    InClass,
}

/// Parses the text after a `\`. Returns the rest.
fn escape<'g>(rest: &'g str, out: &mut String, place: Place) -> Option<&'g str> {
    let ch = rest.chars().next()?;
    let rest = &rest[ch.len_utf8()..];
    let set = match (ch, place) {
        ('d', _) => "[0-9]",
        ('D', _) => "[^0-9]",
        ('s', _) => r"[\t\n\f\r ]",
        ('S', _) => r"[^\t\n\f\r ]",
        ('w', _) => "[0-9A-Za-z_]",
        ('W', _) => "[^0-9A-Za-z_]",
        ('a', _) => r"\x07",
        ('f', _) => r"\x0C",
        ('n', _) => r"\n",
        ('r', _) => r"\r",
        ('t', _) => r"\t",
        ('v', _) => r"\x0B",
        ('A', Place::Outside) => r"\A",
        ('z', Place::Outside) => r"\z",
        ('b', Place::Outside) => r"(?-u:\b)",
        ('B', Place::Outside) => r"\B",
        (ch, _) if ch.is_ascii() && !ch.is_ascii_alphanumeric() => {
            literal(ch, out);
            return Some(rest);
        }
        _ => return None,
    };
    out.push_str(set);
    Some(rest)
}

fn literal(ch: char, out: &mut String) {
    if ch.is_ascii() && !ch.is_ascii_alphanumeric() {
        // Written as `\xHH`, no character has a special meaning, within a class or outside.
        out.push_str("\\x");
        out.extend([4, 0].into_iter().filter_map(|shift| char::from_digit(u32::from(ch) >> shift & 15, 16)));
    } else {
        out.push(ch);
    }
}

/// Parses a class after its `[`. Returns the text after its `]`.
fn class<'g>(go: &'g str, out: &mut String) -> Option<&'g str> {
    let mut rest = go;
    out.push('[');
    if let Some(negated) = rest.strip_prefix('^') {
        out.push('^');
        rest = negated;
    }
    let mut first = true;
    while first || !rest.starts_with(']') {
        first = false;
        if let Some((name, behind)) = rest.strip_prefix("[:").and_then(|named| named.split_once(":]")) {
            if !NAMED.contains(&name.strip_prefix('^').unwrap_or(name)) {
                return None;
            }
            out.extend(["[:", name, ":]"]);
            rest = behind;
            continue;
        }
        let is_set = rest.strip_prefix('\\').is_some_and(|behind| behind.starts_with(['d', 'D', 's', 'S', 'w', 'W']));
        rest = class_char(rest, out)?;
        if !is_set
            && let Some(high) = rest.strip_prefix('-')
            && !high.is_empty()
            && !high.starts_with(']')
        {
            out.push('-');
            rest = class_char(high, out)?;
        }
    }
    out.push(']');
    rest.strip_prefix(']')
}

fn class_char<'g>(rest: &'g str, out: &mut String) -> Option<&'g str> {
    if let Some(escaped) = rest.strip_prefix('\\') {
        return escape(escaped, out, Place::InClass);
    }
    let ch = rest.chars().next()?;
    literal(ch, out);
    Some(&rest[ch.len_utf8()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result of Go's `regexp.MustCompile(source).MatchString(text)`; `None` if `Compile` fails.
    #[test]
    fn go_syntax_keeps_its_meaning() {
        for (source, text, want) in [
            ("^a[b-d]e$", "ace", Some(true)),
            // `[a*b]` as a pattern: Go's class is `[a[^/]`, the rest is outside of it.
            ("^[a[^/]*b]$", "^^ab]", Some(true)),
            ("^[a[^/]*b]$", "ab", Some(false)),
            ("^[a&&b]$", "&", Some(true)),
            ("^[+--]$", ",", Some(true)),
            ("^[a~~b]$", "~", Some(true)),
            ("^[]a]$", "]", Some(true)),
            ("^[[:digit:]x]$", "7", Some(true)),
            ("^[[:nope:]]$", "7", None),
            ("^[z-a]$", "b", None),
            ("^[Local-Only]$", "x", None),
            (r"^\d$", "7", Some(true)),
            (r"^\d$", "٧", Some(false)),
            (r"^\D$", "٧", Some(true)),
            (r"^\w$", "é", Some(false)),
            (r"^\.x$", ".x", Some(true)),
            (r"^\é$", "é", None),
            (r"^\y$", "y", None),
            ("^]$", "]", Some(true)),
            ("^[^a]$", "\n", Some(true)),
            ("^.$", "\n", Some(false)),
            ("^a|b$", "ax", Some(true)),
            ("^a|b$", "xb", Some(true)),
            ("^a|b$", "xbx", Some(false)),
            ("^a{2}$", "aa", Some(true)),
            ("^a{2}$", "a{2}", Some(false)),
            ("^a{1,}$", "aaa", Some(true)),
            ("^a{0,1}$", "aa", Some(false)),
            ("^a{b,c}$", "a{b,c}", Some(true)),
            ("^a{,2}$", "a{,2}", Some(true)),
            ("^a{02}$", "a{02}", Some(true)),
            ("^{$", "{", Some(true)),
            ("^{2}a$", "a", Some(true)),
            ("^}$", "}", Some(true)),
            ("^[^/]*{2}$", "a", None),
            ("^a{2}{3}$", "a", None),
            ("^a{1001}$", "a", None),
            ("^a{99999999999}$", "a", None),
            ("^a{3,2}$", "a", None),
            ("^a|{2}$", "a", None),
        ] {
            assert_eq!(compile(source).map(|regex| regex.is_match(text)), want, "{source:?} {text:?}");
        }
    }
}
