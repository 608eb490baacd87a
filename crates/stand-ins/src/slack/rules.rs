//! What Slack accepts in a message, as far as the messages of this project go: any other block or key is a slip. Pure.
//!
//! Limits: <https://docs.slack.dev/reference/block-kit/blocks>,
//! <https://docs.slack.dev/messaging/formatting-message-text>. Lengths are counted in UTF-16, the strictest reading.

use serde_json::{Map, Value};

use super::mrkdwn::{self, Node};

/// Longer than this, all texts together are refused with `msg_blocks_too_long`. The limit is not documented.
const ALL_TEXTS: usize = 13_000;

/// Which call the body is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An incoming webhook.
    Webhook,
    /// `chat.postMessage`.
    Post,
    /// `chat.update`.
    Update,
}

/// What is wrong with a body, and the error that Slack would give.
pub fn check(body: &Value, kind: Kind) -> Vec<(String, &'static str)> {
    let mut wrong = Wrong { found: Vec::new(), total: 0 };
    let Some(map) = body.as_object() else { return vec![("is no object".to_owned(), "invalid_payload")] };
    let message = ["text", "blocks", "attachments", "link_names"];
    let own: &[&str] = match kind {
        Kind::Webhook => &["unfurl_links", "unfurl_media"],
        Kind::Post => &["channel", "parse", "thread_ts", "unfurl_links", "unfurl_media"],
        Kind::Update => &["channel", "parse", "ts"],
    };
    wrong.keys("", map, &[&message, own].concat());
    let needed: &[&str] = match kind {
        Kind::Webhook => &["text"],
        Kind::Post => &["channel", "text"],
        Kind::Update => &["channel", "ts", "text"],
    };
    for key in needed {
        if text(body, key).trim().is_empty() {
            wrong.add(format!("{key} is missing"), if *key == "text" { "no_text" } else { "invalid_arguments" });
        }
    }
    if length(text(body, "text")) > 4000 {
        wrong.add("text is longer than the 4000 that Slack asks for".to_owned(), "msg_too_long");
    }
    if map.get("link_names") != Some(&Value::Bool(false)) {
        wrong.add("link_names must be false".to_owned(), "invalid_arguments");
    }
    wrong.mrkdwn("text", text(body, "text"));
    wrong.blocks("blocks", map.get("blocks"));
    for (index, attachment) in map.get("attachments").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let place = format!("attachments.{index}");
        let Some(map) = attachment.as_object() else {
            wrong.add(format!("{place} is no object"), "invalid_attachments");
            continue;
        };
        wrong.keys(&place, map, &["color", "fallback", "blocks"]);
        let color = text(attachment, "color");
        let hex =
            color.strip_prefix('#').is_some_and(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
        if !hex {
            wrong.add(format!("{place}.color is no colour: {color}"), "invalid_attachments");
        }
        wrong.mrkdwn(&format!("{place}.fallback"), text(attachment, "fallback"));
        wrong.blocks(&format!("{place}.blocks"), map.get("blocks"));
    }
    if wrong.total > ALL_TEXTS {
        wrong.add(format!("all texts together have {} characters", wrong.total), "msg_blocks_too_long");
    }
    wrong.found
}

struct Wrong {
    found: Vec<(String, &'static str)>,
    total: usize,
}

impl Wrong {
    fn add(&mut self, what: String, error: &'static str) {
        self.found.push((what, error));
    }

    fn keys(&mut self, place: &str, map: &Map<String, Value>, known: &[&str]) {
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            self.add(format!("{place}.{key} is no known key"), "invalid_arguments");
        }
    }

    fn blocks(&mut self, place: &str, blocks: Option<&Value>) {
        let Some(blocks) = blocks.and_then(Value::as_array) else { return };
        if blocks.is_empty() || blocks.len() > 50 {
            self.add(format!("{place} has {} blocks", blocks.len()), "invalid_blocks");
        }
        for (index, block) in blocks.iter().enumerate() {
            let place = format!("{place}.{index}");
            let Some(map) = block.as_object() else {
                self.add(format!("{place} is no object"), "invalid_blocks");
                continue;
            };
            match text(block, "type") {
                "section" => {
                    self.keys(&place, map, &["type", "text"]);
                    self.text(&place, map.get("text"), 3000);
                }
                "context" => {
                    self.keys(&place, map, &["type", "elements"]);
                    let elements = map.get("elements").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                    if elements.is_empty() || elements.len() > 10 {
                        self.add(format!("{place} has {} elements", elements.len()), "invalid_blocks");
                    }
                    for element in elements {
                        self.text(&place, Some(element), 2000);
                    }
                }
                kind => self.add(format!("{place} is of the unknown type {kind}"), "invalid_blocks"),
            }
        }
    }

    fn text(&mut self, place: &str, object: Option<&Value>, limit: usize) {
        let Some(map) = object.and_then(Value::as_object) else {
            self.add(format!("{place} has no text"), "invalid_blocks");
            return;
        };
        let object = object.unwrap_or(&Value::Null);
        let words = text(object, "text");
        match length(words) {
            0 => self.add(format!("{place}.text is empty"), "invalid_blocks"),
            long if long > limit => self.add(format!("{place}.text has {long} characters"), "invalid_blocks"),
            _ => {}
        }
        self.total += length(words);
        match text(object, "type") {
            "plain_text" => self.keys(place, map, &["type", "text", "emoji"]),
            "mrkdwn" => {
                self.keys(place, map, &["type", "text", "verbatim"]);
                if map.get("verbatim") != Some(&Value::Bool(true)) {
                    self.add(format!("{place} may make links by itself"), "invalid_blocks");
                }
                self.mrkdwn(place, words);
            }
            kind => self.add(format!("{place} is of the unknown type {kind}"), "invalid_blocks"),
        }
    }

    /// A stray bracket or ampersand is one that was not escaped.
    fn mrkdwn(&mut self, place: &str, words: &str) {
        fn links(nodes: &[Node]) -> Vec<&str> {
            nodes
                .iter()
                .flat_map(|node| match node {
                    Node::Link(_, url) => vec![url.as_str()],
                    Node::Styled(_, inner) => links(inner),
                    _ => Vec::new(),
                })
                .collect()
        }
        let nodes = mrkdwn::parse(words);
        for url in links(&nodes) {
            if !(url.starts_with("https://") || url.starts_with("http://")) || length(url) > 3000 {
                self.add(format!("{place} has a link to {url}"), "invalid_blocks");
            }
        }
        let entities = ["&amp;", "&lt;", "&gt;"];
        let stray =
            words.match_indices('&').any(|(at, _)| !entities.iter().any(|entity| words[at..].starts_with(entity)));
        if stray {
            self.add(format!("{place} has a bare &"), "invalid_blocks");
        }
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Kind, check};

    fn message(section: &str) -> Value {
        let text = json!({ "type": "mrkdwn", "text": section, "verbatim": true });
        let blocks = json!([{ "type": "section", "text": text }]);
        let attachment = json!({ "color": "#57f287", "fallback": "f", "blocks": blocks });
        json!({ "text": "t", "link_names": false, "blocks": blocks, "attachments": [attachment] })
    }

    #[test]
    fn finds_what_slack_would_refuse() {
        assert_eq!(check(&message("fine <https://h|l>"), Kind::Webhook), []);
        let mut cases: Vec<(Value, &str)> = vec![
            (message(""), "invalid_blocks"),
            (message(&"x".repeat(3001)), "invalid_blocks"),
            (message(&"😀".repeat(1501)), "invalid_blocks"),
            (message("a & b"), "invalid_blocks"),
            (message("<javascript:x|l>"), "invalid_blocks"),
            (json!({ "link_names": false }), "no_text"),
            (json!([]), "invalid_payload"),
        ];
        let with = |pointer: &str, value: Value| {
            let mut body = message("m");
            *body.pointer_mut(pointer).expect("is there") = value;
            body
        };
        let section = message("m")["blocks"][0].clone();
        cases.push((with("/blocks", Value::Array(vec![section.clone(); 51])), "invalid_blocks"));
        cases.push((with("/attachments/0/color", json!("green")), "invalid_attachments"));
        cases.push((with("/blocks/0/type", json!("rich")), "invalid_blocks"));
        cases.push((with("/blocks/0/text/verbatim", json!(false)), "invalid_blocks"));
        let long = message(&"x".repeat(2900))["blocks"][0].clone();
        cases.push((with("/blocks", Value::Array(vec![long; 5])), "msg_blocks_too_long"));
        for (body, want) in cases {
            let errors: Vec<&str> = check(&body, Kind::Webhook).into_iter().map(|(_, error)| error).collect();
            assert!(errors.contains(&want), "{want}: {errors:?}");
        }
        assert_eq!(check(&message("m"), Kind::Post)[0].1, "invalid_arguments", "no channel");
    }
}
