//! The part of Slack's mrkdwn that matters for who reads it, as a tree. Pure.
//!
//! <https://docs.slack.dev/messaging/formatting-message-text>

/// A piece of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Literal text, entities undone.
    Text(String),
    /// An end of line.
    Break,
    /// Text in a style.
    Styled(Style, Vec<Self>),
    /// Code within a line.
    Code(String),
    /// A block of code.
    Fence(String),
    /// Text that leads somewhere: label, address.
    Link(String, String),
    /// A moment: seconds since 1970, and the words for clients that cannot show it.
    Time(i64, String),
    /// Something that notifies someone or names a channel: `@U…`, `!here`, `!subteam^S…`, `#C…`.
    Mention(String),
    /// An emoji's name.
    Emoji(String),
}

/// How text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `*…*`
    Bold,
    /// `_…_`
    Italic,
    /// `~…~`
    Strike,
    /// A line that begins with `>`, also as an entity.
    Quote,
}

/// Reads text of an object with `verbatim`, in which nothing becomes a link by itself.
pub fn parse(text: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    let mut before = None;
    while let Some(c) = rest.chars().next() {
        if let Some((node, taken)) = special(rest, before) {
            if !literal.is_empty() {
                nodes.push(Node::Text(decode(&std::mem::take(&mut literal))));
            }
            before = if node == Node::Break { None } else { rest[..taken].chars().last() };
            nodes.push(node);
            rest = &rest[taken..];
            continue;
        }
        literal.push(c);
        before = Some(c);
        rest = &rest[c.len_utf8()..];
    }
    if !literal.is_empty() {
        nodes.push(Node::Text(decode(&literal)));
    }
    nodes
}

/// What begins at the start of `rest`, and how many bytes it takes. `before` is `None` at the start of a line.
fn special(rest: &str, before: Option<char>) -> Option<(Node, usize)> {
    if rest.starts_with('\n') {
        return Some((Node::Break, 1));
    }
    if before.is_none() {
        for mark in ["&gt;", ">"] {
            if let Some(after) = rest.strip_prefix(mark) {
                let line = after.split('\n').next().unwrap_or_default();
                return Some((Node::Styled(Style::Quote, parse(line)), mark.len() + line.len()));
            }
        }
    }
    if let Some(after) = rest.strip_prefix("```") {
        let (code, _) = after.split_once("```").filter(|(code, _)| !code.is_empty())?;
        return Some((Node::Fence(decode(code.trim_matches('\n'))), code.len() + 6));
    }
    if let Some(after) = rest.strip_prefix('`') {
        let (code, _) = after.split_once('`').filter(|(code, _)| !code.is_empty() && !code.contains('\n'))?;
        return Some((Node::Code(decode(code)), code.len() + 2));
    }
    if let Some(after) = rest.strip_prefix('<') {
        let (inner, _) = after.split_once('>').filter(|(inner, _)| !inner.contains('\n'))?;
        return Some((angle(inner), inner.len() + 2));
    }
    if let Some(after) = rest.strip_prefix(':') {
        let (name, _) = after.split_once(':')?;
        let good = |c: char| c.is_ascii_alphanumeric() || "_+-'".contains(c);
        return (!name.is_empty() && name.chars().all(good)).then(|| (Node::Emoji(name.to_owned()), name.len() + 2));
    }
    let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    for (mark, style) in [('*', Style::Bold), ('_', Style::Italic), ('~', Style::Strike)] {
        let Some(after) = rest.strip_prefix(mark).filter(|_| edge(before)) else { continue };
        let line = after.split('\n').next().unwrap_or_default();
        let closes = |at: &usize| {
            let inner = &line[..*at];
            !inner.is_empty() && !inner.starts_with(' ') && edge(line[at + 1..].chars().next())
        };
        let at = line.match_indices(mark).map(|(at, _)| at).find(closes)?;
        return Some((Node::Styled(style, parse(&line[..at])), at + 2));
    }
    None
}

fn angle(inner: &str) -> Node {
    if let Some(date) = inner.strip_prefix("!date^") {
        let (format, words) = date.split_once('|').unwrap_or((date, ""));
        let seconds = format.split('^').next().and_then(|seconds| seconds.parse().ok());
        return Node::Time(seconds.unwrap_or_default(), decode(words));
    }
    if inner.starts_with(['@', '!', '#']) {
        return Node::Mention(inner.to_owned());
    }
    let (url, label) = inner.split_once('|').unwrap_or((inner, inner));
    Node::Link(decode(label), decode(url))
}

/// Undoes the three entities.
pub fn decode(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::{Node, Style, parse};

    #[test]
    fn reads_what_messages_use() {
        let text = |t: &str| Node::Text(t.to_owned());
        for (mrkdwn, want) in [
            ("a &lt; b &amp;lt;", vec![text("a < b &lt;")]),
            ("*b* snake_case_", vec![Node::Styled(Style::Bold, vec![text("b")]), text(" snake_case_")]),
            ("`<@U1>` x", vec![Node::Code("<@U1>".into()), text(" x")]),
            ("```\nx\n```", vec![Node::Fence("x".into())]),
            ("<https://h/?a&amp;b|l>", vec![Node::Link("l".into(), "https://h/?a&b".into())]),
            ("<@U1> <!here>", vec![Node::Mention("@U1".into()), text(" "), Node::Mention("!here".into())]),
            ("<!date^5^{ago}|then>", vec![Node::Time(5, "then".into())]),
            ("&gt; q\n:x:", vec![Node::Styled(Style::Quote, vec![text(" q")]), Node::Break, Node::Emoji("x".into())]),
            ("*open", vec![text("*open")]),
        ] {
            assert_eq!(parse(mrkdwn), want, "{mrkdwn}");
        }
    }
}
