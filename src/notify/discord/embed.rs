//! Renders a [`Message`] as a Discord embed within all limits. PURE.
//!
//! Limits and fields: <https://discord.com/developers/docs/resources/message#embed-object>. Lengths are counted in code
//! points after escaping. If the message is too long, parts are removed in this order: old log lines, the less important
//! lines of images, whole images, the instruction, the commit.

use serde_json::{Map, Value, json};

use super::markup::{self, LinkStyle};
use crate::notify::{
    color::Colors,
    message::{FailureBlock, Field, Line, Message, Span},
    service::{Alert, Content},
    text::{self, length},
};

const TITLE: usize = 256;
const DESCRIPTION: usize = 4096;
const FIELDS: usize = 25;
const FIELD_NAME: usize = 256;
const FIELD_VALUE: usize = 1024;
const FOOTER: usize = 200;
const THREAD_NAME: usize = 100;
const TOTAL: usize = 6000;

/// Maximum number and width of log lines in a message. The rest is in the linked log.
const LOG_LINES: usize = 15;
const LOG_WIDTH: usize = 160;

/// The appearance of messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Colors of the bar.
    pub colors: Colors,
    username: Option<String>,
    avatar_url: Option<String>,
    thumbnail_url: Option<String>,
}

impl Look {
    /// Validates the inputs `discord-username`, `discord-avatar-url` and `discord-thumbnail-url`. Returns a warning for
    /// each value that Discord would reject, and ignores the value, since Discord would reject the whole message. Empty
    /// means unset.
    pub fn new(colors: Colors, username: &str, avatar_url: &str, thumbnail_url: &str) -> (Self, Vec<String>) {
        let mut warnings = Vec::new();
        let username = valid_username(username).unwrap_or_else(|reason| {
            warnings.push(format!("`discord-username` is ignored: {reason}"));
            None
        });
        let mut address = |input: &str, url: &str| {
            let checked = text::web_address(url);
            if checked.is_none() && !url.trim().is_empty() {
                warnings.push(format!("`{input}` is ignored: it must be an http(s) URL of at most 2048 characters"));
            }
            checked
        };
        let avatar_url = address("discord-avatar-url", avatar_url);
        let thumbnail_url = address("discord-thumbnail-url", thumbnail_url);
        (Self { colors, username, avatar_url, thumbnail_url }, warnings)
    }
}

/// Checks Discord's rules for webhook names
/// (<https://discord.com/developers/docs/resources/user#usernames-and-nicknames>).
fn valid_username(name: &str) -> Result<Option<String>, &'static str> {
    let name = text::first_line(name);
    let lower = name.to_lowercase();
    match () {
        () if name.is_empty() => Ok(None),
        () if lower.contains("discord") || lower.contains("clyde") => {
            Err("Discord rejects names that contain `discord` or `clyde`")
        }
        () if lower == "everyone" || lower == "here" => Err("Discord rejects the names `everyone` and `here`"),
        () if length(&name) > 80 => Err("Discord rejects names of more than 80 characters"),
        () => Ok(Some(name)),
    }
}

/// The body of the call that posts a message with this embed.
pub fn create_body(embed: &Value, look: &Look, alert: Alert) -> Value {
    /// `SUPPRESS_NOTIFICATIONS`.
    const SILENT: u32 = 1 << 12;
    let mut body = edit_body(embed);
    for (key, value) in identity(look) {
        body[key] = json!(value);
    }
    if alert == Alert::Silent {
        body["flags"] = json!(SILENT);
    }
    body
}

/// The sender of a new message.
pub(super) fn identity(look: &Look) -> impl Iterator<Item = (&'static str, &str)> {
    let fields = [("username", &look.username), ("avatar_url", &look.avatar_url)];
    fields.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)))
}

/// The body of the call that edits a message to this embed. The sender cannot be edited; mentions must be disabled in
/// every call.
pub fn edit_body(embed: &Value) -> Value {
    json!({ "embeds": [embed], "allowed_mentions": { "parse": [] } })
}

/// Renders the message as an embed.
pub fn embed(message: &Message, look: &Look) -> Value {
    let title = title(message);
    let footer = text::plain(&message.footer, FOOTER);
    let room = TOTAL - length(&title) - length(&footer);
    let mut best = None;
    // Show less and less of the fields, until the description and enough of the log fit.
    for (fields, lines) in [(24, 5), (24, 2), (24, 1), (12, 1), (4, 1)] {
        let fields = draw_fields(&message.fields, fields, lines);
        let used: usize = fields.iter().map(|(name, value)| length(name) + length(value)).sum();
        let Some(room) = room.checked_sub(used) else { continue };
        let (description, fit) = draw_description(message, room.min(DESCRIPTION));
        best = Some((description, fields));
        if fit == Fit::Whole {
            break;
        }
    }
    let (description, fields) = best.unwrap_or_default();
    let mut embed = Map::new();
    let mut put = |key: &str, value: Value| embed.insert(key.to_owned(), value);
    put("title", json!(title));
    put("color", json!(look.colors.of(message.phase.kind())));
    if let Some(url) = text::web_address(&message.url) {
        put("url", json!(url));
    }
    if !description.is_empty() {
        put("description", json!(description));
    }
    if !fields.is_empty() {
        put("fields", fields.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect());
    }
    if !footer.is_empty() {
        put("footer", json!({ "text": footer }));
    }
    if let Some(ended) = message.ended {
        put("timestamp", json!(ended.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)));
    }
    if let Some(url) = &look.thumbnail_url {
        put("thumbnail", json!({ "url": url }));
    }
    Value::Object(embed)
}

/// An embed with state, link and color only: no untrusted text that Discord could reject.
pub fn minimal(message: &Message, look: &Look) -> Value {
    let mut embed = json!({ "title": minimal_title(message), "color": look.colors.of(message.phase.kind()) });
    if let Some(url) = text::web_address(&message.url) {
        embed["url"] = json!(url);
    }
    embed
}

fn minimal_title(message: &Message) -> String {
    format!("{} build-deploy: {}", message.phase.emoji(), message.phase.label())
}

/// The name of the thread for the message in a forum channel. It does not change with the message, so it contains no
/// state.
pub(super) fn thread_name(message: &Message, content: Content) -> String {
    let source = text::plain(&message.source, THREAD_NAME);
    match content {
        Content::Full if !source.is_empty() => source,
        Content::Full | Content::Minimal => "build-deploy".to_owned(),
    }
}

/// The body without the fields that Discord rejected (`["embeds", "0", "fields", "3", "value"]`); `None` if too little
/// would be left.
pub fn without(body: &Value, wrong: &[Vec<String>]) -> Option<Value> {
    let mut body = body.clone();
    let mut wrong: Vec<Vec<&str>> = wrong.iter().map(|path| path.iter().map(String::as_str).collect()).collect();
    // From the last to the first, so that removing one does not shift the indices of the others.
    wrong.sort_by_key(|path| std::cmp::Reverse(path.get(3).and_then(|index| index.parse::<usize>().ok())));
    wrong.dedup_by_key(|path| path.get(..4).map(<[&str]>::to_vec).unwrap_or_default());
    for path in &wrong {
        match path.as_slice() {
            [key @ ("username" | "avatar_url" | "flags"), ..] => {
                body.as_object_mut()?.remove(*key)?;
            }
            ["embeds", "0", "fields", index, ..] => {
                let fields = body.pointer_mut("/embeds/0/fields")?.as_array_mut()?;
                let index = index.parse().ok().filter(|index| *index < fields.len())?;
                fields.remove(index);
            }
            ["embeds", "0", "title", ..] => return None,
            ["embeds", "0", key, ..] => {
                body.pointer_mut("/embeds/0")?.as_object_mut()?.remove(*key)?;
            }
            _ => return None,
        }
    }
    (!wrong.is_empty()).then_some(body)
}

/// Repository, branch and status as Markdown, within the limit of a title.
pub(super) fn title(message: &Message) -> String {
    let status = markup::escape(&message.status, TITLE / 2);
    let emoji = message.phase.emoji();
    let room = TITLE - length(&status) - length(emoji) - length(" : ");
    let source = markup::escape(&message.source, room);
    if source.is_empty() { format!("{emoji} {status}") } else { format!("{emoji} {source}: {status}") }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    Whole,
    Cut,
}

/// The description, cut to `room`, and whether it is complete.
fn draw_description(message: &Message, room: usize) -> (String, Fit) {
    /// A part of the description. The parts with the highest rank are removed first.
    struct Part {
        rank: u8,
        text: String,
        gap: &'static str,
    }
    let mut parts: Vec<Part> = Vec::new();
    let mut part = |rank, gap, text: String| {
        if !text.is_empty() {
            parts.push(Part { rank, text, gap });
        }
    };
    let intro: Vec<String> = message.intro.iter().map(|l| line(l, 700)).filter(|l| !l.is_empty()).collect();
    part(5, "\n", intro.join("\n"));
    let mut log: &[String] = &[];
    if let Some(FailureBlock { headline, facts, instruction, log: lines, hint }) = &message.failure {
        part(0, "\n\n", strong(headline, 400));
        part(3, "\n", line(facts, 900));
        let shown = instruction.get(..instruction.len().min(8)).unwrap_or_default();
        part(4, "\n", markup::fence(shown, "dockerfile", LOG_WIDTH, 700));
        log = lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default();
        // A placeholder: the log gets the room that the other parts leave.
        part(6, "\n", if log.is_empty() { String::new() } else { LOG_PLACEHOLDER.to_owned() });
        part(2, "\n", hint.as_ref().map_or_else(String::new, |hint| format!("💡 {}", markup::escape(hint, 500))));
    }
    let gap = if message.failure.is_some() { "\n\n" } else { "\n" };
    part(1, gap, line(&message.links, 1200));

    let mut fit = Fit::Whole;
    let used = |parts: &[Part]| parts.iter().map(|p| length(&p.text) + length(p.gap)).sum::<usize>();
    while used(&parts) > room {
        fit = Fit::Cut;
        let Some(last) = (0..parts.len()).max_by_key(|i| parts[*i].rank) else { break };
        parts.remove(last);
    }
    let left = room.saturating_sub(used(&parts));
    if let Some(place) = parts.iter_mut().find(|p| p.text == LOG_PLACEHOLDER) {
        place.text = markup::fence(log, "", LOG_WIDTH, left + LOG_PLACEHOLDER.len());
        let shown = place.text.lines().count().saturating_sub(2);
        if shown < log.len().min(8) {
            fit = Fit::Cut;
        }
    }
    let mut description = String::new();
    for Part { text, gap, .. } in parts.iter().filter(|p| !p.text.is_empty()) {
        if !description.is_empty() {
            // A code block has its own margin.
            let gap = if description.ends_with("```") && *gap == "\n\n" { "\n" } else { gap };
            description.push_str(gap);
        }
        description.push_str(text);
    }
    (description, fit)
}

/// Marks the place of the log. Cannot occur in other parts, since they contain no control characters.
const LOG_PLACEHOLDER: &str = "\u{0}";

/// Names and values of at most `count` fields with at most `lines` lines each, and one field that names the rest.
fn draw_fields(fields: &[Field], count: usize, lines: usize) -> Vec<(String, String)> {
    let (shown, rest) = if fields.len() <= count { (fields, &[][..]) } else { fields.split_at(count) };
    let mut drawn: Vec<(String, String)> = shown
        .iter()
        .map(|field| {
            let mut value = String::new();
            for text in field.lines.iter().take(lines).map(|l| line(l, 500)).filter(|text| !text.is_empty()) {
                if length(&value) + length(&text) < FIELD_VALUE {
                    if !value.is_empty() {
                        value.push('\n');
                    }
                    value.push_str(&text);
                }
            }
            // Discord rejects an empty value.
            let value = if value.is_empty() { "–".to_owned() } else { value };
            (format!("{} {}", field.emoji, markup::escape(&field.name, FIELD_NAME / 4)), value)
        })
        .collect();
    if !rest.is_empty() {
        let names: Vec<String> = rest.iter().map(|f| format!("{} {}", f.emoji, markup::escape(&f.name, 60))).collect();
        let mut value = String::new();
        let mut left = names.len();
        for name in &names {
            if length(&value) + length(name) > FIELD_VALUE / 2 {
                break;
            }
            value.push_str(name);
            value.push_str("  ");
            left -= 1;
        }
        if left > 0 {
            value = format!("{value}and {left} more");
        }
        drawn.push((format!("and {} more", rest.len()), value.trim_end().to_owned()));
    }
    drawn.truncate(FIELDS);
    drawn
}

/// Renders a line as Markdown of at most `max` code points. Spans that do not fit are replaced by `…`.
fn line(spans: &Line, max: usize) -> String {
    let mut out = String::new();
    for span in spans {
        let text = match span {
            Span::Text(text) => text::spaced(text, |text| markup::escape(text, 300)),
            Span::Strong(text) => strong(text, 120),
            Span::Code(text) => markup::code(text, 140),
            Span::CodeLink(label, url) => code_link(label, url),
            Span::Link(label, url) => markup::link(label, url, LinkStyle::Words),
            Span::Ago(moment) => format!("<t:{}:R>", moment.timestamp()),
        };
        if length(&out) + length(&text) > max {
            out.push('…');
            break;
        }
        out.push_str(&text);
    }
    out.trim().to_owned()
}

fn strong(text: &str, max: usize) -> String {
    let inner = markup::escape(text, max);
    if inner.is_empty() { inner } else { format!("**{inner}**") }
}

/// A link in code style, or only code if the URL is too long.
fn code_link(label: &str, url: &str) -> String {
    const LONGEST: usize = 700;
    if length(url) > LONGEST { markup::code(label, 200) } else { markup::link(label, url, LinkStyle::Code) }
}
