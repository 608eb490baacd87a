//! Cleans, shortens and measures untrusted text for messages. PURE.
//!
//! Commit subjects, branch and image names, actors and build logs may come from anyone who opens a pull request.
//! [`clean`] removes terminal escapes and invisible characters; each service's `markup` module then escapes the text so
//! that none of it becomes markup, a mention or a link. Lengths are counted by the service's [`Measure`]; text is cut
//! between graphemes and then ends in `…`.

use unicode_segmentation::UnicodeSegmentation as _;

use crate::domain::visible;

/// An invisible character that breaks up what a client could take for a mention or markup.
pub const ZERO_WIDTH_SPACE: char = '\u{200B}';

/// Replaces a backtick, which could begin or end code.
pub const NOT_A_BACKTICK: char = '\u{2CB}';

/// Maximum code points in a grapheme. No script needs more; longer ones stack marks that cover other lines.
const GRAPHEME_LIMIT: usize = 10;

/// Counts the length of a text in the unit of a service's limits.
pub type Measure = fn(&str) -> usize;

/// The length in code points.
pub fn length(text: &str) -> usize {
    text.chars().count()
}

/// Removes terminal escapes and control, bidirectional and invisible characters. Line ends become `\n`, tabs four
/// spaces; of a line that was overwritten after carriage returns, the last version is kept, as in a terminal.
pub fn clean(text: &str) -> String {
    let visible = visible::clean(text);
    if visible.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n')) {
        return visible;
    }
    let mut out = String::with_capacity(visible.len());
    let mut chars = visible.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // Color sequences are the only ones left; they end in `m`.
            '\u{1B}' => _ = chars.find(|c| *c == 'm'),
            '\n' | '\u{85}' | '\u{2028}' | '\u{2029}' => out.push('\n'),
            '\r' => match chars.peek() {
                None | Some('\n' | '\r') => {}
                Some(_) => out.truncate(out.rfind('\n').map_or(0, |at| at + 1)),
            },
            '\t' => out.push_str("    "),
            // Zero-width joiners.
            c if visible::is_invisible(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// The first line that is not blank, trimmed, with runs of spaces collapsed. Empty if there is none.
pub fn first_line(text: &str) -> String {
    let clean = clean(text);
    let line = clean.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first line, cut to `max` code points, for plain-text fields.
pub fn plain(text: &str, max: usize) -> String {
    fit(&first_line(text), max, length, |c, _, _, out| push_plain(c, out))
}

/// Applies `write` to the text and keeps one leading and trailing space, for a piece of a longer line.
pub fn spaced(text: &str, write: impl FnOnce(&str) -> String) -> String {
    let inner = write(text);
    if inner.is_empty() {
        return if text.contains(' ') { " ".to_owned() } else { inner };
    }
    let space = |yes: bool| if yes { " " } else { "" };
    format!("{}{inner}{}", space(text.starts_with(' ')), space(text.ends_with(' ')))
}

/// The last lines that fit into `max` when escaped by `push` and joined by newlines. Each is cut to `width`; empty lines
/// at both ends are removed.
pub fn tail(
    lines: &[String],
    width: usize,
    max: usize,
    measure: Measure,
    push: impl Fn(char, Option<char>, Option<char>, &mut String) + Copy,
) -> Vec<String> {
    let mut room = max;
    let mut kept = Vec::new();
    let mut ready: Vec<String> = lines
        .iter()
        .flat_map(|line| clean(line).lines().map(str::to_owned).collect::<Vec<_>>())
        .map(|line| fit(line.trim_end(), width, measure, push))
        .collect();
    while ready.last().is_some_and(String::is_empty) {
        ready.pop();
    }
    for line in ready.into_iter().rev() {
        let cost = measure(&line) + usize::from(!kept.is_empty());
        if cost > room {
            break;
        }
        room -= cost;
        kept.push(line);
    }
    while kept.last().is_some_and(String::is_empty) {
        kept.pop();
    }
    kept.reverse();
    kept
}

/// The URL, if every service accepts it: http or https, with a host, at most 2048 code points. Characters that could end
/// it within markup are percent-encoded.
pub fn web_address(url: &str) -> Option<String> {
    use std::fmt::Write as _;
    let url = url.trim();
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "http" && scheme != "https" {
        return None;
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !is_host(host) {
        return None;
    }
    let mut out = format!("{scheme}://{host}");
    let tail = rest.get(host.len()..).unwrap_or_default();
    let mut in_fragment = false;
    for (at, c) in tail.char_indices() {
        let keep = match c {
            // Keep existing percent-encoding.
            '%' => tail.get(at + 1..at + 3).is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit())),
            '#' => !std::mem::replace(&mut in_fragment, true),
            c => c.is_ascii_alphanumeric() || "/?&=.-_~!$'*+,;:@".contains(c),
        };
        if keep {
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

/// Whether this is a host name or IP address, with an optional port.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (host, ""),
    };
    let good = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.chars().all(|c| c.is_ascii_hexdigit() || ":.".contains(c)),
        None => name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)),
    };
    good && name.contains(|c: char| c.is_ascii_alphanumeric()) && port.bytes().all(|b| b.is_ascii_digit())
}

/// Appends the character; breaks up `@` so that no client reads a mention.
pub fn push_plain(c: char, out: &mut String) {
    out.push(c);
    if c == '@' {
        out.push(ZERO_WIDTH_SPACE);
    }
}

/// Writes `text` through `push`, which gets the character, its neighbors before and after, and the output. If the result
/// would be longer than `max`, it is cut at a grapheme boundary and ends in `…`.
pub fn fit(
    text: &str,
    max: usize,
    measure: Measure,
    mut push: impl FnMut(char, Option<char>, Option<char>, &mut String),
) -> String {
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
            // Call `push` past the limit too, since it may count, but drop what it writes.
            let length_before = out.len();
            push(c, before, next, &mut out);
            taken += 1;
            if taken > GRAPHEME_LIMIT {
                out.truncate(length_before);
            }
            before = Some(c);
        }
        used += measure(out.get(start..).unwrap_or_default());
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

#[cfg(test)]
mod tests {
    use super::{clean, first_line, web_address};

    #[test]
    fn removes_escapes_and_invisible_characters() {
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
    fn accepts_web_urls_only() {
        for (url, want) in [
            ("https://h/a b(c)", Some("https://h/a%20b%28c%29")),
            ("HTTP://h", Some("http://h")),
            ("//evil", None),
            ("file:///etc/passwd", None),
            ("https://", None),
            ("https://ev\u{456}l.example/", None),
            ("https://user@h/", None),
            ("https://h:x/", None),
            ("https://a:b:1/", None),
            ("https://[::1]:80/x", Some("https://[::1]:80/x")),
            ("https://h/50%?a%2Fb#c#d%", Some("https://h/50%25?a%2Fb#c%23d%25")),
        ] {
            assert_eq!(web_address(url).as_deref(), want, "{url}");
        }
        assert_eq!(web_address(&format!("https://h/{}", "a".repeat(3000))), None);
    }
}
