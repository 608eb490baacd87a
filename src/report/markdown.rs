//! Escapes untrusted text for GitHub-flavored Markdown, and builds pages of limited length.
//!
//! Short texts become `<code>` with special characters written as entities; long ones are put in a code fence that they
//! cannot close.

use std::fmt::Write as _;

use crate::github::untrusted::plain;

use super::human;

/// Maximum length of an untrusted text within a line, in characters.
const LONGEST_TEXT: usize = 500;

/// A page of limited size. Parts that do not fit are omitted.
#[derive(Debug)]
pub(super) struct Page {
    text: String,
    limit: usize,
}

impl Page {
    /// Bytes reserved for notes about omitted parts.
    const MARGIN: usize = 1 << 10;

    /// Creates an empty page of at most `limit` bytes.
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

    /// Adds as many items as fit, and a note with the number of the others.
    pub(super) fn add_each<T>(&mut self, items: &[T], draw: impl Fn(&T) -> String, thing: &str) {
        let shown = items.iter().take_while(|item| self.add(&draw(item))).count();
        if shown < items.len() {
            // The margin is reserved for this line.
            let _ = write!(self.text, "\n{} omitted\n\n", human::count(items.len() - shown, thing));
        }
    }

    /// The text of the page.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// Untrusted text as inline code. Punctuation is written as entities, which Markdown never interprets as syntax; within
/// `<code>` GitHub does not link names, numbers or commits.
pub(super) fn code(text: &str) -> String {
    let mut inner = String::new();
    for character in shortened(text).chars() {
        match character {
            ' ' | '-' => inner.push(character),
            // GitHub links e-mail addresses after decoding entities.
            '@' => inner.push_str("&#8203;&#64;"),
            _ if character.is_ascii_punctuation() => {
                let _ = write!(inner, "&#{};", u32::from(character));
            }
            _ => inner.push(character),
        }
    }
    format!("<code>{inner}</code>")
}

/// Untrusted lines in a code fence that none of them can close.
pub(super) fn fenced<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<String> = lines.map(shortened).collect();
    let longest = lines.iter().flat_map(|line| line.split(|c| c != '`')).map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n", lines.join("\n"))
}

/// A link to a trusted URL. Characters that could end the link are percent-encoded.
pub(super) fn link(label: &str, url: &str) -> String {
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
    format!("[{label}]({safe})")
}

/// One line without control characters and colors, cut to the maximum length.
fn shortened(text: &str) -> String {
    // Limit the work on very long texts.
    let end = text.char_indices().nth(8 * LONGEST_TEXT).map_or(text.len(), |(end, _)| end);
    let mut short = plain(&text[..end]);
    if let Some((end, _)) = short.char_indices().nth(LONGEST_TEXT) {
        short.truncate(end);
        short.push('…');
    }
    short
}
