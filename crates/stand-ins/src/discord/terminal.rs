//! A message of the channel as text for a terminal. Pure.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    Message,
    markdown::{Node, Style, ago, parse},
};

/// Whether the text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// With terminal colours.
    Ansi,
    /// Without.
    Plain,
}

impl Paint {
    fn wrap(self, code: &str, text: &str) -> String {
        match self {
            Self::Ansi if !text.is_empty() => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Self::Ansi | Self::Plain => text.to_owned(),
        }
    }
}

/// The message, each line of its embed behind a bar in the embed's colour.
pub fn message(message: &Message, now: DateTime<Utc>, paint: Paint) -> String {
    let edited = if message.edited.is_some() { " (edited)" } else { "" };
    let mut out = format!(
        "{} [APP] {}{edited}\n",
        paint.wrap("1", &message.author),
        paint.wrap("2", &message.at.format("%H:%M").to_string())
    );
    for embed in message.body.get("embeds").and_then(Value::as_array).into_iter().flatten() {
        let color = embed.get("color").and_then(Value::as_u64).unwrap_or_default();
        let [_, red, green, blue] = u32::try_from(color).unwrap_or_default().to_be_bytes();
        let bar = paint.wrap(&format!("38;2;{red};{green};{blue}"), "┃");
        for line in embed_lines(embed, now, paint) {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{}", format!("{bar} {line}").trim_end());
        }
    }
    out
}

fn embed_lines(embed: &Value, now: DateTime<Utc>, paint: Paint) -> Vec<String> {
    let text = |pointer: &str| embed.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let draw = |markdown: &str| render(&parse(markdown), now, paint);
    let mut lines = vec![paint.wrap("1", &draw(text("/title")))];
    if !text("/url").is_empty() {
        lines.push(paint.wrap("4;34", text("/url")));
    }
    lines.extend(draw(text("/description")).lines().map(str::to_owned));
    for field in embed.get("fields").and_then(Value::as_array).into_iter().flatten() {
        let part = |key: &str| field.get(key).and_then(Value::as_str).unwrap_or_default();
        lines.push(String::new());
        lines.push(paint.wrap("1", &draw(part("name"))));
        lines.extend(draw(part("value")).lines().map(|line| format!("  {line}")));
    }
    if !text("/footer/text").is_empty() {
        lines.push(String::new());
        lines.push(paint.wrap("2", text("/footer/text")));
    }
    lines
}

fn render(nodes: &[Node], now: DateTime<Utc>, paint: Paint) -> String {
    let mut out = String::new();
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Break => out.push('\n'),
            Node::Styled(style, inner) => {
                let inner = render(inner, now, paint);
                let styled = match style {
                    Style::Bold | Style::Heading => paint.wrap("1", &inner),
                    Style::Italic => paint.wrap("3", &inner),
                    Style::Underline => paint.wrap("4", &inner),
                    Style::Strike => paint.wrap("9", &inner),
                    Style::Quote => format!("│ {inner}"),
                    Style::Spoiler => "█".repeat(inner.chars().count()),
                };
                out.push_str(&styled);
            }
            Node::Code(code) => out.push_str(&paint.wrap("36", code)),
            Node::Fence(_, code) => {
                if !out.is_empty() && !out.ends_with('\n') {
                    out.push('\n');
                }
                for line in code.lines() {
                    let _ = writeln!(out, "  {}", paint.wrap("2", line));
                }
            }
            Node::Link(label, url) => {
                let label = render(label, now, paint);
                out.push_str(&label);
                if label != *url {
                    let _ = write!(out, " <{url}>");
                }
            }
            Node::Time(moment) => out.push_str(&ago(*moment, now)),
            Node::Mention(mention) => out.push_str(&paint.wrap("7", mention)),
        }
    }
    out
}
