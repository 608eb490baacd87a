//! Escapes untrusted text for Slack's mrkdwn. PURE.
//!
//! `&`, `<` and `>` are written as entities (<https://docs.slack.dev/messaging/formatting-message-text#escaping>). Nothing
//! else can be escaped, so characters that could begin or end emphasis are replaced by similar ones. All texts are sent
//! with `verbatim`, so that URLs, names and channels do not become links.

use crate::notify::text::{NOT_A_BACKTICK, ZERO_WIDTH_SPACE, first_line, fit, tail, web_address};

/// The length in UTF-16 code units. Slack does not document its unit; code units and code points never exceed this.
pub fn measure(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Escapes one line.
pub fn escape(text: &str, max: usize) -> String {
    let line = first_line(text);
    let mut at = 0;
    let mut escaped = fit(&line, max, measure, |c, before, next, out| {
        let rest = line.get(at..).unwrap_or_default();
        at += c.len_utf8();
        let within = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let edge = !(within(before) && within(next));
        match c {
            '*' | '_' | '~' if edge => out.push(inert(c)),
            '`' => out.push(NOT_A_BACKTICK),
            ':' if opens_emoji(rest) => out.extend([c, ZERO_WIDTH_SPACE]),
            // Begins a quote at the start of a line, even as an entity.
            '>' if before.is_none() => out.extend([ZERO_WIDTH_SPACE, '&', 'g', 't', ';']),
            // The field `text` does not support `verbatim`: break up `@here` and names.
            '@' => out.extend([c, ZERO_WIDTH_SPACE]),
            c => push_entity(c, out),
        }
    });
    // What was within a word is at its end now if the word was cut.
    if let Some(last) = escaped.strip_suffix('…').and_then(|kept| kept.chars().next_back()).filter(|c| inert(*c) != *c)
    {
        escaped.truncate(escaped.len() - '…'.len_utf8() - last.len_utf8());
        escaped.extend([inert(last), '…']);
    }
    escaped
}

/// A similar character that neither begins nor ends emphasis.
fn inert(c: char) -> char {
    match c {
        '*' => '\u{2217}',
        '_' => '\u{2CD}',
        '~' => '\u{223C}',
        c => c,
    }
}

/// Whether the text begins with `:name:`.
fn opens_emoji(rest: &str) -> bool {
    let name = rest.strip_prefix(':').and_then(|rest| rest.split_once(':')).map_or("", |(name, _)| name);
    !name.is_empty() && !name.contains(char::is_whitespace)
}

/// One line as a code span; empty if the line is.
pub fn code(text: &str, max: usize) -> String {
    let body = fit(&first_line(text), max.saturating_sub(2), measure, push_code);
    if body.is_empty() { body } else { format!("`{body}`") }
}

/// One line in bold.
pub fn strong(text: &str, max: usize) -> String {
    let body = escape(text, max.saturating_sub(2));
    if body.is_empty() { body } else { format!("*{body}*") }
}

/// A code block with the last lines that fit into `max`, including the fences; empty if none fits.
pub fn fence(lines: &[String], width: usize, max: usize) -> String {
    let frame = "```\n\n```".len();
    let kept = tail(lines, width, max.saturating_sub(frame), measure, push_code);
    if kept.is_empty() { String::new() } else { format!("```\n{}\n```", kept.join("\n")) }
}

/// A link, or only its label if the target is not a web URL or is too long.
pub fn link(label: &str, url: &str) -> String {
    const LONGEST: usize = 700;
    let label = escape(label, 200);
    let Some(url) = web_address(url).filter(|_| !label.is_empty()) else { return label };
    let mut target = String::with_capacity(url.len());
    for c in url.chars() {
        match c {
            '&' => target.push_str("&amp;"),
            // Characters of emphasis, in case a client interprets them in URLs.
            '*' => target.push_str("%2A"),
            '_' => target.push_str("%5F"),
            '~' => target.push_str("%7E"),
            c => target.push(c),
        }
    }
    if measure(&target) > LONGEST { label } else { format!("<{target}|{label}>") }
}

/// One line for a `plain_text` object.
pub fn plain(text: &str, max: usize) -> String {
    fit(&first_line(text), max, measure, |c, _, _, out| push_entity(c, out))
}

fn push_entity(c: char, out: &mut String) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        c => out.push(c),
    }
}

fn push_code(c: char, _before: Option<char>, _next: Option<char>, out: &mut String) {
    push_entity(if c == '`' { NOT_A_BACKTICK } else { c }, out);
}

#[cfg(test)]
mod tests {
    use super::{code, escape, fence, link, measure, plain};

    #[test]
    fn escapes_markup() {
        for (text, want) in [
            ("fix: the total (again), 50% off - really", "fix: the total (again), 50% off - really"),
            ("a < b && c > d", "a &lt; b &amp;&amp; c &gt; d"),
            ("<!channel> <https://evil|github.com> &lt;", "&lt;!channel&gt; &lt;https://evil|github.com&gt; &amp;lt;"),
            ("*b* _i_ ~s~ `c`", "∗b∗ ˍiˍ ∼s∼ ˋcˋ"),
            ("snake_case 2*3*4", "snake_case 2*3*4"),
            ("> quote", "\u{200B}&gt; quote"),
            (":smile: @here", ":\u{200B}smile: @\u{200B}here"),
            ("Dockerfile:23 fix: x", "Dockerfile:23 fix: x"),
        ] {
            assert_eq!(escape(text, 300), want, "{text}");
        }
        assert_eq!(plain("*b* <!here>", 50), "*b* &lt;!here&gt;");
        assert_eq!(escape("2*3*4*5", 5), "2*3∗…", "what is cut off cannot keep a character within a word");
    }

    #[test]
    fn does_not_cut_entities() {
        assert_eq!(escape("a<b", 5), "a…");
        assert_eq!(escape("a<b", 6), "a&lt;b");
        assert!(measure(&escape(&"😀&".repeat(300), 151)) <= 151);
    }

    #[test]
    fn code_and_links_cannot_be_closed_from_inside() {
        assert_eq!(code("a`<@U1>`", 50), "`aˋ&lt;@U1&gt;ˋ`");
        assert_eq!(fence(&["```".into(), "<!here>".into()], 80, 200), "```\nˋˋˋ\n&lt;!here&gt;\n```");
        assert_eq!(link("x>y|z", "https://h/?a&b|c"), "<https://h/?a&amp;b%7Cc|x&gt;y|z>");
        assert_eq!(link("a", "javascript:alert(1)"), "a");
    }
}
