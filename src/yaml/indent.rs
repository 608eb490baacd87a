//! Accepts closing brackets and quotes with less indentation than YAML requires. They are common in Compose files, and
//! go-yaml accepts them:
//!
//! ```yaml
//! command: [
//!   "run"
//! ]
//! ```
//!
//! `saphyr-parser` follows the specification and rejects this. Leading whitespace has no meaning inside brackets and
//! quotes, so the lines that cause the error are indented further and the text is parsed again.

use saphyr_parser::ScanError;

/// A text whose lines can be moved.
pub(super) struct Lines {
    rows: Vec<String>,
    /// Number of characters by which each line was moved.
    moved: Vec<usize>,
    /// Number of characters that is sufficient for every line.
    distance: usize,
    /// Number of lines that were moved.
    moves: usize,
    /// Number of bytes parsed again, plus spaces added.
    work: usize,
}

/// The result of a repair.
pub(super) enum Repair {
    /// Lines were moved; the text has to be parsed again.
    Done,
    /// The error has another cause.
    None,
    /// More lines would have to be moved than the limit allows.
    TooMany,
}

/// Maximum number of lines to move.
const MAX_MOVES: usize = 1000;

/// Maximum number of bytes to parse again. Usually each pair of brackets takes one more pass.
const MAX_WORK: usize = 4 << 20;

impl Lines {
    pub(super) fn new(text: &str) -> Self {
        let rows: Vec<String> = text.split('\n').map(str::to_owned).collect();
        let depth = |line: &String| line.find(|c: char| !matches!(c, ' ' | '-' | '?')).unwrap_or(line.len());
        let distance = rows.iter().map(depth).max().unwrap_or_default() + 1;
        Self { moved: vec![0; rows.len()], rows, distance, moves: 0, work: 0 }
    }

    pub(super) fn text(&self) -> String {
        self.rows.join("\n")
    }

    /// Returns by how many characters a line, counted from 1, was moved.
    pub(super) fn moved(&self, line: usize) -> usize {
        line.checked_sub(1).and_then(|index| self.moved.get(index)).copied().unwrap_or_default()
    }

    /// Moves the lines that cause an error.
    pub(super) fn repair(&mut self, error: &ScanError) -> Repair {
        let Some(start) = error.marker().line().checked_sub(1) else { return Repair::None };
        let range = match error.info() {
            "invalid indentation" | "invalid indentation in flow construct" => start..=self.bracket_end(start),
            "invalid indentation in quoted scalar" => start + 1..=self.quote_end(start, error.marker().col()),
            _ => return Repair::None,
        };
        let mut repair = Repair::None;
        self.work += self.rows.iter().map(String::len).sum::<usize>();
        for index in range {
            // Moving a line twice does not help.
            if self.moved.get(index) != Some(&0) {
                continue;
            }
            self.moves += 1;
            self.work += self.distance;
            if self.moves > MAX_MOVES || self.work > MAX_WORK {
                return Repair::TooMany;
            }
            self.rows[index].insert_str(0, &" ".repeat(self.distance));
            self.moved[index] = self.distance;
            repair = Repair::Done;
        }
        repair
    }

    /// Returns the line that closes the brackets that are open at the beginning of a line, or that line itself if there is
    /// none.
    fn bracket_end(&self, start: usize) -> usize {
        let mut depth = 0_usize;
        let mut quote = None;
        // The last non-whitespace character. A quote begins a string only after certain characters.
        let mut before = ',';
        for (index, line) in self.rows.iter().enumerate().skip(start).take(MAX_MOVES) {
            let mut chars = line.chars().peekable();
            let mut blank = true;
            while let Some(c) = chars.next() {
                match (quote, c) {
                    (Some('"'), '\\') => drop(chars.next()),
                    (Some('\''), '\'') if chars.peek() == Some(&'\'') => drop(chars.next()),
                    (Some(q), c) if c == q => quote = None,
                    (None, '#') if blank => break,
                    (None, '"' | '\'') if matches!(before, ',' | ':' | '[' | '{') => quote = Some(c),
                    (None, '[' | '{') => depth += 1,
                    (None, ']' | '}') => match depth.checked_sub(1) {
                        Some(left) => depth = left,
                        None => return index,
                    },
                    _ => {}
                }
                blank = c.is_whitespace();
                if !blank {
                    before = c;
                }
            }
        }
        start
    }

    /// Returns the line that ends the quoted string that begins at a position.
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
