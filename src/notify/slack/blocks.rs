//! A [`Message`] as the body of a Slack call: a title, and an attachment with the coloured bar. PURE.
//!
//! Limits: <https://docs.slack.dev/reference/block-kit/blocks>; the sum of all texts is limited too
//! (`msg_blocks_too_long`), at about 13,000, which is not documented. What does not fit goes in this order: the lesser
//! lines of the images, whole images, old log lines.

use serde_json::{Value, json};

use super::{Look, markup};
use crate::notify::{
    color::Colors,
    message::{FailureBlock, Field, Line, Message, Span},
    service::Words,
    text,
};

/// Of one text.
const SECTION: usize = 3000;
/// Of all texts together.
const TOTAL: usize = 10_000;
/// What is read aloud and shown in lists; more is cut there.
const FALLBACK: usize = 300;

/// How many lines of a log a message shows at most, and how wide: more is what the linked log is for.
const LOG_LINES: usize = 15;
const LOG_WIDTH: usize = 160;

/// The body that says this, without an address.
pub(super) fn body(message: &Message, colors: Colors, words: Words) -> Value {
    let title = match words {
        Words::All => title(message),
        Words::Ours => our_title(message),
    };
    let fallback = match words {
        Words::All => markup::escape(&plain_title(message), FALLBACK),
        Words::Ours => our_title(message),
    };
    let color = format!("#{:06x}", colors.of(message.phase.role()));
    let blocks = match words {
        Words::All => blocks(message),
        Words::Ours => vec![section(&our_link(message))],
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

/// A line that mentions those who asked for it.
pub(super) fn mention(message: &Message, look: &Look) -> Value {
    let users = look.users.iter().map(|id| format!("<@{id}>"));
    let groups = look.groups.iter().map(|id| format!("<!subteam^{id}>"));
    let names = users.chain(groups).collect::<Vec<_>>().join(" ");
    let line = format!("{names} {} {}", markup::escape(&plain_title(message), FALLBACK), our_link(message));
    json!({
        "text": line,
        "blocks": [section(line.trim())],
        "unfurl_links": false,
        "unfurl_media": false,
        "link_names": false,
    })
}

fn plain_title(message: &Message) -> String {
    let (sign, status) = (message.phase.sign(), &message.status);
    match text::first_line(&message.place) {
        place if place.is_empty() => format!("{sign} {status}"),
        place => format!("{sign} {place}: {status}"),
    }
}

/// The title as a link to the run.
fn title(message: &Message) -> String {
    let (sign, rest) = (message.phase.sign(), plain_title(message));
    let words = rest.strip_prefix(sign).unwrap_or(&rest);
    format!("{sign} *{}*", markup::link(words, &message.url))
}

fn our_title(message: &Message) -> String {
    format!("{} build-deploy: {}", message.phase.sign(), message.phase.word())
}

fn our_link(message: &Message) -> String {
    markup::link("Open the job", message.job_url())
}

/// What stands beside the bar, from all of it to less and less until it fits.
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
    if blocks.is_empty() { vec![section(&our_title(message))] } else { blocks }
}

/// The texts of the sections, none of them empty.
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
        let names: Vec<String> = rest.iter().map(|f| format!("{} {}", f.sign, markup::escape(&f.name, 60))).collect();
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
    let mut text = format!("{} *{}*", field.sign, markup::escape(&field.name, 64));
    for line in field.lines.iter().take(lines).map(|l| line(l, 500)).filter(|line| !line.is_empty()) {
        text.push('\n');
        text.push_str(&line);
    }
    text
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": true } })
}

/// A line as mrkdwn of at most `max`: spans that do not fit are left out, with a `…`.
fn line(spans: &Line, max: usize) -> String {
    let mut out = String::new();
    for span in spans {
        let text = match span {
            Span::Text(text) => text::spaced(text, |text| markup::escape(text, 300)),
            Span::Strong(text) => markup::strong(text, 120),
            Span::Code(text) => markup::code(text, 140),
            // Within a link's label, code style is not to be had.
            Span::CodeLink(label, url) if url.is_empty() => markup::code(label, 140),
            Span::CodeLink(label, url) | Span::Link(label, url) => markup::link(label, url),
            Span::Ago(moment) => {
                let (time, words) = (moment.timestamp(), moment.format("%Y-%m-%d %H:%M UTC"));
                format!("<!date^{time}^{{ago}}|{words}>")
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
