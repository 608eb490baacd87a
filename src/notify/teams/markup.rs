//! Escapes untrusted text for Adaptive Cards. PURE.
//!
//! A `TextBlock` interprets Markdown, and no escape works in every client of Teams. So all text is put into the runs of a
//! `RichTextBlock`, which supports no markup (<https://adaptivecards.io/explorer/TextRun.html>). What remains to be broken
//! up are the functions `{{DATE(…)}}` and `{{TIME(…)}}`, and `${…}`, in case the workflow uses the card as a template.

use crate::notify::text::{ZERO_WIDTH_SPACE, first_line, fit, length, tail};

/// One line of at most `max` code points.
pub fn plain(text: &str, max: usize) -> String {
    fit(&first_line(text), max, length, push)
}

/// The last lines that fit into `max` code points.
pub fn last(lines: &[String], width: usize, max: usize) -> Vec<String> {
    tail(lines, width, max, length, push)
}

fn push(c: char, before: Option<char>, _next: Option<char>, out: &mut String) {
    if c == '{' && matches!(before, Some('{' | '$')) {
        out.push(ZERO_WIDTH_SPACE);
    }
    out.push(c);
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn breaks_up_functions_and_templates() {
        let text = "<at>All</at> [x](javascript:alert(1)) **b** {{DATE(2017-02-14T06:08:39Z)}} ${x}";
        let want = text.replace("{{", "{\u{200B}{").replace("${", "$\u{200B}{");
        assert_eq!(plain(text, 200), want);
    }
}
