//! A [`Message`] as an Adaptive Card 1.4 in the envelope that a flow's trigger takes. PURE.
//!
//! Elements: <https://adaptivecards.io/explorer/>. Teams takes about 28 KB a message, counted in bytes; from about 21 KB
//! on, parts have been seen missing. Colours are styles, not values. What does not fit goes in this order: the lesser
//! lines of the images, whole images, old log lines.

use serde_json::{Value, json};

use super::markup;
use crate::notify::{
    message::{FailureBlock, Field, Line, Message, Role, Span},
    service::Words,
    text,
};

/// Bytes of a body.
pub const LARGEST: usize = 20 * 1024;

/// How many lines of a log a message shows at most, and how wide: more is what the linked log is for.
const LOG_LINES: usize = 15;
const LOG_WIDTH: usize = 160;

/// The body of a call.
pub fn body(message: &Message, words: Words) -> Value {
    let levels = [(20, 5, LOG_LINES), (20, 2, LOG_LINES), (20, 1, LOG_LINES), (8, 1, LOG_LINES), (4, 1, 5)];
    if words == Words::All {
        for (fields, lines, log) in levels {
            let body = envelope(message, &title(message), draw(message, fields, lines, log));
            if body.to_string().len() <= LARGEST {
                return body;
            }
        }
    }
    envelope(message, &format!("build-deploy: {}", message.phase.word()), Vec::new())
}

fn envelope(message: &Message, title: &str, rest: Vec<Value>) -> Value {
    let title = format!("{} {title}", message.phase.sign());
    let headline = json!({
        "type": "Container",
        "style": style(message.phase.role()),
        "bleed": true,
        "items": [rich([json!({ "type": "TextRun", "text": title, "size": "medium", "weight": "bolder" })])],
    });
    let mut body = vec![headline];
    body.extend(rest);
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": { "width": "Full" },
        "fallbackText": title,
        "body": body,
    });
    let mut actions: Vec<Value> = Vec::new();
    for (title, url) in [("Open the run", message.url.as_str()), ("Open the job log", message.job_url())] {
        let url = text::web_address(url).filter(|url| actions.iter().all(|action| action["url"] != **url));
        actions.extend(url.map(|url| json!({ "type": "Action.OpenUrl", "title": title, "url": url })));
    }
    if !actions.is_empty() {
        card["actions"] = json!(actions);
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

fn title(message: &Message) -> String {
    let (place, status) = (markup::plain(&message.place, 120), markup::plain(&message.status, 120));
    if place.is_empty() { status } else { format!("{place}: {status}") }
}

/// The nearest that Teams has to a colour; the sign and the words of the title tell the rest apart.
fn style(role: Role) -> &'static str {
    match role {
        Role::Started | Role::TimedOut => "warning",
        Role::Success => "good",
        Role::Failure | Role::RollbackFailed => "attention",
        Role::Cancelled => "emphasis",
        Role::RolledBack => "accent",
    }
}

fn draw(message: &Message, fields: usize, lines: usize, log: usize) -> Vec<Value> {
    let mut body: Vec<Value> = message.intro.iter().filter_map(line).collect();
    if let Some(failure) = &message.failure {
        body.extend(draw_failure(failure, log));
    }
    let (shown, rest) = message.fields.split_at(message.fields.len().min(fields));
    body.extend(shown.iter().map(|field| draw_field(field, lines)));
    if !rest.is_empty() {
        let names: Vec<String> = rest.iter().map(|f| format!("{} {}", f.sign, markup::plain(&f.name, 60))).collect();
        let named = names.get(..names.len().min(20)).unwrap_or_default();
        body.push(rich([run(&format!("and {} more: {}", rest.len(), named.join("  ")))]));
    }
    let footer = markup::plain(&message.footer, 200);
    if !footer.is_empty() {
        body.push(rich([json!({ "type": "TextRun", "text": footer, "size": "small", "isSubtle": true })]));
    }
    body
}

fn draw_failure(failure: &FailureBlock, log: usize) -> Vec<Value> {
    let FailureBlock { headline, facts, instruction, log: lines, hint } = failure;
    let headline = markup::plain(headline, 400);
    let head = (!headline.is_empty())
        .then(|| rich([json!({ "type": "TextRun", "text": headline, "weight": "bolder", "color": "attention" })]));
    let shown = instruction.get(..instruction.len().min(8)).unwrap_or_default();
    let last = lines.get(lines.len().saturating_sub(log)..).unwrap_or_default();
    let hint = hint.as_ref().map(|hint| rich([run(&format!("💡 {}", markup::plain(hint, 500)))]));
    let blocks = [head, line(facts), literal(shown), literal(last), hint];
    blocks.into_iter().flatten().collect()
}

/// Lines as they are, in a box.
fn literal(lines: &[String]) -> Option<Value> {
    let mut items = Vec::new();
    for text in markup::last(lines, LOG_WIDTH, 3000) {
        // An element without text is refused; blanks that begin a line are dropped.
        let indent = text.len() - text.trim_start_matches(' ').len();
        let text =
            format!("{}{}", "\u{A0}".repeat(indent.max(usize::from(text.is_empty()))), text.trim_start_matches(' '));
        let mut block = rich([json!({ "type": "TextRun", "text": text, "fontType": "monospace", "size": "small" })]);
        if !items.is_empty() {
            block["spacing"] = json!("none");
        }
        items.push(block);
    }
    (!items.is_empty()).then(|| json!({ "type": "Container", "style": "emphasis", "items": items }))
}

fn draw_field(field: &Field, lines: usize) -> Value {
    let name = format!("{} {}", field.sign, markup::plain(&field.name, 64));
    let mut items = vec![rich([json!({ "type": "TextRun", "text": name, "weight": "bolder" })])];
    for mut line in field.lines.iter().take(lines).filter_map(line) {
        line["spacing"] = json!("none");
        items.push(line);
    }
    json!({ "type": "Container", "separator": true, "items": items })
}

fn rich(inlines: impl IntoIterator<Item = Value>) -> Value {
    json!({ "type": "RichTextBlock", "inlines": inlines.into_iter().collect::<Vec<_>>() })
}

fn run(text: &str) -> Value {
    json!({ "type": "TextRun", "text": text })
}

/// A line, if there is anything in it.
fn line(spans: &Line) -> Option<Value> {
    let mut runs = Vec::new();
    for span in spans {
        let mut run = match span {
            Span::Text(text) => run(&text::spaced(text, |text| markup::plain(text, 300))),
            Span::Strong(text) => json!({ "type": "TextRun", "text": markup::plain(text, 120), "weight": "bolder" }),
            Span::Code(text) | Span::CodeLink(text, _) => {
                json!({ "type": "TextRun", "text": markup::plain(text, 140), "fontType": "monospace" })
            }
            Span::Link(label, _) => run(&markup::plain(label, 140)),
            // A card is read later than it was posted: the moment itself.
            Span::Ago(moment) => run(&moment.format("%Y-%m-%d %H:%M UTC").to_string()),
        };
        if let Span::CodeLink(_, url) | Span::Link(_, url) = span
            && let Some(url) = text::web_address(url)
        {
            run["selectAction"] = json!({ "type": "Action.OpenUrl", "url": url });
        }
        if run["text"].as_str().is_some_and(|text| !text.is_empty()) {
            runs.push(run);
        }
    }
    (!runs.is_empty()).then(|| rich(runs))
}
