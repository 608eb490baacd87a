//! Splits the output of a step into lines. Pure.

use std::collections::VecDeque;

use crate::domain::{failure::Failure, redact::Redactor, visible};

/// Maximum length of a line in bytes. A longer one is cut into pieces, to limit the memory for a line without an end.
const LONGEST_LINE: usize = 16 << 10;
/// Maximum length of an incomplete escape sequence in bytes.
const LONGEST_SEQUENCE: usize = 4 << 10;

/// The output of one step.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The last lines.
    tail: VecDeque<String>,
    /// The unfinished lines of standard output and standard error.
    partial: [Vec<u8>; 2],
}

impl Lines {
    /// Adds output and returns the complete lines. A long line is never cut within one of the redactor's secrets.
    pub(super) fn push(&mut self, bytes: &[u8], is_stderr: bool, redactor: &Redactor) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let partial = &mut self.partial[usize::from(is_stderr)];
            partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                lines.push(text(&std::mem::take(partial)));
            } else if partial.len() >= LONGEST_LINE + redactor.held_back() {
                lines.extend(first_piece(partial, redactor));
            }
        }
        self.remember(&lines);
        lines
    }

    /// Ends the output and returns the unfinished lines.
    pub(super) fn end(&mut self) -> Vec<String> {
        let unfinished = self.partial.iter_mut().filter(|rest| !rest.is_empty());
        let lines: Vec<String> = unfinished.map(|rest| text(&std::mem::take(rest))).collect();
        self.remember(&lines);
        lines
    }

    /// The last lines, including the unfinished ones.
    pub(super) fn last(&self) -> Vec<String> {
        let unfinished = self.partial.iter().filter(|rest| !rest.is_empty()).map(|rest| text(rest));
        self.tail.iter().cloned().chain(unfinished).collect()
    }

    fn remember(&mut self, lines: &[String]) {
        self.tail.extend(lines.iter().cloned());
        self.tail.drain(..self.tail.len().saturating_sub(Failure::LOG_LINES));
    }
}

/// A line as a terminal would show it: without its end, and without text that a carriage return overwrote.
fn text(raw: &[u8]) -> String {
    let line = String::from_utf8_lossy(raw);
    let line = line.trim_end_matches(['\n', '\r']);
    line.rsplit('\r').next().unwrap_or_default().to_owned()
}

/// Takes a piece off the beginning of a line that is too long to wait for its end. Does not if the line is short enough
/// without its invisible characters. The piece is redacted here, because a secret may continue in the rest of the line.
fn first_piece(partial: &mut Vec<u8>, redactor: &Redactor) -> Option<String> {
    let raw = std::mem::take(partial);
    let whole = raw.len() - unfinished_character(&raw);
    let line = String::from_utf8_lossy(&raw[..whole]);
    let end = line.trim_end_matches('\r');
    let line = &line[end.rfind('\r').map_or(0, |at| at + 1)..];
    let sequence = Some(visible::unfinished(line)).filter(|length| *length <= LONGEST_SEQUENCE).unwrap_or_default();
    let (line, sequence) = line.split_at(line.len() - sequence);
    let line = visible::bare(line);
    let long = line.len() >= LONGEST_LINE + redactor.held_back();
    let (piece, taken) = if long { redactor.redact_beginning(&line) } else { (String::new(), 0) };
    partial.extend(line[taken..].bytes().chain(sequence.bytes()));
    partial.extend(&raw[whole..]);
    long.then_some(piece)
}

/// The number of bytes at the end that begin an incomplete character.
fn unfinished_character(raw: &[u8]) -> usize {
    let last = raw.iter().rev().take(3).position(|byte| byte & 0xC0 != 0x80);
    let Some((there, byte)) = last.and_then(|back| Some((back + 1, raw.iter().rev().nth(back)?))) else { return 0 };
    let length = match byte {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF7 => 4,
        _ => 1,
    };
    if there < length { there } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_LINE, Lines};
    use crate::domain::{redact::Redactor, secret::Secret, visible};

    #[test]
    fn chunks_become_lines() {
        let (mut lines, redactor) = (Lines::default(), Redactor::default());
        assert_eq!(lines.push(b"one\ntw", false, &redactor), ["one"]);
        assert_eq!(lines.push(b"err\r\n", true, &redactor), ["err"]);
        assert_eq!(lines.push(b"o\n10%\r50%\r100%\n", false, &redactor), ["two", "100%"]);
        assert_eq!(lines.push(b"last", false, &redactor), Vec::<String>::new());
        assert_eq!(lines.last(), ["one", "err", "two", "100%", "last"]);
        assert_eq!(lines.end(), ["last"]);
        assert_eq!(lines.last(), ["one", "err", "two", "100%", "last"]);
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let (mut lines, redactor) = (Lines::default(), Redactor::default());
        for _ in 0..100 {
            lines.push("x".repeat(10_000).as_bytes(), false, &redactor);
        }
        assert!(lines.partial[0].len() < 2 * LONGEST_LINE);
        assert!(lines.tail.len() <= 40);
        for noise in ["\u{0}", "\u{1b}[31m", "50%\r"] {
            for _ in 0..100 {
                lines.push(noise.repeat(10_000).as_bytes(), true, &redactor);
            }
            assert!(lines.partial[1].len() < 8 * LONGEST_LINE, "{noise:?}");
        }
    }

    /// Whatever surrounds it, and however the daemon sends it.
    #[test]
    fn no_line_is_cut_within_a_secret() {
        let secret = "x9Q-canary-of-some-length";
        let redactor = Redactor::new(&[Secret::new(secret)]);
        let colored = secret.chars().map(String::from).collect::<Vec<_>>().join("\u{1b}[31m\u{0}");
        for (written, size) in [(secret, 1000), (&colored, 777), (secret, 3)] {
            for before in (LONGEST_LINE - 50..LONGEST_LINE + 600).step_by(47) {
                let line = format!("{}{written}{}é\n", "-".repeat(before), "é".repeat(3_000));
                let mut lines = Lines::default();
                let mut printed = String::new();
                for chunk in line.as_bytes().chunks(if before % 5 == 0 { size } else { 10_000 }) {
                    for line in lines.push(chunk, false, &redactor) {
                        printed.push_str(&visible::bare(&redactor.redact(&line)));
                    }
                }
                let want = format!("{}[redacted]{}", "-".repeat(before), "é".repeat(3_001));
                assert!(printed == want, "{before}: {}", printed.replace(['-', 'é'], ""));
            }
        }
    }
}
