//! Text of others in GitHub-flavoured Markdown, so that none of it means anything, and pages of bounded length.
//!
//! Short texts are drawn as `<code>` with every character that could mean something written as an entity; long ones
//! stand in a fence that they cannot close.

use std::fmt::Write as _;

use crate::github::untrusted::plain;

use super::human;

/// Longest text from others within a line, in characters.
const LONGEST_TEXT: usize = 500;

/// A page so far; what does not fit any more is left out.
#[derive(Debug)]
pub(super) struct Page {
    text: String,
    limit: usize,
}

impl Page {
    /// Room that is kept for words about what was left out.
    const MARGIN: usize = 1 << 10;

    /// An empty page that never gets longer than `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { text: String::new(), limit }
    }

    /// Adds a part, if it fits.
    pub(super) fn add(&mut self, part: &str) -> bool {
        let fits = self.text.len() + part.len() <= self.limit - Self::MARGIN;
        if fits {
            self.text.push_str(part);
        }
        fits
    }

    /// Adds as many as fit and says how many did not.
    pub(super) fn add_each<T>(&mut self, items: &[T], draw: impl Fn(&T) -> String, thing: &str) {
        let shown = items.iter().take_while(|item| self.add(&draw(item))).count();
        if shown < items.len() {
            // The margin is kept for this line.
            let _ = write!(self.text, "\n{} more, left out here\n\n", human::count(items.len() - shown, thing));
        }
    }

    /// The page.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// Text from others as code within a line. Everything but letters, digits and what can mean nothing is an entity,
/// which Markdown never takes for syntax; in `<code>` GitHub links no names, numbers or commits.
pub(super) fn code(text: &str) -> String {
    let mut inner = String::new();
    for character in shortened(text).chars() {
        match character {
            ' ' | '-' => inner.push(character),
            // The addition to Markdown that links mail addresses looks at text after entities are read.
            '@' => inner.push_str("&#8203;&#64;"),
            _ if character.is_ascii_punctuation() => {
                let _ = write!(inner, "&#{};", u32::from(character));
            }
            _ => inner.push(character),
        }
    }
    format!("<code>{inner}</code>")
}

/// Lines from others in a fence that none of them closes.
pub(super) fn fenced<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<String> = lines.map(shortened).collect();
    let longest = lines.iter().flat_map(|line| line.split(|c| c != '`')).map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n", lines.join("\n"))
}

/// A link to an address of ours or of the workflow's author. What could end it is percent-encoded.
pub(super) fn link(words: &str, url: &str) -> String {
    let mut safe = String::new();
    for character in plain(url).chars() {
        if character.is_ascii_alphanumeric() || "-._~:/?#@!$&+,;=%".contains(character) {
            safe.push(character);
        } else {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(safe, "%{byte:02X}");
            }
        }
    }
    format!("[{words}]({safe})")
}

/// One line without control characters, colours among them, and not too long.
fn shortened(text: &str) -> String {
    // Of a very long text not even the controls are looked at.
    let end = text.char_indices().nth(8 * LONGEST_TEXT).map_or(text.len(), |(end, _)| end);
    let mut short = plain(&text[..end]);
    if let Some((end, _)) = short.char_indices().nth(LONGEST_TEXT) {
        short.truncate(end);
        short.push('…');
    }
    short
}
