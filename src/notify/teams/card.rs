//! Renders a [`Message`] as an Adaptive Card 1.4 in the format of a workflow's trigger. PURE.
//!
//! Elements: <https://adaptivecards.io/explorer/>. Teams accepts about 28 KB per message; from about 21 KB on, parts have
//! been seen missing. Colors are named styles. If the message is too long, parts are removed in this order: the less
//! important lines of images, whole images, old log lines.

use serde_json::{Value, json};

use super::markup;
use crate::notify::{
    message::{FailureBlock, Field, Line, Message, PhaseKind, Span},
    service::Content,
    text,
};

/// Maximum size of a body in bytes.
pub const LARGEST: usize = 20 * 1024;

/// Maximum number and width of log lines in a message. The rest is in the linked log.
const LOG_LINES: usize = 15;
const LOG_WIDTH: usize = 160;

/// The body of a call.
pub fn body(message: &Message, content: Content) -> Value {
    let levels = [(20, 5, LOG_LINES), (20, 2, LOG_LINES), (20, 1, LOG_LINES), (8, 1, LOG_LINES), (4, 1, 5)];
    if content == Content::Full {
        for (fields, lines, log) in levels {
            let body = envelope(message, &title(message), draw(message, fields, lines, log));
            if body.to_string().len() <= LARGEST {
                return body;
            }
        }
    }
    envelope(message, &format!("build-deploy: {}", message.phase.label()), Vec::new())
}

fn envelope(message: &Message, title: &str, rest: Vec<Value>) -> Value {
    let title = format!("{} {title}", message.phase.emoji());
    let headline = json!({
        "type": "Container",
        "style": style(message.phase.kind()),
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
    let (source, status) = (markup::plain(&message.source, 120), markup::plain(&message.status, 120));
    if source.is_empty() { status } else { format!("{source}: {status}") }
}

/// The style closest to the color. The emoji and the text of the title distinguish the rest.
fn style(role: PhaseKind) -> &'static str {
    match role {
        PhaseKind::Started | PhaseKind::TimedOut => "warning",
        PhaseKind::Success => "good",
        PhaseKind::Failure | PhaseKind::RollbackFailed => "attention",
        PhaseKind::Cancelled => "emphasis",
        PhaseKind::RolledBack => "accent",
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
        let names: Vec<String> = rest.iter().map(|f| format!("{} {}", f.emoji, markup::plain(&f.name, 60))).collect();
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

/// Lines in a monospace box.
fn literal(lines: &[String]) -> Option<Value> {
    let mut items = Vec::new();
    for text in markup::last(lines, LOG_WIDTH, 3000) {
        // Teams rejects elements without text and drops leading spaces.
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
    let name = format!("{} {}", field.emoji, markup::plain(&field.name, 64));
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

/// Renders a line; `None` if it is empty.
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
            // A card is not updated, so it shows the time itself.
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
