//! Escapes untrusted text for Discord's Markdown. PURE.

use super::super::text::{NOT_A_BACKTICK, ZERO_WIDTH_SPACE, first_line, fit, length, push_plain, tail, web_address};

/// Escapes one line: no part of it becomes emphasis, a heading, list, quote, mention, link, emoji or timestamp.
pub fn escape(text: &str, max: usize) -> String {
    let line = first_line(text);
    let list_dot = line.find(|c: char| !c.is_ascii_digit()).filter(|&at| at > 0 && line[at..].starts_with('.'));
    let mut at = 0;
    fit(&line, max, length, |c, before, next, out| {
        let special = match c {
            '\\' | '*' | '_' | '~' | '|' | '<' | '>' | '[' | ']' | '`' => true,
            // Could begin an emoji or be part of a URL; `fix: this` needs no escape.
            ':' => next.is_some_and(|n| !n.is_whitespace()),
            '(' => before == Some(']'),
            '#' | '-' | '+' | '=' => before.is_none(),
            '.' => list_dot == Some(at),
            _ => false,
        };
        at += c.len_utf8();
        if special {
            out.push('\\');
        }
        push_plain(c, out);
    })
}

/// One line as a code span; empty if the line is. `max` includes the backticks.
pub fn code(text: &str, max: usize) -> String {
    let body = fit(&first_line(text), max.saturating_sub(2), length, push_code);
    if body.is_empty() { body } else { format!("`{body}`") }
}

/// A code block with the last lines that fit into `max` code points, including the fences; empty if none fits. `language`
/// selects the syntax highlighting and must be trusted. Lines longer than `width` are cut.
pub fn fence(lines: &[String], language: &str, width: usize, max: usize) -> String {
    let frame = length(language) + "```\n".len() + "\n```".len();
    // Discord renders no block if its first line is empty; `tail` removes such lines.
    let kept = tail(lines, width, max.saturating_sub(frame), length, push_code);
    if kept.is_empty() { String::new() } else { format!("```{language}\n{}\n```", kept.join("\n")) }
}

/// A link. Discord shows escapes in the label of a link, so if the label would need any, or the URL is not a web URL, only
/// the label is rendered.
pub fn link(label: &str, url: &str, style: LinkStyle) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || " ._/-:".contains(c);
    let label = first_line(label);
    // A label that contains a URL does not become a link either.
    let is_plain = !label.is_empty() && label.chars().all(safe) && !label.contains("//");
    match web_address(url) {
        Some(url) if is_plain => match style {
            LinkStyle::Code => format!("[`{label}`]({url})"),
            LinkStyle::Words => format!("[{label}]({url})"),
        },
        _ => match style {
            LinkStyle::Code => code(&label, 200),
            LinkStyle::Words => escape(&label, 200),
        },
    }
}

/// The style of a link's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkStyle {
    /// Code: hashes and paths.
    Code,
    /// Plain text.
    Words,
}

/// Nothing is markup within code. Mentions are broken up nevertheless, for clients that ignore code spans.
fn push_code(c: char, before: Option<char>, next: Option<char>, out: &mut String) {
    out.push(if c == '`' { NOT_A_BACKTICK } else { c });
    if c == '@' && (before == Some('<') || matches!(next, Some('e' | 'E' | 'h' | 'H'))) {
        out.push(ZERO_WIDTH_SPACE);
    }
}

#[cfg(test)]
mod tests {
    use super::{LinkStyle, code, escape, fence, link};
    use crate::notify::text::{length, plain};

    #[test]
    fn escapes_markup_and_leaves_prose_readable() {
        for (text, want) in [
            ("fix: the total (again), 50% off - really", "fix: the total (again), 50% off - really"),
            ("**b** _i_ ~~s~~ ||h||", "\\*\\*b\\*\\* \\_i\\_ \\~\\~s\\~\\~ \\|\\|h\\|\\|"),
            ("[a](https://e.example)", "\\[a\\]\\(https\\://e.example)"),
            ("# HUGE", "\\# HUGE"),
            ("-# tiny", "\\-# tiny"),
            ("12. list", "12\\. list"),
            ("1.2.3", "1\\.2.3"),
            (":smile: <t:0:R>", "\\:smile: \\<t\\:0\\:R\\>"),
            ("@everyone", "@\u{200B}everyone"),
            ("\\", "\\\\"),
        ] {
            assert_eq!(escape(text, 200), want, "{text:?}");
        }
    }

    #[test]
    fn code_cannot_be_closed_from_inside() {
        assert_eq!(code("a`id`b", 50), "`aˋidˋb`");
        assert_eq!(code("\u{200B} ", 50), "");
        assert_eq!(code("abcdef", 5), "`ab…`");
        let lines = ["old".to_owned(), "```**ROOT** @here".to_owned(), "<@1>".to_owned(), String::new()];
        assert_eq!(fence(&lines, "", 80, 200), "```\nold\nˋˋˋ**ROOT** @\u{200B}here\n<@\u{200B}1>\n```");
        assert_eq!(fence(&lines, "", 80, 16), "```\n<@\u{200B}1>\n```", "the newest lines stay");
        assert_eq!(fence(&lines, "", 80, 8), "");
        assert_eq!(fence(&[], "", 80, 100), "");
    }

    #[test]
    fn links_accept_web_urls_only() {
        let to = "https://github.com/o/r/commit/1";
        assert_eq!(link("3f2c1ab", to, LinkStyle::Code), format!("[`3f2c1ab`]({to})"));
        assert_eq!(link("x](https://evil.example)[y", to, LinkStyle::Words), "x\\]\\(https\\://evil.example)\\[y");
        assert_eq!(link("a", "javascript:alert(1)", LinkStyle::Code), "`a`");
    }

    #[test]
    fn cuts_between_graphemes_by_code_points() {
        assert_eq!(escape(&"😀".repeat(300), 256), format!("{}…", "😀".repeat(255)));
        assert_eq!(escape("a_b", 3), "a…", "an escape is never cut in two");
        assert_eq!(escape("a_b", 4), "a\\_b");
        assert_eq!(plain("🇩🇪🇫🇷", 3), "🇩🇪…");
        assert!(length(&escape(&format!("a{}", "\u{301}".repeat(5000)), 256)) <= 10);
        assert_eq!(escape("abc", 0), "");
    }
}
