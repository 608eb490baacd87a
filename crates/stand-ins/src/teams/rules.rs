//! What Teams accepts as a card: the published schema of Adaptive Cards 1.4, and what it does not express.
//!
//! The schema is Microsoft's (<http://adaptivecards.io/schemas/1.4.0/adaptive-card.json>, MIT) without its
//! descriptions, in which the key `msteams` is added: <https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format>.

use std::sync::LazyLock;

use jsonschema::{ValidationError, Validator};
use serde_json::{Value, json};

/// Bytes of a message. Teams says 28 KB; parts of cards have been missing from 21 KB on.
pub const LARGEST: usize = 24 * 1024;

/// The rules, ready for use.
#[derive(Debug)]
pub struct Rules {
    card: Validator,
}

impl Rules {
    /// The rules, read once.
    pub fn get() -> Result<&'static Self, String> {
        static RULES: LazyLock<Result<Rules, String>> = LazyLock::new(Rules::read);
        RULES.as_ref().map_err(Clone::clone)
    }

    fn read() -> Result<Self, String> {
        let text = include_str!("card.schema.json");
        let mut schema: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        schema["definitions"]["AdaptiveCard"]["properties"]["msteams"] = json!({ "type": "object" });
        let card = jsonschema::validator_for(&schema).map_err(|error: ValidationError<'_>| error.to_string())?;
        Ok(Self { card })
    }

    /// All that is wrong with a call's body of this many bytes.
    pub fn check(&self, body: &Value, size: usize) -> Vec<String> {
        let mut wrong = Vec::new();
        if size > LARGEST {
            wrong.push(format!("{size} bytes are too many"));
        }
        let attachments = body.get("attachments").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if body.get("type") != Some(&json!("message")) || attachments.len() != 1 {
            wrong.push("is no message with one attachment".to_owned());
        }
        for attachment in attachments {
            if attachment["contentType"] != "application/vnd.microsoft.card.adaptive" {
                wrong.push("the attachment is no card".to_owned());
            }
            wrong.extend(self.check_card(&attachment["content"]));
        }
        wrong
    }

    /// All that is wrong with a card.
    pub fn check_card(&self, card: &Value) -> Vec<String> {
        let mut wrong: Vec<String> =
            self.card.iter_errors(card).map(|error| format!("{}: {error}", error.instance_path())).collect();
        let version = card.get("version").and_then(Value::as_str);
        if !matches!(version, Some("1.2" | "1.3" | "1.4")) {
            wrong.push(format!("version {version:?} is none that Teams shows everywhere"));
        }
        if card.pointer("/msteams/entities").is_some() {
            wrong.push("has entities, which mention people".to_owned());
        }
        walk(card, &mut wrong);
        wrong
    }
}

/// The schema takes any text for an address, and an empty one for a text.
fn walk(value: &Value, wrong: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                if let Some(url) = inner.as_str().filter(|_| key == "url")
                    && !(url.starts_with("https://") || url.starts_with("http://"))
                {
                    wrong.push(format!("leads to {url}"));
                }
                if key == "text" && inner.as_str().is_some_and(str::is_empty) {
                    wrong.push("has an empty text".to_owned());
                }
                walk(inner, wrong);
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| walk(inner, wrong)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Rules;

    #[test]
    fn finds_what_teams_would_refuse() {
        let rules = Rules::get().expect("a schema");
        let card = |body: Value| json!({ "type": "AdaptiveCard", "version": "1.4", "body": [body] });
        let run = |text: &str| json!({ "type": "RichTextBlock", "inlines": [{ "type": "TextRun", "text": text }] });
        assert_eq!(rules.check_card(&card(run("fine"))), [""; 0]);
        for bad in [
            card(run("")),
            card(json!({ "type": "RichTextBlock" })),
            card(json!({ "type": "Blink", "text": "x" })),
            card(json!({ "type": "TextBlock", "text": "x", "wight": "bolder" })),
            card(json!({ "type": "Container", "style": "red", "items": [run("x")] })),
            card(json!({ "type": "TextBlock", "text": "x", "wrap": "yes" })),
            json!({ "type": "AdaptiveCard", "version": "9.0", "body": [] }),
            json!({ "type": "AdaptiveCard", "version": "1.4", "actions": [{ "type": "Action.OpenUrl", "url": "javascript:x" }] }),
            json!({ "type": "AdaptiveCard", "version": "1.4", "actions": [{ "type": "Action.OpenUrl" }] }),
            json!({ "type": "AdaptiveCard", "version": "1.4", "msteams": { "entities": [] } }),
        ] {
            assert_ne!(rules.check_card(&bad), [""; 0], "{bad}");
        }
        assert_ne!(rules.check(&json!({ "text": "x" }), 9), [""; 0]);
    }
}
