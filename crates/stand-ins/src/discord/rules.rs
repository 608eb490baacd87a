//! What Discord accepts in a webhook call: its published schema, and the rules that no schema expresses.
//!
//! The schema is an excerpt of `specs/openapi.json` in <https://github.com/discord/discord-api-spec> (MIT).
//! Two rules are ours: every call forbids mentions itself, since Discord does not remember it from call to call,
//! and no embed is empty.

use std::{collections::HashSet, fmt, sync::LazyLock};

use axum::http::{HeaderMap, Method, header};
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value, json};

/// Which errors a call gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// API v8 to v10: nested errors with codes; times in seconds.
    Current,
    /// API v6, which an address without a version means: the bare names of fields; times in milliseconds.
    Old,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    path: Vec<String>,
    code: &'static str,
    message: String,
}

impl Wrong {
    /// What is wrong with the value at `path`.
    pub fn new(path: impl IntoIterator<Item = String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { path: path.into_iter().collect(), code, message: message.into() }
    }

    /// Whether it has this code.
    pub fn is(&self, code: &str) -> bool {
        self.code == code
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.path.join("."), self.message, self.code)
    }
}

/// The body of a 400.
pub fn form_errors(wrong: &[Wrong], dialect: Dialect) -> Value {
    let mut errors = json!({});
    for Wrong { path, code, message } in wrong {
        if dialect == Dialect::Old {
            let key = path.first().map_or("_misc", String::as_str);
            let what = path.get(1).unwrap_or(message);
            errors[key] = json!([what]);
            continue;
        }
        let mut place = &mut errors;
        for key in path {
            place = &mut place[key.as_str()];
        }
        place["_errors"] = json!([{ "code": code, "message": message }]);
    }
    match dialect {
        Dialect::Old => errors,
        Dialect::Current => json!({ "code": 50035, "message": "Invalid Form Body", "errors": errors }),
    }
}

/// The rules, ready for use.
#[derive(Debug)]
pub struct Rules {
    create: Validator,
    edit: Validator,
    schema: Value,
}

impl Rules {
    /// The rules, read once.
    pub fn get() -> Result<&'static Self, String> {
        static RULES: LazyLock<Result<Rules, String>> = LazyLock::new(Rules::read);
        RULES.as_ref().map_err(Clone::clone)
    }

    fn read() -> Result<Self, String> {
        let text = include_str!("webhook.schema.json");
        let schema: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut edit = schema.clone();
        edit["$ref"] = json!("#/$defs/IncomingWebhookUpdateRequestPartial");
        edit["$id"] = json!("https://example.invalid/discord-webhook-edit.schema.json");
        let build = |schema: &Value| {
            let options = jsonschema::options().should_validate_formats(true).should_ignore_unknown_formats(true);
            options.build(schema).map_err(|error: ValidationError<'_>| error.to_string())
        };
        Ok(Self { create: build(&schema)?, edit: build(&edit)?, schema })
    }

    /// All that is wrong with a call that has a body.
    pub fn check(&self, method: &Method, headers: &HeaderMap, body: &Value) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let agent = header(header::USER_AGENT);
        if !(agent.starts_with("DiscordBot (http") && agent.contains(", ") && agent.ends_with(')')) {
            wrong.push(Wrong::new([], "USER_AGENT", "must be `DiscordBot ($url, $version)`"));
        }
        if !header(header::CONTENT_TYPE).starts_with("application/json") {
            wrong.push(Wrong::new([], "CONTENT_TYPE_INVALID", "Expected \"Content-Type\" header to be one of json"));
        }
        wrong.extend(self.check_body(method, body));
        wrong
    }

    /// All that is wrong with a body of a POST or PATCH.
    pub fn check_body(&self, method: &Method, body: &Value) -> Vec<Wrong> {
        let is_edit = *method == Method::PATCH;
        let validator = if is_edit { &self.edit } else { &self.create };
        let mut wrong: Vec<Wrong> = validator
            .iter_errors(body)
            .map(|error| {
                let pointer = error.instance_path().to_string();
                let path = pointer.split('/').skip(1).map(str::to_owned);
                Wrong::new(path, "SCHEMA", error.to_string().chars().take(200).collect::<String>())
            })
            .collect();
        let root = if is_edit { "IncomingWebhookUpdateRequestPartial" } else { "IncomingWebhookRequestPartial" };
        self.check_keys(body, root, &[], &mut wrong);
        if let Some(body) = body.as_object() {
            self.check_whole(body, is_edit, &mut wrong);
        }
        wrong
    }

    fn check_whole(&self, body: &Map<String, Value>, is_edit: bool, wrong: &mut Vec<Wrong>) {
        let path = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
        let filled = |key: &str| match body.get(key) {
            Some(Value::String(text)) => !text.trim().is_empty(),
            Some(Value::Array(list)) => !list.is_empty(),
            _ => false,
        };
        if !is_edit && !["content", "embeds", "components", "poll"].into_iter().any(filled) {
            wrong.push(Wrong::new([], "EMPTY_MESSAGE", "Cannot send an empty message"));
        }
        match body.get("allowed_mentions") {
            Some(Value::Object(mentions)) => {
                let parse: Vec<_> = mentions.get("parse").and_then(Value::as_array).into_iter().flatten().collect();
                for kind in ["users", "roles"] {
                    let named = mentions.get(kind).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
                    if named && parse.iter().any(|parsed| *parsed == kind) {
                        let message = format!("parse:[\"{kind}\"] and {kind}: [ids...] are mutually exclusive.");
                        wrong.push(Wrong::new(
                            path(&["allowed_mentions"]),
                            "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                            message,
                        ));
                    }
                }
                if !mentions.contains_key("parse") {
                    wrong.push(Wrong::new(path(&["allowed_mentions", "parse"]), "MENTIONS_OPEN", "must be given"));
                }
            }
            _ => wrong.push(Wrong::new(path(&["allowed_mentions"]), "MENTIONS_OPEN", "must be given")),
        }
        if let Some(name) = body.get("username").and_then(Value::as_str) {
            let lower = name.to_lowercase();
            if ["discord", "clyde"].iter().any(|word| lower.contains(word)) {
                wrong.push(Wrong::new(
                    path(&["username"]),
                    "USERNAME_INVALID_CONTAINS",
                    "Username cannot contain this",
                ));
            }
            if matches!(lower.trim(), "" | "everyone" | "here") {
                wrong.push(Wrong::new(path(&["username"]), "USERNAME_INVALID", "Username is not allowed"));
            }
        }
        if let Some(url) = body.get("avatar_url").and_then(Value::as_str) {
            check_address(url, path(&["avatar_url"]), wrong);
        }
        self.check_embeds(body.get("embeds").and_then(Value::as_array).map_or(&[], Vec::as_slice), wrong);
    }

    fn check_embeds(&self, embeds: &[Value], wrong: &mut Vec<Wrong>) {
        let mut total = 0;
        let mut seen = HashSet::new();
        for (index, embed) in embeds.iter().enumerate() {
            let here = |rest: &[&str]| {
                let mut path = vec!["embeds".to_owned(), index.to_string()];
                path.extend(rest.iter().map(|part| (*part).to_owned()));
                path
            };
            self.check_keys(embed, "RichEmbed", &here(&[]), wrong);
            let text = |pointer: &str| embed.pointer(pointer).and_then(Value::as_str);
            for pointer in ["/title", "/description", "/footer/text", "/author/name"] {
                total += text(pointer).map_or(0, |text| text.trim().chars().count());
            }
            let shows = ["title", "description", "fields", "image", "thumbnail", "author", "footer"];
            if !shows.iter().any(|key| embed.get(key).is_some_and(|value| !value.is_null())) {
                wrong.push(Wrong::new(here(&[]), "EMPTY_EMBED", "has nothing to show"));
            }
            for key in
                [&["url"][..], &["thumbnail", "url"], &["image", "url"], &["author", "url"], &["footer", "icon_url"]]
            {
                if let Some(url) = text(&format!("/{}", key.join("/"))) {
                    check_address(url, here(key), wrong);
                }
            }
            if text("/url").is_some_and(|url| !seen.insert(url.to_owned())) {
                wrong.push(Wrong::new(here(&["url"]), "DUPLICATE_URL", "only the first embed with this url is shown"));
            }
            for (at, field) in embed.get("fields").and_then(Value::as_array).into_iter().flatten().enumerate() {
                let at = at.to_string();
                self.check_keys(field, "RichEmbedField", &here(&["fields", &at]), wrong);
                for key in ["name", "value"] {
                    let text = field.get(key).and_then(Value::as_str).unwrap_or_default().trim();
                    total += text.chars().count();
                    if text.is_empty() {
                        let place = here(&["fields", &at, key]);
                        wrong.push(Wrong::new(place, "BASE_TYPE_REQUIRED", "This field is required"));
                    }
                }
            }
        }
        if total > 6000 {
            let message = format!("Embed size exceeds maximum size of 6000 ({total})");
            wrong.push(Wrong::new(["embeds".to_owned()], "MAX_EMBED_SIZE_EXCEEDED", message));
        }
    }

    /// Keys that the schema does not know. Discord ignores them; here they are slips.
    fn check_keys(&self, value: &Value, definition: &str, path: &[String], wrong: &mut Vec<Wrong>) {
        let known = self.schema.pointer(&format!("/$defs/{definition}/properties"));
        for key in value.as_object().into_iter().flat_map(Map::keys) {
            if known.is_some_and(|known| known.get(key).is_none()) {
                let place = path.iter().cloned().chain([key.clone()]);
                wrong.push(Wrong::new(place, "UNKNOWN_KEY", "is no field of this object"));
            }
        }
    }
}

fn check_address(url: &str, path: Vec<String>, wrong: &mut Vec<Wrong>) {
    let good = url.starts_with("https://") || url.starts_with("http://");
    if !good || url.contains(char::is_whitespace) {
        let message = "Scheme must be one of ('http', 'https').";
        wrong.push(Wrong::new(path, "URL_TYPE_INVALID_SCHEME", message));
    }
}
