//! The part of Discord's markdown that messages use, as a tree. Pure.

use chrono::{DateTime, Utc};

/// A piece of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Literal text.
    Text(String),
    /// An end of line.
    Break,
    /// Text in a style.
    Styled(Style, Vec<Self>),
    /// Code within a line.
    Code(String),
    /// A block of code and its language, which may be empty.
    Fence(String, String),
    /// Text that leads somewhere.
    Link(Vec<Self>, String),
    /// `<t:…:R>`: a moment.
    Time(i64),
    /// Something that would be highlighted as a mention.
    Mention(String),
}

/// How text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `**…**`
    Bold,
    /// `*…*` or `_…_`
    Italic,
    /// `__…__`
    Underline,
    /// `~~…~~`
    Strike,
    /// `||…||`
    Spoiler,
    /// A line that begins with `# `.
    Heading,
    /// A line that begins with `> `.
    Quote,
}

/// Reads text.
pub fn parse(text: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    let mut line_start = true;
    while let Some(c) = rest.chars().next() {
        if let Some((node, taken)) = special(rest, line_start) {
            if !literal.is_empty() {
                nodes.push(Node::Text(std::mem::take(&mut literal)));
            }
            line_start = node == Node::Break || matches!(node, Node::Fence(..));
            nodes.push(node);
            rest = rest.get(taken..).unwrap_or_default();
            continue;
        }
        line_start = false;
        let mut taken = c.len_utf8();
        // A backslash makes punctuation literal and goes.
        let escaped = rest.get(1..).and_then(|after| after.chars().next());
        match escaped.filter(|next| c == '\\' && !next.is_alphanumeric() && !next.is_whitespace()) {
            Some(next) => {
                literal.push(next);
                taken += next.len_utf8();
            }
            None => literal.push(c),
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    if !literal.is_empty() {
        nodes.push(Node::Text(literal));
    }
    nodes
}

/// What begins at the start of `rest`, and how many bytes it takes.
fn special(rest: &str, line_start: bool) -> Option<(Node, usize)> {
    if let Some(after) = rest.strip_prefix('\n') {
        return Some((Node::Break, rest.len() - after.len()));
    }
    if line_start {
        for (mark, style) in
            [("# ", Style::Heading), ("## ", Style::Heading), ("### ", Style::Heading), ("> ", Style::Quote)]
        {
            if let Some(after) = rest.strip_prefix(mark) {
                let line = after.split('\n').next().unwrap_or_default();
                return Some((Node::Styled(style, parse(line)), mark.len() + line.len()));
            }
        }
    }
    if let Some(after) = rest.strip_prefix("```") {
        let (body, _) = after.split_once("```")?;
        let (language, code) = match body.split_once('\n') {
            Some((first, code)) if first.chars().all(|c| c.is_ascii_alphanumeric()) => (first, code),
            _ => ("", body),
        };
        let mut taken = body.len() + 6;
        taken += usize::from(rest.get(taken..).is_some_and(|after| after.starts_with('\n')));
        return Some((Node::Fence(language.to_owned(), code.trim_end_matches('\n').to_owned()), taken));
    }
    if let Some(after) = rest.strip_prefix('`') {
        let (code, _) = after.split_once('`').filter(|(code, _)| !code.is_empty())?;
        return Some((Node::Code(code.to_owned()), code.len() + 2));
    }
    for (mark, style) in [
        ("**", Style::Bold),
        ("__", Style::Underline),
        ("~~", Style::Strike),
        ("||", Style::Spoiler),
        ("*", Style::Italic),
        ("_", Style::Italic),
    ] {
        if let Some(after) = rest.strip_prefix(mark) {
            let inner = after.get(..unescaped(after, mark)?).filter(|inner| !inner.trim().is_empty())?;
            return Some((Node::Styled(style, parse(inner)), inner.len() + 2 * mark.len()));
        }
    }
    if let Some(after) = rest.strip_prefix('[') {
        let close = unescaped(after, "](")?;
        let label = after.get(..close)?;
        let url = after.get(close + 2..)?.split_once(')')?.0;
        let web = url.starts_with("https://") || url.starts_with("http://");
        return (web && !label.contains('\n'))
            .then(|| (Node::Link(parse(label), url.to_owned()), label.len() + url.len() + "[]()".len()));
    }
    if let Some(after) = rest.strip_prefix('<') {
        let (inner, _) = after.split_once('>')?;
        let taken = inner.len() + 2;
        if let Some(time) = inner.strip_prefix("t:") {
            return Some((Node::Time(time.split(':').next()?.parse().ok()?), taken));
        }
        let pings = inner.starts_with(['@', '#', ':', '/']) || inner.starts_with("a:") || inner.starts_with("id:");
        return (pings && !inner.contains('\n')).then(|| (Node::Mention(format!("<{inner}>")), taken));
    }
    for everyone in ["@everyone", "@here"] {
        if rest.starts_with(everyone) {
            return Some((Node::Mention(everyone.to_owned()), everyone.len()));
        }
    }
    if rest.starts_with("https://") || rest.starts_with("http://") {
        let url = rest.split(|c: char| c.is_whitespace() || c == '<').next().unwrap_or_default();
        return Some((Node::Link(vec![Node::Text(url.to_owned())], url.to_owned()), url.len()));
    }
    None
}

/// Where `mark` stands without a backslash before it.
fn unescaped(text: &str, mark: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        if rest.starts_with(mark) {
            return Some(at);
        }
        let mut chars = rest.chars();
        let c = chars.next()?;
        at += c.len_utf8();
        if c == '\\' {
            at += chars.next()?.len_utf8();
        }
    }
    None
}

/// How long ago a moment was, as Discord writes it.
pub fn ago(moment: i64, now: DateTime<Utc>) -> String {
    let seconds = now.timestamp() - moment;
    let (count, unit) = match seconds.abs() {
        0..45 => return if seconds < 0 { "in a few seconds".into() } else { "a few seconds ago".into() },
        45..90 => (1, "minute"),
        s @ 90..2700 => ((s + 30) / 60, "minute"),
        s @ 2700..79_200 => ((s + 1800) / 3600, "hour"),
        s => ((s + 43_200) / 86_400, "day"),
    };
    let span = match count.max(1) {
        1 => format!("{} {unit}", if unit == "hour" { "an" } else { "a" }),
        n => format!("{n} {unit}s"),
    };
    if seconds < 0 { format!("in {span}") } else { format!("{span} ago") }
}

#[cfg(test)]
mod tests {
    use super::{Node, Style, ago, parse};

    #[test]
    fn reads_what_messages_use() {
        let text = |t: &str| Node::Text(t.to_owned());
        for (markdown, want) in [
            ("a\\*b\\\\", vec![text("a*b\\")]),
            ("**x\\*\\*y** z", vec![Node::Styled(Style::Bold, vec![text("x**y")]), text(" z")]),
            ("`a*b*`", vec![Node::Code("a*b*".into())]),
            ("```py\nx\n```\ny", vec![Node::Fence("py".into(), "x".into()), text("y")]),
            (
                "[`ab`](https://h/x) <t:5:R>",
                vec![Node::Link(vec![Node::Code("ab".into())], "https://h/x".into()), text(" "), Node::Time(5)],
            ),
            ("<@1> @here", vec![Node::Mention("<@1>".into()), text(" "), Node::Mention("@here".into())]),
            ("[a](javascript:x)", vec![text("[a](javascript:x)")]),
            ("*open", vec![text("*open")]),
        ] {
            assert_eq!(parse(markdown), want, "{markdown}");
        }
    }

    #[test]
    fn tells_how_long_ago() {
        let now = chrono::DateTime::from_timestamp(1_000_000, 0).expect("a time");
        for (seconds, want) in
            [(3, "a few seconds ago"), (60, "a minute ago"), (150, "3 minutes ago"), (3600, "an hour ago")]
        {
            assert_eq!(ago(1_000_000 - seconds, now), want);
        }
    }
}
