//! Parses lists whose lines are in double quotes, as Docker's own actions accept them.

use super::values::lines;
use crate::tags::language::{self, Dialect, LineError};

/// Returns the lines of an input with their numbers, without blank lines and comments, if any line is quoted, as in
/// `"KEY=a value of<newline>several lines"` with quotes inside doubled. Unquoted lines are returned as written.
pub(super) fn quoted_lines(text: &str) -> Option<Result<Vec<(usize, String)>, LineError>> {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    let quoted = |line: &str| {
        let pair = line.strip_prefix('"').and_then(|rest| rest.split_once('='));
        pair.is_some_and(|(name, _)| is_name(name))
    };
    text.lines().any(quoted).then(|| {
        let mut found = Vec::new();
        let mut all = text.lines().enumerate();
        while let Some((index, line)) = all.next() {
            if !line.starts_with('"') {
                found.extend(lines(line).map(|line| (index + 1, line.to_owned())));
                continue;
            }
            let mut record = line.to_owned();
            while record.matches('"').count() % 2 == 1 {
                let Some((_, more)) = all.next() else { break };
                record = format!("{record}\n{more}");
            }
            let read = language::lines(&record, Dialect::Repaired)
                .map_err(|mistake| LineError { line: index + mistake.line, ..mistake })?;
            found.extend(read.into_iter().map(|(number, line)| (index + number, line)));
        }
        Ok(found)
    })
}
