//! Renders a [`Message`] as the body of a Slack call: a title, and an attachment with the colored bar. PURE.
//!
//! Limits: <https://docs.slack.dev/reference/block-kit/blocks>; the sum of all texts is limited too
//! (`msg_blocks_too_long`), at about 13,000, which is not documented. If the message is too long, parts are removed in
//! this order: the less important lines of images, whole images, old log lines.

use serde_json::{Value, json};

use super::{Look, markup};
use crate::notify::{
    color::Colors,
    message::{FailureBlock, Field, Line, Message, Span},
    service::Content,
    text,
};

/// Maximum length of one text.
const SECTION: usize = 3000;
/// Maximum length of all texts together.
const TOTAL: usize = 10_000;
/// Maximum length of the text for screen readers and notifications.
const FALLBACK: usize = 300;

/// Maximum number and width of log lines in a message. The rest is in the linked log.
const LOG_LINES: usize = 15;
const LOG_WIDTH: usize = 160;

/// The body of a call that posts or edits the message, without the channel.
pub(super) fn body(message: &Message, colors: Colors, content: Content) -> Value {
    let title = match content {
        Content::Full => title(message),
        Content::Minimal => minimal_title(message),
    };
    let fallback = match content {
        Content::Full => markup::escape(&plain_title(message), FALLBACK),
        Content::Minimal => minimal_title(message),
    };
    let color = format!("#{:06x}", colors.of(message.phase.kind()));
    let blocks = match content {
        Content::Full => blocks(message),
        Content::Minimal => vec![section(&job_link(message))],
    };
    json!({
        "text": fallback,
        "blocks": [section(&title)],
        "attachments": [{ "color": color, "fallback": fallback, "blocks": blocks }],
        "unfurl_links": false,
        "unfurl_media": false,
        "link_names": false,
    })
}

/// The body of a call that mentions the configured users.
pub(super) fn mention(message: &Message, look: &Look) -> Value {
    let users = look.users.iter().map(|id| format!("<@{id}>"));
    let groups = look.groups.iter().map(|id| format!("<!subteam^{id}>"));
    let names = users.chain(groups).collect::<Vec<_>>().join(" ");
    let line = format!("{names} {} {}", markup::escape(&plain_title(message), FALLBACK), job_link(message));
    json!({
        "text": line,
        "blocks": [section(line.trim())],
        "unfurl_links": false,
        "unfurl_media": false,
        "link_names": false,
    })
}

fn plain_title(message: &Message) -> String {
    let (emoji, status) = (message.phase.emoji(), &message.status);
    match text::first_line(&message.source) {
        source if source.is_empty() => format!("{emoji} {status}"),
        source => format!("{emoji} {source}: {status}"),
    }
}

/// The title as a link to the run.
fn title(message: &Message) -> String {
    let (emoji, rest) = (message.phase.emoji(), plain_title(message));
    let text = rest.strip_prefix(emoji).unwrap_or(&rest);
    format!("{emoji} *{}*", markup::link(text, &message.url))
}

fn minimal_title(message: &Message) -> String {
    format!("{} build-deploy: {}", message.phase.emoji(), message.phase.label())
}

fn job_link(message: &Message) -> String {
    markup::link("Open the job", message.job_url())
}

/// The blocks next to the bar: everything, or as much as fits.
fn blocks(message: &Message) -> Vec<Value> {
    let levels = [(20, 5, LOG_LINES), (20, 2, LOG_LINES), (20, 1, LOG_LINES), (8, 1, LOG_LINES), (4, 1, 5)];
    let mut drawn = Vec::new();
    for (fields, lines, log) in levels {
        drawn = draw(message, fields, lines, log);
        if drawn.iter().map(|text| markup::measure(text)).sum::<usize>() <= TOTAL - FALLBACK * 3 {
            break;
        }
    }
    let mut blocks: Vec<Value> = drawn.iter().map(|text| section(text)).collect();
    let footer = markup::plain(&message.footer, 200);
    if !footer.is_empty() {
        let element = json!({ "type": "plain_text", "text": footer, "emoji": false });
        blocks.push(json!({ "type": "context", "elements": [element] }));
    }
    if blocks.is_empty() { vec![section(&minimal_title(message))] } else { blocks }
}

/// The texts of the sections, without empty ones.
fn draw(message: &Message, fields: usize, lines: usize, log: usize) -> Vec<String> {
    let intro: Vec<String> = message.intro.iter().map(|l| line(l, 900)).filter(|l| !l.is_empty()).collect();
    let mut texts = vec![intro.join("\n")];
    if let Some(failure) = &message.failure {
        texts.extend(draw_failure(failure, log));
    }
    texts.push(line(&message.links, 1500));
    let (shown, rest) = message.fields.split_at(message.fields.len().min(fields));
    texts.extend(shown.iter().map(|field| draw_field(field, lines)));
    if !rest.is_empty() {
        let names: Vec<String> = rest.iter().map(|f| format!("{} {}", f.emoji, markup::escape(&f.name, 60))).collect();
        let named = names.get(..names.len().min(20)).unwrap_or_default();
        texts.push(format!("and {} more: {}", rest.len(), named.join("  ")));
    }
    texts.retain(|text| !text.is_empty());
    texts
}

fn draw_failure(failure: &FailureBlock, log: usize) -> Vec<String> {
    let FailureBlock { headline, facts, instruction, log: lines, hint } = failure;
    let head = [markup::strong(headline, 400), line(facts, 1000)];
    let head = head.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n");
    let shown = instruction.get(..instruction.len().min(8)).unwrap_or_default();
    let last = lines.get(lines.len().saturating_sub(log)..).unwrap_or_default();
    let hint = hint.as_ref().map_or_else(String::new, |hint| format!("💡 {}", markup::escape(hint, 500)));
    vec![head, markup::fence(shown, LOG_WIDTH, 800), markup::fence(last, LOG_WIDTH, SECTION), hint]
}

fn draw_field(field: &Field, lines: usize) -> String {
    let mut text = format!("{} *{}*", field.emoji, markup::escape(&field.name, 64));
    for line in field.lines.iter().take(lines).map(|l| line(l, 500)).filter(|line| !line.is_empty()) {
        text.push('\n');
        text.push_str(&line);
    }
    text
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": true } })
}

/// Renders a line as mrkdwn of at most `max`. Spans that do not fit are replaced by `…`.
fn line(spans: &Line, max: usize) -> String {
    let mut out = String::new();
    for span in spans {
        let text = match span {
            Span::Text(text) => text::spaced(text, |text| markup::escape(text, 300)),
            Span::Strong(text) => markup::strong(text, 120),
            Span::Code(text) => markup::code(text, 140),
            // Slack supports no code style in the label of a link.
            Span::CodeLink(label, url) if url.is_empty() => markup::code(label, 140),
            Span::CodeLink(label, url) | Span::Link(label, url) => markup::link(label, url),
            Span::Ago(moment) => {
                let (time, fallback) = (moment.timestamp(), moment.format("%Y-%m-%d %H:%M UTC"));
                format!("<!date^{time}^{{ago}}|{fallback}>")
            }
        };
        if markup::measure(&out) + markup::measure(&text) > max {
            out.push('…');
            break;
        }
        out.push_str(&text);
    }
    out.trim().to_owned()
}
