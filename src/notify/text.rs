//! Makes text that others wrote inert. PURE.
//!
//! Commit subjects, branch and image names, actors and build logs come from whoever opened a pull request.
//! [`clean`] takes out what acts on a terminal or hides from the reader; [`escape`], [`code`], [`fence`] and
//! [`link`] then put the text into Discord's markdown so that none of it becomes markup, a mention or a link.
//! Lengths are Unicode code points, as Discord's API counts them; cuts fall between graphemes and end in `…`.

use unicode_segmentation::UnicodeSegmentation as _;

/// Stands after `@`, so that no client sees a mention in it.
const ZERO_WIDTH_SPACE: char = '\u{200B}';

/// Stands for a backtick within code, which only a backtick could end.
const NOT_A_BACKTICK: char = '\u{2CB}';

/// More code points in one grapheme than any script needs are a pile of marks drawn over other lines.
const GRAPHEME_LIMIT: usize = 10;

/// Code points, the unit of every limit of Discord.
pub fn length(text: &str) -> usize {
    text.chars().count()
}

/// The text without terminal escapes, control, bidirectional and invisible characters. Line ends become `\n`,
/// tabs four spaces; a line that was overwritten by carriage returns shows what a terminal would show.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1B}' => skip_escape(&mut chars),
            '\u{9B}' => skip_control_sequence(&mut chars),
            '\n' | '\u{85}' | '\u{2028}' | '\u{2029}' => out.push('\n'),
            '\r' => match chars.peek() {
                None | Some('\n' | '\r') => {}
                Some(_) => out.truncate(out.rfind('\n').map_or(0, |at| at + 1)),
            },
            '\t' => out.push_str("    "),
            c if c.is_control() || is_invisible(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// The first line with something in it, trimmed, its runs of spaces made one. Empty if there is none.
pub fn first_line(text: &str) -> String {
    let clean = clean(text);
    let line = clean.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One line for a place that knows no markdown, such as an embed's footer.
pub fn plain(text: &str, max: usize) -> String {
    fit(&first_line(text), max, |c, _, _, out| push_plain(c, out))
}

/// One line as literal text within markdown: no emphasis, heading, list, quote, mention, link, emoji or time.
pub fn escape(text: &str, max: usize) -> String {
    let line = first_line(text);
    let list_dot = line.find(|c: char| !c.is_ascii_digit()).filter(|&at| at > 0 && line[at..].starts_with('.'));
    let mut at = 0;
    fit(&line, max, |c, before, next, out| {
        let special = match c {
            '\\' | '*' | '_' | '~' | '|' | '<' | '>' | '[' | ']' | '`' => true,
            // Opens an emoji's name or continues a link's scheme; `fix: this` stays readable.
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

/// One line as a code span, or nothing if there is nothing to show. `max` counts the backticks.
pub fn code(text: &str, max: usize) -> String {
    let body = fit(&first_line(text), max.saturating_sub(2), push_code);
    if body.is_empty() { body } else { format!("`{body}`") }
}

/// The last of these lines that fit into a code block of at most `max` code points, fences included; nothing
/// if none does. `language` is ours and picks the client's colours. A line longer than `width` is cut.
pub fn fence(lines: &[String], language: &str, width: usize, max: usize) -> String {
    let frame = length(language) + "```\n".len() + "\n```".len();
    let mut room = max.saturating_sub(frame);
    let mut kept = Vec::new();
    let mut ready: Vec<String> = lines
        .iter()
        .flat_map(|line| clean(line).lines().map(str::to_owned).collect::<Vec<_>>())
        .map(|line| fit(line.trim_end(), width, push_code))
        .collect();
    while ready.last().is_some_and(String::is_empty) {
        ready.pop();
    }
    for line in ready.into_iter().rev() {
        let cost = length(&line) + usize::from(!kept.is_empty());
        if cost > room {
            break;
        }
        room -= cost;
        kept.push(line);
    }
    // The first line of a block must not be empty: a block of empty lines is not a block.
    while kept.last().is_some_and(String::is_empty) {
        kept.pop();
    }
    kept.reverse();
    if kept.is_empty() { String::new() } else { format!("```{language}\n{}\n```", kept.join("\n")) }
}

/// A link with its text in code style. Discord does not undo escapes within a link's text, so a label of other
/// than plain letters, or a target that is no web address, gives the label alone.
pub fn link(label: &str, url: &str, style: LinkStyle) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || " ._/-:".contains(c);
    let label = first_line(label);
    // Nor does it make a link of a text that has an address in it.
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

/// How a link's text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkStyle {
    /// As code: hashes and paths.
    Code,
    /// As words.
    Words,
}

/// The address if it is one of the web that Discord accepts (http or https, a host, at most 2048 code points),
/// with everything percent-encoded that could end it.
pub fn web_address(url: &str) -> Option<String> {
    use std::fmt::Write as _;
    let url = url.trim();
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "http" && scheme != "https" {
        return None;
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]_".contains(c);
    if host.is_empty() || !host.chars().all(plain) || !host.contains(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let mut out = format!("{scheme}://{host}");
    for c in rest.get(host.len()..).unwrap_or_default().chars() {
        if c.is_ascii_alphanumeric() || "/?#&=%.-_~!$'*+,;:@".contains(c) {
            out.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    (length(&out) <= 2048).then_some(out)
}

fn push_plain(c: char, out: &mut String) {
    out.push(c);
    if c == '@' {
        out.push(ZERO_WIDTH_SPACE);
    }
}

/// Within code nothing is markup. Only what pings in a client that takes code for text is broken up.
fn push_code(c: char, before: Option<char>, next: Option<char>, out: &mut String) {
    out.push(if c == '`' { NOT_A_BACKTICK } else { c });
    if c == '@' && (before == Some('<') || matches!(next, Some('e' | 'E' | 'h' | 'H'))) {
        out.push(ZERO_WIDTH_SPACE);
    }
}

/// Writes `text` character by character through `push` (character, the one before, the one after, output) until
/// it is written or would be longer than `max`; then it is cut before a grapheme and ends in `…`.
fn fit(text: &str, max: usize, mut push: impl FnMut(char, Option<char>, Option<char>, &mut String)) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut used, mut cut) = (0, 0);
    let mut before = None;
    let mut rest = text;
    for grapheme in text.graphemes(true) {
        rest = rest.get(grapheme.len()..).unwrap_or_default();
        let start = out.len();
        let mut chars = grapheme.chars().peekable();
        let mut taken = 0;
        while let Some(c) = chars.next() {
            let next = chars.peek().copied().or_else(|| rest.chars().next());
            // Past the limit the character is still shown to `push`, which may count, but not kept.
            let length_before = out.len();
            push(c, before, next, &mut out);
            taken += 1;
            if taken > GRAPHEME_LIMIT {
                out.truncate(length_before);
            }
            before = Some(c);
        }
        used += length(out.get(start..).unwrap_or_default());
        if used > max {
            out.truncate(cut);
            out.truncate(out.trim_end().len());
            if max > 0 {
                out.push('…');
            }
            return out;
        }
        if used < max {
            cut = out.len();
        }
    }
    out
}

fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            skip_control_sequence(chars);
        }
        // A string up to BEL or ESC \; an unfinished one ends with its line.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(&c) = chars.peek() {
                if c == '\n' {
                    break;
                }
                chars.next();
                if c == '\u{7}' || c == '\u{9C}' {
                    break;
                }
                if c == '\u{1B}' {
                    if chars.peek() == Some(&'\\') {
                        chars.next();
                    }
                    break;
                }
            }
        }
        Some(' '..='/') => {
            chars.next();
            chars.next();
        }
        Some('0'..='~') => {
            chars.next();
        }
        _ => {}
    }
}

fn skip_control_sequence(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(&c) = chars.peek() {
        if !matches!(c, ' '..='~') {
            break;
        }
        chars.next();
        if matches!(c, '@'..='~') {
            break;
        }
    }
}

/// Characters that no reader sees: zero-width, bidirectional controls, fillers, tags.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{2800}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::{LinkStyle, clean, code, escape, fence, first_line, length, link, plain, web_address};

    #[test]
    fn takes_out_what_acts_or_hides() {
        for (dirty, want) in [
            ("\x1b[31mred\x1b[0m", "red"),
            ("\x1b]8;;http://e\x07link\x1b]8;;\x07", "link"),
            ("\x1b]0;unfinished\nnext", "\nnext"),
            ("\u{9b}1;31mred", "red"),
            ("\x1b(Bx\x1b=y\x1b", "xy"),
            ("\u{202E}gnp.exe\u{2066}\u{200B}", "gnp.exe"),
            ("10%\r50%\r100%\r\ndone\r", "100%\ndone"),
            ("a\tb\u{0}\u{2028}c", "a    b\nc"),
            ("\u{E0041}\u{3164}x\u{2800}", "x"),
        ] {
            assert_eq!(clean(dirty), want, "{dirty:?}");
        }
        assert_eq!(first_line("\n  fix:   \"q\" \\ x \r\nbody"), "fix: \"q\" \\ x");
    }

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
    fn cuts_between_graphemes_by_code_points() {
        assert_eq!(escape(&"😀".repeat(300), 256), format!("{}…", "😀".repeat(255)));
        assert_eq!(escape("a_b", 3), "a…", "an escape is never cut in two");
        assert_eq!(escape("a_b", 4), "a\\_b");
        assert_eq!(plain("🇩🇪🇫🇷", 3), "🇩🇪…");
        assert!(length(&escape(&format!("a{}", "\u{301}".repeat(5000)), 256)) <= 10);
        assert_eq!(escape("abc", 0), "");
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
    fn links_lead_to_the_web_only() {
        let to = "https://github.com/o/r/commit/1";
        assert_eq!(link("3f2c1ab", to, LinkStyle::Code), format!("[`3f2c1ab`]({to})"));
        assert_eq!(link("x](https://evil.example)[y", to, LinkStyle::Words), "x\\]\\(https\\://evil.example)\\[y");
        assert_eq!(link("a", "javascript:alert(1)", LinkStyle::Code), "`a`");
        for (url, want) in [
            ("https://h/a b(c)", Some("https://h/a%20b%28c%29")),
            ("HTTP://h", Some("http://h")),
            ("//evil", None),
            ("file:///etc/passwd", None),
            ("https://", None),
            ("https://ev\u{456}l.example/", None),
        ] {
            assert_eq!(web_address(url).as_deref(), want, "{url}");
        }
        assert_eq!(web_address(&format!("https://h/{}", "a".repeat(3000))), None);
    }
}
