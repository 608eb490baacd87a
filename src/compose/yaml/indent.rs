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
    /// How many lines were moved.
    moves: usize,
    /// Bytes that were parsed again, and blanks that were added.
    work: usize,
}

/// What became of an error's lines.
pub(super) enum Mended {
    /// They were moved: parse again.
    Yes,
    /// That is not what is wrong.
    No,
    /// More lines would have to be moved than is worth it.
    TooMany,
}

/// How many lines are moved.
const MAX_MOVES: usize = 1000;

/// How many bytes are parsed again. Mostly, each pair of brackets takes one more time.
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

    /// How many characters a line, counted from 1, was moved.
    pub(super) fn moved(&self, line: usize) -> usize {
        line.checked_sub(1).and_then(|index| self.moved.get(index)).copied().unwrap_or_default()
    }

    /// Moves the lines that an error complains of.
    pub(super) fn mend(&mut self, error: &ScanError) -> Mended {
        let Some(start) = error.marker().line().checked_sub(1) else { return Mended::No };
        let range = match error.info() {
            "invalid indentation" | "invalid indentation in flow construct" => start..=self.bracket_end(start),
            "invalid indentation in quoted scalar" => start + 1..=self.quote_end(start, error.marker().col()),
            _ => return Mended::No,
        };
        let mut mended = Mended::No;
        self.work += self.rows.iter().map(String::len).sum::<usize>();
        for index in range {
            // Within brackets a line is moved once; if that does not help, nothing will.
            if self.moved.get(index) != Some(&0) {
                continue;
            }
            self.moves += 1;
            self.work += self.distance;
            if self.moves > MAX_MOVES || self.work > MAX_WORK {
                return Mended::TooMany;
            }
            self.rows[index].insert_str(0, &" ".repeat(self.distance));
            self.moved[index] = self.distance;
            mended = Mended::Yes;
        }
        mended
    }

    /// The line on which the brackets close that are open where a line begins; that line itself if this cannot be told.
    fn bracket_end(&self, start: usize) -> usize {
        let mut depth = 0_usize;
        let mut quote = None;
        // What came last, blanks aside: a quote begins a text only behind one of these.
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
