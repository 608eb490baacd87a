//! Combines warnings that differ only in their line, such as those of a build check that a Dockerfile breaks in many places.

use crate::domain::diagnostic::{Diagnostic, Severity};

/// Maximum number of lines that are listed.
const MOST_LINES: usize = 5;

/// Combines diagnostics with the same title about the same file into the first of them, whose message then lists the other
/// lines. Errors stay separate.
pub(super) fn folded(diagnostics: &[Diagnostic]) -> Vec<Diagnostic> {
    let mut all: Vec<(Diagnostic, Vec<u32>)> = Vec::new();
    for diagnostic in diagnostics {
        let Some(place) = diagnostic.place.as_ref().filter(|_| diagnostic.severity != Severity::Error) else {
            all.push((diagnostic.clone(), Vec::new()));
            continue;
        };
        let same = all.iter_mut().find(|(first, _)| {
            let same_file = first.place.as_ref().is_some_and(|other| other.file == place.file);
            same_file && first.title == diagnostic.title && first.severity == diagnostic.severity
        });
        match same {
            Some((first, lines)) => {
                let known = lines.iter().copied().chain(first.place.as_ref().map(|place| place.line));
                if !known.collect::<Vec<_>>().contains(&place.line) {
                    lines.push(place.line);
                }
            }
            None => all.push((diagnostic.clone(), Vec::new())),
        }
    }
    all.into_iter().map(|(first, lines)| with_lines(first, &lines)).collect()
}

fn with_lines(mut diagnostic: Diagnostic, lines: &[u32]) -> Diagnostic {
    if !lines.is_empty() {
        let shown: Vec<String> = lines.iter().take(MOST_LINES).map(u32::to_string).collect();
        let more = lines.len().saturating_sub(MOST_LINES);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let word = if lines.len() == 1 { "line" } else { "lines" };
        diagnostic.message = format!("{} (also in {word} {}{more})", diagnostic.message, shown.join(", "));
    }
    diagnostic
}

#[cfg(test)]
mod tests {
    use super::folded;
    use crate::domain::diagnostic::{Diagnostic, Place, Severity};

    #[test]
    fn one_rule_in_one_file_is_one_warning() {
        let warning = |title: &str, file: &str, line: u32| Diagnostic {
            severity: Severity::Warning,
            title: title.into(),
            message: format!("m{line}"),
            place: Some(Place { file: file.into(), line, end_line: line }),
        };
        let mut all = vec![warning("a", "x", 1), warning("b", "x", 2), warning("a", "y", 3)];
        all.extend((1..=9).map(|line| warning("a", "x", line)));
        let messages: Vec<String> = folded(&all).into_iter().map(|one| one.message).collect();
        assert_eq!(messages, ["m1 (also in lines 2, 3, 4, 5, 6 and 3 more)", "m2", "m3"]);
    }
}
