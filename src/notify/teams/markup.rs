//! Text of others in an Adaptive Card, such that none of it acts. PURE.
//!
//! A card's `TextBlock` reads markdown, and no escape holds in every client of Teams. So all text goes into the runs of
//! a `RichTextBlock`, which know no markup at all (<https://adaptivecards.io/explorer/TextRun.html>). What is left are
//! the functions `{{DATE(…)}}` and `{{TIME(…)}}`, and `${…}` of the template language, should a flow put the card
//! through it.

use crate::notify::text::{ZERO_WIDTH_SPACE, first_line, fit, length, tail};

/// One line of at most `max` code points.
pub fn plain(text: &str, max: usize) -> String {
    fit(&first_line(text), max, length, push)
}

/// The last of these lines that fit into `max` code points.
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
    fn only_functions_need_breaking() {
        let text = "<at>All</at> [x](javascript:alert(1)) **b** {{DATE(2017-02-14T06:08:39Z)}} ${x}";
        let want = text.replace("{{", "{\u{200B}{").replace("${", "$\u{200B}{");
        assert_eq!(plain(text, 200), want);
    }
}
