//! Slack, in two ways: by a webhook, which posts the end of a run, and by a bot's token, which also edits. PURE.
//!
//! Calls: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>,
//! <https://docs.slack.dev/reference/methods/chat.postMessage>, `chat.update`.

mod answer;
pub mod blocks;
pub mod markup;

use http::Method;
use serde_json::{Value, json};
use thiserror::Error;

use super::{
    color::Colors,
    message::Message,
    service::{Answer, Call, Manner, Posted, Reply, Request, Service, Words},
};
use crate::domain::secret::Secret;

/// One webhook.
#[derive(Clone, Debug)]
pub struct SlackWebhook {
    url: Secret,
    look: Look,
}

/// One channel that a bot posts to.
#[derive(Clone, Debug)]
pub struct SlackBot {
    /// Such as `https://slack.com/api`.
    api: String,
    token: Secret,
    channel: String,
    look: Look,
}

/// What messages look like and whom they may mention.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The bar's colours.
    pub colors: Colors,
    /// Users to mention, by id.
    pub users: Vec<String>,
    /// User groups to mention, by id.
    pub groups: Vec<String>,
}

/// Why a text is no webhook address. Never shows the text, since it may be one but for a slip.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SlackError {
    /// No `https://` in front.
    #[error("the Slack webhook is not a URL: copy it from the app's page under Incoming Webhooks")]
    NoAddress,
    /// At Slack, but something else than a webhook.
    #[error(
        "the Slack URL is not a webhook's: it must look like https://hooks.slack.com/services/T…/B…/…, or \
         https://hooks.slack.com/triggers/… is for workflows, which take no messages"
    )]
    NoWebhook,
}

impl SlackWebhook {
    /// Reads an address with the blanks, quotes and angle brackets that people paste along. Addresses of other hosts
    /// are used as they stand: a proxy, a test.
    pub fn parse(given: &str, look: Look) -> Result<Self, SlackError> {
        let address = given.trim_matches(|c: char| c.is_whitespace() || "\"'<>`".contains(c));
        let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
        let (host, path) = rest.and_then(|rest| rest.split_once('/')).ok_or(SlackError::NoAddress)?;
        if host.is_empty() || address.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(SlackError::NoAddress);
        }
        let slacks = matches!(host, "hooks.slack.com" | "hooks.slack-gov.com");
        let parts = path.split('/').filter(|part| !part.is_empty()).count();
        if slacks && !(path.starts_with("services/") && parts == 4 && address.starts_with("https://")) {
            return Err(SlackError::NoWebhook);
        }
        Ok(Self { url: Secret::new(address.trim_end_matches('/')), look })
    }

    /// What the user should know about the address.
    pub fn warning(&self) -> Option<&'static str> {
        let plain = self.url.expose().starts_with("http://");
        plain.then_some("the Slack webhook is sent over http, unencrypted: whoever is on the way can use it")
    }
}

impl SlackBot {
    /// A channel by id or name, and the token that may post in it.
    pub fn new(api: impl Into<String>, token: Secret, channel: impl Into<String>, look: Look) -> Self {
        Self { api: api.into(), token, channel: channel.into(), look }
    }

    /// What the user should know about the address of the API.
    pub fn warning(&self) -> Option<&'static str> {
        let plain = self.api.starts_with("http://");
        plain.then_some("the Slack token is sent over http, unencrypted: whoever is on the way can use it")
    }

    fn call(&self, method: &str, body: Value) -> Request {
        Request::new(Method::POST, Secret::new(format!("{}/{method}", self.api)), body).bearer(&self.token)
    }
}

impl Look {
    fn mentions(&self) -> bool {
        !self.users.is_empty() || !self.groups.is_empty()
    }
}

impl Service for SlackWebhook {
    fn name(&self) -> &'static str {
        "Slack webhook"
    }

    fn manner(&self) -> Manner {
        Manner::Last
    }

    fn secrets(&self) -> Vec<Secret> {
        let token = self.url.expose().rsplit('/').next().unwrap_or_default();
        vec![self.url.clone(), Secret::new(token)]
    }

    fn request(&self, call: Call<'_>, message: &Message, words: Words) -> Request {
        let body = match call {
            Call::Create(..) | Call::Edit(_) => blocks::body(message, self.look.colors, words),
            Call::Mention(_) => blocks::mention(message, &self.look),
        };
        Request::new(Method::POST, self.url.clone(), body)
    }

    fn mentions(&self) -> bool {
        self.look.mentions()
    }

    fn read(&self, _call: Call<'_>, reply: &Reply) -> Answer {
        answer::of_webhook(reply)
    }
}

impl Service for SlackBot {
    fn name(&self) -> &'static str {
        "Slack channel"
    }

    fn manner(&self) -> Manner {
        Manner::Live
    }

    fn secrets(&self) -> Vec<Secret> {
        vec![self.token.clone()]
    }

    fn request(&self, call: Call<'_>, message: &Message, words: Words) -> Request {
        let mut body = match call {
            Call::Create(..) | Call::Edit(_) => blocks::body(message, self.look.colors, words),
            Call::Mention(_) => blocks::mention(message, &self.look),
        };
        let channel = |posted: &Posted| posted.place.clone().unwrap_or_else(|| self.channel.clone());
        body["parse"] = json!("none");
        match call {
            Call::Create(..) | Call::Mention(None) => {
                body["channel"] = json!(self.channel);
                self.call("chat.postMessage", body)
            }
            Call::Edit(posted) => {
                body["channel"] = json!(channel(posted));
                body["ts"] = json!(posted.message_id);
                // Not known to this method.
                for key in ["unfurl_links", "unfurl_media"] {
                    body.as_object_mut().and_then(|body| body.remove(key));
                }
                self.call("chat.update", body)
            }
            // In the message's thread, which pings just as well and leaves the channel one line.
            Call::Mention(Some(posted)) => {
                body["channel"] = json!(channel(posted));
                body["thread_ts"] = json!(posted.message_id);
                self.call("chat.postMessage", body)
            }
        }
    }

    fn mentions(&self) -> bool {
        self.look.mentions()
    }

    /// Needs a scope (`channels:history`) that a bot which only posts has not; then nothing is known.
    fn look(&self, posted: &Posted) -> Option<Request> {
        let (channel, ts) = (posted.place.as_ref()?, &posted.message_id);
        let query = format!("channel={channel}&latest={ts}&oldest={ts}&inclusive=true&limit=1");
        Some(Request::get(Secret::new(format!("{}/conversations.history?{query}", self.api))).bearer(&self.token))
    }

    fn runs(&self, body: &Value) -> Option<bool> {
        let color = body.pointer("/messages/0/attachments/0/color")?.as_str()?;
        Some(color.trim_start_matches('#').eq_ignore_ascii_case(&format!("{:06x}", self.look.colors.started)))
    }

    fn read(&self, _call: Call<'_>, reply: &Reply) -> Answer {
        answer::of_method(reply)
    }

    /// An id is the time in seconds.
    fn posted_at(&self, message_id: &str) -> Option<i64> {
        message_id.split('.').next()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{Look, Service as _, SlackError, SlackWebhook};

    #[test]
    fn reads_addresses_as_they_are_pasted() {
        let parse = |address: &str| SlackWebhook::parse(address, Look::default());
        let good = "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX";
        for given in [good.to_owned(), format!(" \"{good}\"\n"), format!("<{good}/>")] {
            let webhook = parse(&given).expect("a webhook");
            assert_eq!(webhook.url.expose(), good);
            assert_eq!(webhook.warning(), None);
            assert!(!format!("{webhook:?}").contains("XXXX"));
            assert_eq!(webhook.secrets()[1].expose(), "XXXXXXXXXXXXXXXXXXXXXXXX");
        }
        assert!(parse("http://127.0.0.1:9/services/x").expect("a proxy").warning().is_some());
        for (given, want) in [
            ("", SlackError::NoAddress),
            ("hooks.slack.com/services/T/B/X", SlackError::NoAddress),
            ("https://hooks.slack.com/triggers/T/1/2", SlackError::NoWebhook),
            ("http://hooks.slack.com/services/T/B/X", SlackError::NoWebhook),
            ("https://hooks.slack.com/services/T/B", SlackError::NoWebhook),
        ] {
            assert_eq!(parse(given).err(), Some(want), "{given}");
        }
    }
}
