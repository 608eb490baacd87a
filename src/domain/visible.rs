//! The visible part of untrusted text.
//!
//! A text may contain escape sequences, control characters and zero-width characters between its letters. Programs that
//! show the text omit them, so they hide a secret from a search but not from a reader. [`clean`] removes them;
//! [`Skeleton`] is the text to search.

use std::ops::Range;

/// The way to parse escape sequences. Terminals agree on well-formed ones only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escapes {
    /// As in ECMA-48: control sequences, strings, and the character after an escape.
    Whole,
    /// As in ECMA-48, but a character after an escape is text if it begins neither a sequence nor a string.
    Long,
    /// Only the escape character itself is removed.
    Bare,
}

/// The effect of a part of a text on the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Visible.
    Shown,
    /// Changes the appearance of the text: a color, a joiner, or U+FFFD for an invalid byte.
    Mark,
    /// Invisible.
    Hidden,
}

/// Removes escape sequences, control characters and invisible characters. Keeps line ends, tabs, colors (`ESC [ … m`),
/// joiners and U+FFFD.
pub fn clean(text: &str) -> String {
    keep(text, |kind| kind != Kind::Hidden)
}

/// Like [`clean`], but removes colors, joiners and U+FFFD too.
pub fn bare(text: &str) -> String {
    keep(text, |kind| kind == Kind::Shown)
}

/// Like [`clean`], but removes colors too.
pub fn colorless(text: &str) -> String {
    let is_kept = |(part, kind): &(Range<usize>, Kind)| {
        *kind != Kind::Hidden && !text[part.clone()].starts_with(['\u{1b}', '\u{9b}'])
    };
    parts(text, Escapes::Whole).filter(is_kept).map(|(part, _)| &text[part]).collect()
}

/// Returns the length in bytes of an incomplete escape sequence at the end of the text.
pub fn unfinished(text: &str) -> usize {
    let last = parts(text, Escapes::Whole).last();
    last.filter(|(part, kind)| *kind == Kind::Hidden && begins_sequence(&text[part.clone()]))
        .map_or(0, |(part, _)| part.len())
}

/// Whether the text begins with an escape sequence, complete or not.
fn begins_sequence(text: &str) -> bool {
    text.starts_with(['\u{1b}', '\u{90}', '\u{98}', '\u{9b}', '\u{9d}', '\u{9e}', '\u{9f}'])
}

fn keep(text: &str, wanted: impl Fn(Kind) -> bool) -> String {
    let mut kept = String::with_capacity(text.len());
    for (part, kind) in parts(text, Escapes::Whole) {
        if wanted(kind) {
            kept.push_str(&text[part]);
        }
    }
    kept
}

/// The visible characters of a text, with sequences of whitespace collapsed to one space, and their positions.
#[derive(Debug, Default)]
pub(super) struct Skeleton {
    /// The characters.
    pub(super) text: String,
    /// For each byte of `text`, its position in the original.
    places: Vec<usize>,
}

impl Skeleton {
    /// Creates the skeleton of a text.
    pub(super) fn new(text: &str, escapes: Escapes) -> Self {
        let mut skeleton = Self::default();
        for (part, kind) in parts(text, escapes) {
            if kind != Kind::Shown {
                continue;
            }
            let shown = &text[part.clone()];
            if shown.chars().all(char::is_whitespace) {
                if !skeleton.text.ends_with(' ') {
                    skeleton.push(" ", part.start);
                }
            } else {
                skeleton.push(shown, part.start);
            }
        }
        skeleton
    }

    fn push(&mut self, shown: &str, place: usize) {
        self.text.push_str(shown);
        self.places.extend(place..place + shown.len());
    }

    /// Returns the range of the original text for a range of the skeleton that does not end with a space.
    pub(super) fn place(&self, range: &Range<usize>) -> Range<usize> {
        let start = self.places.get(range.start).copied().unwrap_or_default();
        let last = range.end.checked_sub(1).and_then(|last| self.places.get(last).copied());
        start..last.map_or(start, |last| last + 1)
    }
}

/// Whether a text equals its skeleton, which is true for most lines.
pub(super) fn is_plain(text: &str) -> bool {
    let mut before = b'x';
    text.bytes().all(|byte| {
        let twice = byte == b' ' && before == b' ';
        before = byte;
        matches!(byte, b' '..=b'~') && !twice
    })
}

/// Splits a text into visible characters and everything else. Most of a text is words in ASCII, each of which is one part.
fn parts(text: &str, escapes: Escapes) -> impl Iterator<Item = (Range<usize>, Kind)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..)?;
        let (length, kind) = part(rest, escapes)?;
        let start = at;
        at += length;
        Some((start..at, kind))
    })
}

fn part(rest: &str, escapes: Escapes) -> Option<(usize, Kind)> {
    let word = rest.bytes().position(|byte| !byte.is_ascii_graphic()).unwrap_or(rest.len());
    if word > 0 {
        return Some((word, Kind::Shown));
    }
    let first = rest.chars().next()?;
    let length = first.len_utf8();
    let bare = escapes == Escapes::Bare;
    Some(match first {
        '\u{1b}' if bare => (length, Kind::Hidden),
        '\u{1b}' => match color(rest) {
            Some(length) => (length, Kind::Mark),
            None => (escape(rest, escapes), Kind::Hidden),
        },
        '\u{9b}' if !bare => (length + control_sequence(&rest[length..]), Kind::Hidden),
        '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' if !bare => (length + string(&rest[length..]), Kind::Hidden),
        '\n' | '\r' | '\t' | '\u{85}' => (length, Kind::Shown),
        '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{fffd}' => (length, Kind::Mark),
        _ if first.is_control() || is_invisible(first) => (length, Kind::Hidden),
        _ => (length, Kind::Shown),
    })
}

/// Returns the length of the color sequence (SGR) at the start of the text.
fn color(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|c: char| !(c.is_ascii_digit() || c == ';' || c == ':'))?;
    parameters[end..].starts_with('m').then_some(end + 3)
}

/// Returns the length of the escape sequence at the start of the text.
fn escape(text: &str, escapes: Escapes) -> usize {
    let rest = &text[1..];
    match rest.chars().next() {
        Some('[') => 2 + control_sequence(&rest[1..]),
        Some(']' | 'P' | 'X' | '^' | '_') => 2 + string(&rest[1..]),
        // A character set: intermediate characters and a final character.
        Some(' '..='/') => {
            let final_one = rest.find(|c| !matches!(c, ' '..='/')).unwrap_or(rest.len());
            1 + final_one + usize::from(rest[final_one..].starts_with(|c| matches!(c, '0'..='~')))
        }
        Some('0'..='~') if escapes == Escapes::Whole => 2,
        _ => 1,
    }
}

/// Returns the length of the parameters and the final character. Terminals execute control characters within a sequence
/// and continue.
fn control_sequence(rest: &str) -> usize {
    for (at, character) in rest.char_indices() {
        match character {
            '@'..='~' => return at + 1,
            ' '..='?' => {}
            '\n' | '\r' | '\u{1b}' => return at,
            _ if character.is_control() || is_invisible(character) => {}
            _ => return at,
        }
    }
    rest.len()
}

/// Returns the length of a string including its BEL or ST. An unterminated string ends at the end of the line.
fn string(rest: &str) -> usize {
    for (at, character) in rest.char_indices() {
        match character {
            '\u{7}' | '\u{9c}' => return at + character.len_utf8(),
            '\u{1b}' => return at + if rest[at + 1..].starts_with('\\') { 2 } else { 0 },
            '\n' => return at,
            _ => {}
        }
    }
    rest.len()
}

/// Whether the character is invisible: zero-width, a bidirectional control, a filler or a tag.
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{2800}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}'
        | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::{Escapes, Skeleton, bare, clean, is_plain, unfinished};

    #[test]
    fn removes_invisible_characters() {
        for (dirty, cleaned) in [
            ("\u{1b}[31mred\u{1b}[0m", "\u{1b}[31mred\u{1b}[0m"),
            ("a\u{1b}[2Kb\u{1b}[1;2Hc", "abc"),
            ("a\u{1b}[3\u{0}1mb", "ab"),
            ("\u{1b}]8;;http://e\u{7}link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}]0;unfinished\nnext", "\nnext"),
            ("\u{9b}1Ja\u{90}dcs\u{9c}b", "ab"),
            ("\u{1b}(Bx\u{1b}=y\u{1b}#8z\u{1b}", "xyz"),
            ("a\u{0}b\u{b}c\u{8}d\u{7f}e\u{85}f", "abcde\u{85}f"),
            ("\u{202e}a\u{200b}b\u{ad}c\u{2060}d\u{e0041}", "abcd"),
            ("👩\u{200d}👩 ⚠\u{fe0f} \u{fffd}", "👩\u{200d}👩 ⚠\u{fe0f} \u{fffd}"),
            ("a\tb\r\n  c", "a\tb\r\n  c"),
        ] {
            assert_eq!(clean(dirty), cleaned, "{dirty:?}");
        }
        assert_eq!(bare("\u{1b}[31mr\u{fffd}e\u{200d}d"), "red");
    }

    #[test]
    fn finds_incomplete_sequences() {
        for (text, length) in [("ab", 0), ("ab\u{0}", 0), ("a\u{1b}", 1), ("a\u{1b}[3", 3), ("a\u{1b}]0;title", 9)] {
            assert_eq!(unfinished(text), length, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_skeleton_knows_where_it_stands(text in any::<String>(), parts in prop::collection::vec(
            prop::sample::select(vec!["\u{1b}", "[", "3", "m", "K", "]", "\u{7}", "\u{0}", "a", "é", " ", "\n", "\u{200d}"]), 0..20)) {
            for text in [text, parts.concat()] {
                for escapes in [Escapes::Whole, Escapes::Long, Escapes::Bare] {
                    let skeleton = Skeleton::new(&text, escapes);
                    for (at, character) in skeleton.text.char_indices().filter(|(_, c)| *c != ' ') {
                        let place = skeleton.place(&(at..at + character.len_utf8()));
                        assert_eq!(text.get(place), Some(&*character.to_string()));
                    }
                    assert!(!is_plain(&text) || skeleton.text == text);
                }
                let once = clean(&text);
                assert_eq!(clean(&once), once, "what was removed hid nothing");
                assert!(!bare(&text).contains(|c: char| c.is_control() && !"\n\r\t\u{85}".contains(c)));
            }
        }
    }
}
