//! The channel as a page that looks like Teams, with nothing loaded from elsewhere. Pure.
//!
//! Draws the elements that the cards of this project are made of, and names any other.

use std::fmt::Write as _;

use serde_json::Value;

use crate::html::{escape, is_web};

/// The page that shows these cards, oldest first.
pub fn page(cards: &[Value]) -> String {
    let mut body = String::new();
    for card in cards {
        body.push_str("<article class=\"card\">");
        elements(&mut body, &card["body"]);
        body.push_str("<div class=\"actions\">");
        for action in card["actions"].as_array().into_iter().flatten() {
            link(&mut body, &action["url"], &action["title"], "action");
        }
        body.push_str("</div></article>");
    }
    include_str!("page.html").replace("<!-- messages -->", &body)
}

fn elements(out: &mut String, list: &Value) {
    for element in list.as_array().into_iter().flatten() {
        let class = classes(element, &["style", "spacing"]);
        let separator = if element["separator"] == true { " separator" } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(out, "<div class=\"{}{class}{separator}\">", escape(word(element, "type")));
        match word(element, "type") {
            "Container" => elements(out, &element["items"]),
            "RichTextBlock" => {
                for run in element["inlines"].as_array().into_iter().flatten() {
                    let _ = write!(out, "<span class=\"{}\">", classes(run, &["weight", "size", "fontType", "color"]));
                    match run.pointer("/selectAction/url") {
                        Some(url) => link(out, url, &run["text"], ""),
                        None => out.push_str(&escape(word(run, "text"))),
                    }
                    out.push_str("</span>");
                }
            }
            other => {
                let _ = write!(out, "{}?", escape(other));
            }
        }
        out.push_str("</div>");
    }
}

fn classes(element: &Value, keys: &[&str]) -> String {
    let named = keys.iter().map(|key| format!("{key}-{}", escape(word(element, key))));
    named.fold(String::new(), |all, class| format!("{all} {class}"))
}

fn link(out: &mut String, url: &Value, label: &Value, class: &str) {
    let (url, label) = (url.as_str().unwrap_or_default(), escape(label.as_str().unwrap_or_default()));
    let _ = match url {
        url if is_web(url) => write!(out, "<a class=\"{class}\" href=\"{}\">{label}</a>", escape(url)),
        _ => write!(out, "{label}"),
    };
}

fn word<'a>(element: &'a Value, key: &str) -> &'a str {
    element.get(key).and_then(Value::as_str).unwrap_or_default()
}
