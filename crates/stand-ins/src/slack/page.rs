//! The channel as a page that looks like Slack, with nothing loaded from elsewhere. Pure.

use std::fmt::Write as _;

use serde_json::Value;

use super::{
    Message,
    mrkdwn::{self, Node, Style},
};
use crate::html::{escape, is_web};

/// The page that shows these messages, oldest first.
pub fn page(messages: &[Message]) -> String {
    let mut body = String::new();
    for message in messages {
        let edited = if message.edited { " <small>(edited)</small>" } else { "" };
        let thread = if message.thread.is_some() { " reply" } else { "" };
        let time = message.at.format("%H:%M");
        // Writing to a String cannot fail.
        let _ = write!(
            body,
            "<article class=\"message{thread}\"><div class=\"avatar\">b</div><div><b>build-deploy</b> \
             <span class=\"app\">APP</span> <time>{time}</time>{edited}"
        );
        blocks(&mut body, message.body.get("blocks"));
        for attachment in message.body.get("attachments").and_then(Value::as_array).into_iter().flatten() {
            let color = attachment.get("color").and_then(Value::as_str).unwrap_or_default();
            let _ = write!(body, "<div class=\"attachment\" style=\"border-color:{}\">", escape(color));
            blocks(&mut body, attachment.get("blocks"));
            body.push_str("</div>");
        }
        body.push_str("</div></article>");
    }
    include_str!("page.html").replace("<!-- messages -->", &body)
}

fn blocks(out: &mut String, blocks: Option<&Value>) {
    for block in blocks.and_then(Value::as_array).into_iter().flatten() {
        let texts = block
            .get("elements")
            .and_then(Value::as_array)
            .map_or_else(|| vec![&block["text"]], |e| e.iter().collect());
        let class = block.get("type").and_then(Value::as_str).unwrap_or_default();
        let _ = write!(out, "<div class=\"{}\">", escape(class));
        for text in texts {
            let words = text.get("text").and_then(Value::as_str).unwrap_or_default();
            match text.get("type").and_then(Value::as_str) {
                Some("mrkdwn") => out.push_str(&html(&mrkdwn::parse(words))),
                _ => out.push_str(&escape(&mrkdwn::decode(words))),
            }
        }
        out.push_str("</div>");
    }
}

fn html(nodes: &[Node]) -> String {
    let mut out = String::new();
    for node in nodes {
        let _ = match node {
            Node::Text(text) => write!(out, "{}", escape(text)),
            Node::Break => write!(out, "<br>"),
            Node::Styled(style, inner) => {
                let tag = match style {
                    Style::Bold => "strong",
                    Style::Italic => "em",
                    Style::Strike => "s",
                    Style::Quote => "blockquote",
                };
                write!(out, "<{tag}>{}</{tag}>", html(inner))
            }
            Node::Code(code) => write!(out, "<code>{}</code>", escape(code)),
            Node::Fence(code) => write!(out, "<pre>{}</pre>", escape(code)),
            Node::Link(label, url) if is_web(url) => write!(out, "<a href=\"{}\">{}</a>", escape(url), escape(label)),
            Node::Link(label, _) => write!(out, "{}", escape(label)),
            Node::Time(_, words) => write!(out, "<time>{}</time>", escape(words)),
            Node::Mention(mention) => write!(out, "<span class=\"mention\">{}</span>", escape(mention)),
            Node::Emoji(name) => write!(out, "<span class=\"emoji\">:{}:</span>", escape(name)),
        };
    }
    out
}
