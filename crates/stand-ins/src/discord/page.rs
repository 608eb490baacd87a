//! The channel as a page that looks like Discord, with nothing loaded from elsewhere. Pure.
//!
//! All text of messages is escaped; addresses are put into links only if they are http or https.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    Message,
    markdown::{Node, Style, ago, parse},
};
use crate::html::{escape, is_web};

/// The page that shows these messages, oldest first, as of `now`.
pub fn page(messages: &[Message], now: DateTime<Utc>) -> String {
    let mut body = String::new();
    for message in messages {
        draw_message(&mut body, message, now);
    }
    include_str!("page.html").replace("<!-- messages -->", &body)
}

fn draw_message(out: &mut String, message: &Message, now: DateTime<Utc>) {
    let author = escape(&message.author);
    let picture = message.avatar_url.as_deref().filter(|url| is_web(url)).map_or_else(
        || include_str!("avatar.svg").trim().to_owned(),
        |url| format!("<img alt=\"\" src=\"{}\">", escape(url)),
    );
    let edited = if message.edited.is_some() { "<span class=\"edited\">(edited)</span>" } else { "" };
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "<article class=\"message\"><div class=\"avatar\">{picture}</div><div class=\"contents\">\
         <header><span class=\"author\">{author}</span><span class=\"app\">APP</span>\
         <time>{}</time></header>",
        message.at.format("Today at %H:%M")
    );
    if let Some(content) = message.body.get("content").and_then(Value::as_str).filter(|text| !text.is_empty()) {
        let _ = write!(out, "<div class=\"content\">{}</div>", draw(content, now));
    }
    for embed in message.body.get("embeds").and_then(Value::as_array).into_iter().flatten() {
        draw_embed(out, embed, now);
    }
    let _ = write!(out, "{edited}</div></article>");
}

fn draw_embed(out: &mut String, embed: &Value, now: DateTime<Utc>) {
    let text = |pointer: &str| embed.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let color = embed.get("color").and_then(Value::as_u64).unwrap_or(0x1E_1F22) & 0xFF_FFFF;
    let _ = write!(out, "<div class=\"embed\" style=\"border-color:#{color:06x}\"><div class=\"main\">");
    if !text("/title").is_empty() {
        let title = draw(text("/title"), now);
        let _ = match text("/url") {
            url if is_web(url) => write!(out, "<a class=\"title\" href=\"{}\">{title}</a>", escape(url)),
            _ => write!(out, "<div class=\"title\">{title}</div>"),
        };
    }
    if !text("/description").is_empty() {
        let _ = write!(out, "<div class=\"description\">{}</div>", draw(text("/description"), now));
    }
    for field in embed.get("fields").and_then(Value::as_array).into_iter().flatten() {
        let part = |key: &str| draw(field.get(key).and_then(Value::as_str).unwrap_or_default(), now);
        let (name, value) = (part("name"), part("value"));
        let _ = write!(out, "<div class=\"field\"><div class=\"name\">{name}</div><div>{value}</div></div>");
    }
    let when = DateTime::parse_from_rfc3339(text("/timestamp")).map(|at| at.format("Today at %H:%M").to_string());
    let footer: Vec<String> =
        [escape(text("/footer/text")), when.unwrap_or_default()].into_iter().filter(|t| !t.is_empty()).collect();
    if !footer.is_empty() {
        let _ = write!(out, "<footer>{}</footer>", footer.join(" <b>•</b> "));
    }
    out.push_str("</div>");
    if is_web(text("/thumbnail/url")) {
        let _ = write!(out, "<img class=\"thumbnail\" alt=\"\" src=\"{}\">", escape(text("/thumbnail/url")));
    }
    out.push_str("</div>");
}

fn draw(markdown: &str, now: DateTime<Utc>) -> String {
    html(&parse(markdown), now)
}

fn html(nodes: &[Node], now: DateTime<Utc>) -> String {
    let mut out = String::new();
    for node in nodes {
        let _ = match node {
            Node::Text(text) => write!(out, "{}", escape(text)),
            Node::Break => write!(out, "<br>"),
            Node::Styled(style, inner) => {
                let tag = match style {
                    Style::Bold => "strong",
                    Style::Italic => "em",
                    Style::Underline => "u",
                    Style::Strike => "s",
                    Style::Spoiler => "mark",
                    Style::Heading => "h3",
                    Style::Quote => "blockquote",
                };
                write!(out, "<{tag}>{}</{tag}>", html(inner, now))
            }
            Node::Code(code) => write!(out, "<code>{}</code>", escape(code)),
            Node::Fence(language, code) => {
                write!(out, "<pre data-language=\"{}\">{}</pre>", escape(language), highlight(language, code))
            }
            Node::Link(label, url) if is_web(url) => {
                write!(out, "<a href=\"{}\">{}</a>", escape(url), html(label, now))
            }
            Node::Link(label, _) => write!(out, "{}", html(label, now)),
            Node::Time(moment) => write!(out, "<span class=\"moment\">{}</span>", ago(*moment, now)),
            Node::Mention(mention) => write!(out, "<span class=\"mention\">{}</span>", escape(mention)),
        };
    }
    out
}

/// The instruction of a Dockerfile line in colour, as Discord's highlighter has it.
fn highlight(language: &str, code: &str) -> String {
    let instruction = code.split_whitespace().next().unwrap_or_default();
    let is_one = !instruction.is_empty() && instruction.chars().all(|c| c.is_ascii_uppercase());
    match code.split_once(instruction) {
        Some((before, after)) if language == "dockerfile" && is_one => {
            format!("{}<span class=\"keyword\">{instruction}</span>{}", escape(before), escape(after))
        }
        _ => escape(code),
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use serde_json::json;

    use super::{Message, page};

    #[test]
    fn nothing_of_a_message_becomes_markup() {
        let nasty = "<script>alert(1)</script>\"><img src=x onerror=alert(1)>";
        let body = json!({ "content": nasty, "embeds": [{
            "title": nasty, "url": "https://h/\"onmouseover=x", "description": format!("`{nasty}` ```{nasty}```"),
            "fields": [{ "name": nasty, "value": format!("[{nasty}](https://h/'\"<b>)") }],
            "footer": { "text": nasty }, "thumbnail": { "url": "javascript:alert(1)" },
        }]});
        let message = Message {
            id: "1".into(),
            author: nasty.into(),
            avatar_url: Some(format!("https://h/{nasty}")),
            at: Utc::now(),
            edited: None,
            thread: None,
            body,
        };
        let html = page(&[message], Utc::now());
        for bad in ["<script>alert", "<img src=x", "\"onmouseover", "javascript:", "<b>)"] {
            assert!(!html.contains(bad), "{bad}");
        }
    }
}
