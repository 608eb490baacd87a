//! Lets brackets and quotes end left of where YAML wants them, as compose files often have it and go-yaml takes it:
//!
//! ```yaml
//! command: [
//!   "run"
//! ]
//! ```
//!
//! `saphyr-parser` follows the specification and refuses this. Space at the start of a line means nothing within
//! brackets and quotes, so the lines that it complains of are moved to the right, and parsed again.

use saphyr_parser::ScanError;

/// A text of which lines can be moved.
pub(super) struct Lines {
    rows: Vec<String>,
    /// How many characters each line was moved.
    moved: Vec<usize>,
    /// Far enough for every line.
    distance: usize,
}

/// How many times a text is parsed again.
const MAX_MOVES: usize = 1000;

impl Lines {
    pub(super) fn new(text: &str) -> Self {
        let rows: Vec<String> = text.split('\n').map(str::to_owned).collect();
        let depth = |line: &String| line.find(|c: char| !matches!(c, ' ' | '-' | '?')).unwrap_or(line.len());
        let distance = rows.iter().map(depth).max().unwrap_or_default() + 1;
        Self { moved: vec![0; rows.len()], rows, distance }
    }

    pub(super) fn text(&self) -> String {
        self.rows.join("\n")
    }

    /// How many characters a line, counted from 1, was moved.
    pub(super) fn moved(&self, line: usize) -> usize {
        line.checked_sub(1).and_then(|index| self.moved.get(index)).copied().unwrap_or_default()
    }

    /// Moves the lines that an error complains of; `false` if that is not what is wrong.
    pub(super) fn mend(&mut self, error: &ScanError) -> bool {
        let Some(start) = error.marker().line().checked_sub(1) else { return false };
        let range = match error.info() {
            "invalid indentation" | "invalid indentation in flow construct" => start..=start,
            "invalid indentation in quoted scalar" => start + 1..=self.quote_end(start, error.marker().col()),
            _ => return false,
        };
        let mut any = false;
        for index in range {
            // Within brackets a line is moved once; if that does not help, nothing will.
            if self.moved.get(index) == Some(&0) && self.moved.iter().filter(|m| **m > 0).count() < MAX_MOVES {
                self.rows[index].insert_str(0, &" ".repeat(self.distance));
                self.moved[index] = self.distance;
                any = true;
            }
        }
        any
    }

    /// The line on which the quoted text ends that begins at a place.
    fn quote_end(&self, start: usize, column: usize) -> usize {
        let mut quote = None;
        for (index, line) in self.rows.iter().enumerate().skip(start) {
            let mut chars = line.chars().skip(if index == start { column } else { 0 }).peekable();
            while let Some(c) = chars.next() {
                match quote {
                    None => quote = Some(c),
                    Some('"') if c == '\\' => drop(chars.next()),
                    Some('\'') if c == '\'' && chars.peek() == Some(&'\'') => drop(chars.next()),
                    Some(q) if c == q => return index,
                    Some(_) => {}
                }
            }
        }
        self.rows.len().saturating_sub(1)
    }
}
