//! Parses the URL of a Discord webhook. PURE.
//!
//! Whoever knows the URL can post, edit and delete messages: it is a [`Secret`] in every form.

use thiserror::Error;

use crate::{
    domain::secret::Secret,
    notify::{service::Posted, text},
};

/// A webhook and the thread to post to.
#[derive(Clone, Debug)]
pub struct DiscordWebhook {
    /// The URL as given, to mask it.
    given: Secret,
    /// Scheme, host and path, without a trailing slash.
    base: Secret,
    /// The query of a URL on another server, without `wait`; empty for Discord.
    query: Secret,
    token: Secret,
    thread_id: Option<String>,
    server: Server,
}

/// The server of the webhook, which determines the API version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Discord: called as API v10.
    Discord,
    /// Another server, such as a proxy: called with the URL as given.
    Foreign {
        /// Whether the URL names API version 8 or later. Otherwise, wait times are in milliseconds.
        versioned: Versioned,
        /// Whether the connection is encrypted.
        transport: Transport,
    },
}

/// Whether a URL names API version 8 or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versioned {
    /// It does.
    Yes,
    /// It names an older version or none.
    No,
}

/// Whether a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// https.
    Tls,
    /// http: the network can read the token. The caller shows a warning.
    Plain,
}

/// Why a text is not a webhook URL. Never contains the text, which may be a mistyped secret.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum WebhookError {
    /// It does not begin with `https://`.
    #[error("not a URL; copy it from the channel's settings in Discord, under Integrations > Webhooks")]
    NotAUrl,
    /// A URL on Discord, but not of a webhook.
    #[error("not the URL of a Discord webhook; expected https://discord.com/api/webhooks/ID/TOKEN")]
    NotAWebhook,
    /// Discord over http.
    #[error("Discord requires https; the URL begins with http")]
    PlainHttp,
    /// A thread id that is not a number.
    #[error("the thread id is not a number; copy it in Discord with \"Copy Thread ID\"")]
    BadThread,
}

impl DiscordWebhook {
    /// Parses a URL as people paste it: with spaces, quotes, angle brackets, the suffixes `/github` and `/slack`, the hosts
    /// of Discord's test clients, any API version, `?wait` and `?thread_id`. The argument `thread_id` overrides that of the
    /// URL; empty means none.
    pub fn parse(given: &str, thread_id: Option<&str>) -> Result<Self, WebhookError> {
        let address = given.trim_matches(|c: char| c.is_whitespace() || "\"'<>`".contains(c));
        let (scheme, rest) = address.split_once("://").ok_or(WebhookError::NotAUrl)?;
        let transport = match scheme.to_ascii_lowercase().as_str() {
            "https" => Transport::Tls,
            "http" => Transport::Plain,
            _ => return Err(WebhookError::NotAUrl),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, path) = location.split_once('/').unwrap_or((location, ""));
        if host.is_empty() || rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(WebhookError::NotAUrl);
        }
        let mut url_thread = None;
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("thread_id", id) => url_thread = Some(id),
                ("wait", _) => {}
                _ => kept.push(pair),
            }
        }
        let thread = thread_id.map(str::trim).filter(|id| !id.is_empty()).or(url_thread);
        if thread.is_some_and(|id| id.is_empty() || !id.bytes().all(|b| b.is_ascii_digit())) {
            return Err(WebhookError::BadThread);
        }
        let path = path.trim_end_matches('/');
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (server, base, token) = if is_discord(host) {
            if transport == Transport::Plain {
                return Err(WebhookError::PlainHttp);
            }
            let (id, token) = discord_path(&segments).ok_or(WebhookError::NotAWebhook)?;
            (Server::Discord, format!("https://discord.com/api/v10/webhooks/{id}/{token}"), token)
        } else {
            let versioned = segments.iter().any(|part| api_version(part).is_some_and(|version| version >= 8));
            let versioned = if versioned { Versioned::Yes } else { Versioned::No };
            let token = segments.last().copied().unwrap_or_default();
            (Server::Foreign { versioned, transport }, format!("{scheme}://{host}/{path}"), token)
        };
        Ok(Self {
            given: Secret::new(address),
            base: Secret::new(base.trim_end_matches('/')),
            query: Secret::new(if server == Server::Discord { String::new() } else { kept.join("&") }),
            token: Secret::new(token),
            thread_id: thread.map(str::to_owned),
            server,
        })
    }

    /// The texts to mask and redact. GitHub masks exact matches only, so the rewritten URL needs its own mask.
    pub fn secrets(&self) -> Vec<Secret> {
        let all = [&self.given, &self.base, &self.token, &self.query];
        all.into_iter().filter(|secret| !secret.is_empty()).cloned().collect()
    }

    /// The server.
    pub fn server(&self) -> Server {
        self.server
    }

    /// A warning about the URL, if there is reason for one.
    pub fn warning(&self) -> Option<&'static str> {
        match self.server {
            Server::Foreign { transport: Transport::Plain, .. } => {
                Some("the URL uses http: anyone on the network can read it and post messages; use https")
            }
            _ => None,
        }
    }

    /// The URL to POST a message to, with the message as answer. `thread` overrides the configured thread.
    pub fn create_url(&self, thread: Option<&str>) -> Secret {
        self.url("", "wait=true", thread)
    }

    /// The URL to GET and PATCH a message.
    pub fn message_url(&self, posted: &Posted) -> Secret {
        self.url(&format!("/messages/{}", id(&posted.message_id)), "", posted.channel_id.as_deref())
    }

    fn url(&self, path: &str, query: &str, thread: Option<&str>) -> Secret {
        let thread = thread.or(self.thread_id.as_deref()).map(|thread| format!("thread_id={}", id(thread)));
        let thread = thread.unwrap_or_default();
        let query = [self.query.expose(), query, &thread].into_iter().filter(|part| !part.is_empty());
        let query = query.collect::<Vec<_>>().join("&");
        let mark = if query.is_empty() { "" } else { "?" };
        Secret::new(format!("{}{path}{mark}{query}", self.base.expose()))
    }
}

/// Removes everything but letters and digits from an id, which may come from a server, a state file or an input.
fn id(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).collect()
}

fn is_discord(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix(":443").unwrap_or(&host);
    let host = ["ptb.", "canary.", "www."].iter().find_map(|prefix| host.strip_prefix(prefix)).unwrap_or(host);
    matches!(host, "discord.com" | "discordapp.com")
}

/// The id and token of `api[/vN]/webhooks/ID/TOKEN[/github|/slack]`.
fn discord_path<'a>(segments: &[&'a str]) -> Option<(&'a str, &'a str)> {
    let rest = segments.strip_prefix(&["api"])?;
    let rest = match rest.split_first() {
        Some((first, rest)) if api_version(first).is_some() => rest,
        _ => rest,
    };
    let (id, token) = match rest.strip_prefix(&["webhooks"])? {
        [id, token] | [id, token, "github" | "slack"] => (*id, *token),
        _ => return None,
    };
    let id_is_one = (15..=20).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit());
    let token_is_one =
        text::length(token) >= 20 && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    (id_is_one && token_is_one).then_some((id, token))
}

fn api_version(segment: &str) -> Option<u32> {
    segment.strip_prefix('v')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{DiscordWebhook, Posted, Server, Transport, Versioned, WebhookError};

    const ID: &str = "1234567890123456789";
    const TOKEN: &str = "abcDEF-_0123456789abcDEF-_0123456789abcDEF-_0123456789abcDEF-_012345";

    #[test]
    fn parses_urls_as_people_paste_them() {
        let want = format!("https://discord.com/api/v10/webhooks/{ID}/{TOKEN}?wait=true");
        for (prefix, suffix) in [
            ("https://discord.com/api/webhooks/", ""),
            ("https://discordapp.com/api/webhooks/", ""),
            ("https://ptb.discord.com/api/v6/webhooks/", "/"),
            ("https://canary.discord.com/api/v9/webhooks/", "/github"),
            ("HTTPS://Discord.com:443/api/webhooks/", "/slack/"),
            ("  \"https://discord.com/api/webhooks/", "?wait=false\"\r\n"),
            ("<https://discord.com//api/webhooks/", ">"),
        ] {
            let webhook = DiscordWebhook::parse(&format!("{prefix}{ID}/{TOKEN}{suffix}"), None).expect(prefix);
            assert_eq!(webhook.create_url(None).expose(), want, "{prefix}{suffix}");
            assert_eq!(webhook.server(), Server::Discord);
            assert_eq!(webhook.warning(), None);
            assert!(!format!("{webhook:?}").contains("abcDEF"), "{webhook:?}");
        }
    }

    #[test]
    fn keeps_the_thread() {
        let address = format!("https://discord.com/api/webhooks/{ID}/{TOKEN}?wait=true&thread_id=42&x=y");
        let base = format!("https://discord.com/api/v10/webhooks/{ID}/{TOKEN}");
        let webhook = DiscordWebhook::parse(&address, None).expect("a webhook");
        let posted =
            |id: &str, channel: Option<&str>| Posted { message_id: id.into(), channel_id: channel.map(Into::into) };
        let message = |id: &str| webhook.message_url(&posted(id, None));
        assert_eq!(
            webhook.message_url(&posted("7", Some("8"))).expose(),
            format!("{base}/messages/7?thread_id=8"),
            "the thread of the message takes precedence"
        );
        assert_eq!(message("7").expose(), format!("{base}/messages/7?thread_id=42"));
        assert_eq!(message("7/../x?y").expose(), format!("{base}/messages/7xy?thread_id=42"));
        let webhook = DiscordWebhook::parse(&address, Some("43")).expect("a webhook");
        assert_eq!(webhook.create_url(None).expose(), format!("{base}?wait=true&thread_id=43"));
        assert_eq!(DiscordWebhook::parse(&address, Some("general")).err(), Some(WebhookError::BadThread));
    }

    #[test]
    fn keeps_urls_of_other_hosts_unchanged() {
        let tls = |versioned| Server::Foreign { versioned, transport: Transport::Tls };
        let plain = |versioned| Server::Foreign { versioned, transport: Transport::Plain };
        for (address, create, server) in [
            (
                "http://127.0.0.1:8080/api/webhooks/1/abc?key=v&thread_id=5",
                "http://127.0.0.1:8080/api/webhooks/1/abc?key=v&wait=true&thread_id=5",
                plain(Versioned::No),
            ),
            (
                "https://proxy.example/api/v10/webhooks/1/a/",
                "https://proxy.example/api/v10/webhooks/1/a?wait=true",
                tls(Versioned::Yes),
            ),
            ("https://discord.com.evil.example/x", "https://discord.com.evil.example/x?wait=true", tls(Versioned::No)),
            ("http://[::1]:9", "http://[::1]:9?wait=true", plain(Versioned::No)),
        ] {
            let webhook = DiscordWebhook::parse(address, None).expect(address);
            assert_eq!(webhook.create_url(None).expose(), create);
            assert_eq!(webhook.server(), server, "{address}");
            assert_eq!(webhook.warning().is_some(), address.starts_with("http:"));
        }
    }

    #[test]
    fn rejects_other_texts() {
        for (address, want) in [
            ("", WebhookError::NotAUrl),
            ("discord.com/api/webhooks/1/2", WebhookError::NotAUrl),
            ("ftp://discord.com/api/webhooks/1/2", WebhookError::NotAUrl),
            ("https:///x", WebhookError::NotAUrl),
            ("https://h/a b", WebhookError::NotAUrl),
            ("https://discord.com/channels/1/2", WebhookError::NotAWebhook),
            ("https://discord.com/api/webhooks/123/short", WebhookError::NotAWebhook),
            (&format!("http://discord.com/api/webhooks/{ID}/{TOKEN}"), WebhookError::PlainHttp),
        ] {
            assert_eq!(DiscordWebhook::parse(address, None).err(), Some(want), "{address}");
        }
    }
}
