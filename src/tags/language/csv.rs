//! Parses comma-separated values like the package csv-parse (<https://csv.js.org/parse/options/>).
//!
//! docker/metadata-action uses that package twice: first for the whole input, where a misplaced quote is an ordinary
//! character, then for each line, where it is an error.

use thiserror::Error;

/// The meaning of a misplaced quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quotes {
    /// It is an ordinary character, and a line that begins with `#` is a comment.
    Relaxed,
    /// It is an error, and `#` is an ordinary character.
    Strict,
}

/// A line with its fields.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// The line on which the record begins, from 1.
    pub(super) line: usize,
    /// Its fields, at least one.
    pub(super) fields: Vec<String>,
}

/// A misplaced quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum CsvError {
    /// `a"b`
    #[error("has a `\"` inside an unquoted field")]
    Opening,
    /// `"a"b`
    #[error("has text after a closing `\"`")]
    Closing,
    /// `"a`
    #[error("has a `\"` without a closing `\"`")]
    Unclosed,
}

/// Returns all records, without empty lines. An error contains its line number.
pub(super) fn records(text: &str, quotes: Quotes) -> Result<Vec<Record>, (usize, CsvError)> {
    let text = text.replace("\r\n", "\n");
    let mut parser = Parser { line: 1, record: Record { line: 1, fields: Vec::new() }, ..Parser::default() };
    let characters: Vec<char> = text.chars().collect();
    let mut at = 0;
    while let Some(&character) = characters.get(at) {
        let next = characters.get(at + 1).copied();
        at += 1 + parser.step(character, next, quotes)?;
    }
    parser.end()
}

#[derive(Default)]
struct Parser {
    all: Vec<Record>,
    record: Record,
    field: String,
    line: usize,
    quoting: bool,
    /// Whether this field was quoted. A quoted field is kept even if it is empty.
    was_quoting: bool,
    commenting: bool,
}

impl Parser {
    /// Processes a character, and returns the number of following characters that belong to it.
    fn step(&mut self, character: char, next: Option<char>, quotes: Quotes) -> Result<usize, (usize, CsvError)> {
        if character == '"' && !self.commenting {
            if self.quoting {
                match next {
                    Some('"') => {
                        self.field.push('"');
                        return Ok(1);
                    }
                    None | Some(',' | '\n') => {
                        (self.quoting, self.was_quoting) = (false, true);
                        return Ok(0);
                    }
                    Some('#') if quotes == Quotes::Relaxed => {
                        (self.quoting, self.was_quoting) = (false, true);
                        return Ok(0);
                    }
                    Some(_) if quotes == Quotes::Strict => return Err((self.line, CsvError::Closing)),
                    Some(_) => {
                        (self.quoting, self.was_quoting) = (false, true);
                        self.field.insert(0, '"');
                    }
                }
            } else if self.field.is_empty() {
                self.quoting = true;
                return Ok(0);
            } else if quotes == Quotes::Strict {
                return Err((self.line, CsvError::Opening));
            }
        }
        if character == '\n' {
            self.line += 1;
        }
        match character {
            _ if self.quoting => self.field.push(character),
            '\n' => self.end_record(),
            _ if self.commenting => {}
            '#' if quotes == Quotes::Relaxed && self.is_empty() => self.commenting = true,
            ',' => self.end_field(),
            _ => self.field.push(character),
        }
        Ok(0)
    }

    fn is_empty(&self) -> bool {
        self.record.fields.is_empty() && self.field.is_empty()
    }

    fn end_field(&mut self) {
        self.record.fields.push(std::mem::take(&mut self.field));
        self.was_quoting = false;
    }

    fn end_record(&mut self) {
        if self.was_quoting || !self.is_empty() {
            self.end_field();
            self.all.push(std::mem::take(&mut self.record));
        }
        self.commenting = false;
        self.record.line = self.line;
    }

    fn end(mut self) -> Result<Vec<Record>, (usize, CsvError)> {
        if self.quoting {
            return Err((self.record.line, CsvError::Unclosed));
        }
        self.end_record();
        Ok(self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::{CsvError, Quotes, records};

    fn shown(text: &str, quotes: Quotes) -> Result<Vec<String>, (usize, CsvError)> {
        records(text, quotes).map(|all| all.iter().map(|r| format!("{}:{}", r.line, r.fields.join("|"))).collect())
    }

    #[test]
    fn whole_inputs() {
        for (text, want) in [
            ("a\n\n# c\nb,c\r\nd # e", vec!["1:a", "4:b|c", "5:d # e"]),
            (r#"type=match,"pattern=\d,1""#, vec![r"1:type=match|pattern=\d,1"]),
            (r#"a,"""b,c""""#, vec![r#"1:a|"b,c""#]),
            ("\"x\ny\"\nz", vec!["1:x\ny", "3:z"]),
            (r#"a"b,"c"d,""#, vec![]),
            (r#"a"b,"c"d"#, vec![r#"1:a"b|"c"d"#]),
            (" # no comment\n\"\"\n,", vec!["1: # no comment", "2:", "3:|"]),
            ("\"a\"#b", vec!["1:a#b"]),
        ] {
            let got = shown(text, Quotes::Relaxed);
            if want.is_empty() {
                assert_eq!(got, Err((1, CsvError::Unclosed)), "{text}");
            } else {
                assert_eq!(got.unwrap(), want, "{text}");
            }
        }
    }

    #[test]
    fn single_lines() {
        assert_eq!(shown(r#"a,"b,""c""",#d"#, Quotes::Strict).unwrap(), [r#"1:a|b,"c"|#d"#]);
        assert_eq!(shown(r#"a"b"#, Quotes::Strict), Err((1, CsvError::Opening)));
        assert_eq!(shown(r#""a"b"#, Quotes::Strict), Err((1, CsvError::Closing)));
        assert_eq!(shown(r#""a"#, Quotes::Strict), Err((1, CsvError::Unclosed)));
    }
}
