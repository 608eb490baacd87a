//! Finds secrets as hex digits: `xxd`, `od -t x1`, `hexdump`, `%x`, `\x68\x75`, `68:75`, `0x68, 0x75`.
//!
//! A dump splits a secret into lines and separates its bytes. Therefore the digits of a text are joined, and searched
//! for short windows of each secret.

use std::ops::Range;

/// Size of a window in bytes.
const WINDOW: usize = 8;
/// Maximum length in bytes of a secret whose windows overlap.
const LONG: usize = 2 << 10;
/// Maximum number of characters between two bytes.
const WIDEST_GAP: usize = 5;

/// Returns the digits of a secret's windows, also with the bytes of each pair swapped, as `hexdump` and `od -x` print
/// them on little-endian machines.
pub(super) fn windows(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let step = if bytes.len() > LONG { WINDOW } else { 1 };
    let last = bytes.len().saturating_sub(WINDOW);
    let mut windows = Vec::new();
    for start in (0..=last).step_by(step).chain([last]) {
        let window = bytes.get(start..(start + WINDOW).min(bytes.len())).unwrap_or_default();
        windows.push(digits(window.iter()));
        if window.len() % 2 == 0 {
            windows.push(digits(window.chunks(2).flat_map(|pair| pair.iter().rev())));
        }
    }
    windows
}

fn digits<'a>(bytes: impl Iterator<Item = &'a u8>) -> String {
    bytes.fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"))
}

/// The bytes that a text contains as hex digits, in lower case, and the position of each digit. Newlines separate
/// sequences that do not belong together.
#[derive(Debug, Default)]
pub(super) struct Spelled {
    pub(super) digits: String,
    places: Vec<usize>,
}

impl Spelled {
    /// Collects the digits of a text.
    pub(super) fn new(text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut spelled = Self::default();
        let (mut at, mut gap) = (0, 0);
        while let Some(byte) = bytes.get(at) {
            let is_prefix = *byte == b'0' && bytes.get(at + 1).is_some_and(|next| next.eq_ignore_ascii_case(&b'x'));
            if is_prefix {
                (at, gap) = (at + 2, gap + 2);
                continue;
            }
            let run = bytes[at..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
            if run == 0 {
                let is_separator = b" \t:,;-%\\xX&#\"'".contains(byte);
                gap = if is_separator { gap + 1 } else { WIDEST_GAP + 1 };
                at += 1;
                continue;
            }
            if gap > WIDEST_GAP {
                spelled.end_run();
            }
            if run % 2 == 0 {
                spelled.digits.extend(bytes[at..at + run].iter().map(|digit| char::from(digit.to_ascii_lowercase())));
                spelled.places.extend(at..at + run);
                gap = 0;
            } else {
                // An odd number of digits does not represent bytes; it may be the offset at the start of a line of
                // `od`.
                spelled.end_run();
            }
            at += run;
        }
        spelled
    }

    fn end_run(&mut self) {
        if !self.digits.ends_with('\n') {
            self.digits.push('\n');
            self.places.push(0);
        }
    }

    /// Returns the range of the text for a range of the digits. In a line of a dump it extends to the end of the line,
    /// where the dump shows the characters again.
    pub(super) fn place(&self, range: &Range<usize>, text: &str) -> Range<usize> {
        let start = self.places.get(range.start).copied().unwrap_or_default();
        let end = range.end.checked_sub(1).and_then(|last| self.places.get(last)).map_or(start, |last| last + 1);
        let rest = text.get(end..).unwrap_or_default();
        start..if is_dump(text) { text.len() - rest.len() + rest.trim_end().len() } else { end }
    }
}

/// Whether a line begins with an offset, as in the output of `xxd` and `hexdump`.
fn is_dump(line: &str) -> bool {
    let offset = line.split(|c: char| !c.is_ascii_hexdigit()).next().unwrap_or_default();
    matches!(offset.len(), 6..=8) && line[offset.len()..].starts_with([' ', ':'])
}
