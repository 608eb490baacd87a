//! Slack: incoming webhooks, which only post the outcome of a run, and bot tokens, which also edit messages. PURE.
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
    service::{Answer, Call, Content, DeliveryMode, Posted, Reply, Request, Service},
};
use crate::domain::secret::Secret;

/// An incoming webhook.
#[derive(Clone, Debug)]
pub struct SlackWebhook {
    url: Secret,
    look: Look,
}

/// A channel that a bot posts to.
#[derive(Clone, Debug)]
pub struct SlackBot {
    /// Base URL, such as `https://slack.com/api`.
    api: String,
    token: Secret,
    channel: String,
    look: Look,
}

/// The appearance of messages, and whom to mention.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Colors of the bar.
    pub colors: Colors,
    /// Users to mention, by id.
    pub users: Vec<String>,
    /// User groups to mention, by id.
    pub groups: Vec<String>,
}

/// Why a text is not a webhook URL. Never contains the text, which may be a mistyped secret.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SlackError {
    /// It does not begin with `https://`.
    #[error("not a URL; copy it from the Slack app's settings, under Incoming Webhooks")]
    NotAUrl,
    /// A URL at Slack, but not of an incoming webhook. A frequent mistake is the URL of a workflow's trigger.
    #[error("not the URL of an incoming webhook; expected https://hooks.slack.com/services/T…/B…/…")]
    NotAWebhook,
}

impl SlackWebhook {
    /// Parses a URL as people paste it: with spaces, quotes and angle brackets. URLs on other hosts, such as proxies, are
    /// used unchanged.
    pub fn parse(given: &str, look: Look) -> Result<Self, SlackError> {
        let address = given.trim_matches(|c: char| c.is_whitespace() || "\"'<>`".contains(c));
        let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
        let (host, path) = rest.and_then(|rest| rest.split_once('/')).ok_or(SlackError::NotAUrl)?;
        if host.is_empty() || address.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(SlackError::NotAUrl);
        }
        let is_slack = matches!(host, "hooks.slack.com" | "hooks.slack-gov.com");
        let parts = path.split('/').filter(|part| !part.is_empty()).count();
        if is_slack && !(path.starts_with("services/") && parts == 4 && address.starts_with("https://")) {
            return Err(SlackError::NotAWebhook);
        }
        Ok(Self { url: Secret::new(address.trim_end_matches('/')), look })
    }

    /// A warning about the URL, if there is reason for one.
    pub fn warning(&self) -> Option<&'static str> {
        let plain = self.url.expose().starts_with("http://");
        plain.then_some("the URL uses http: anyone on the network can read it and post messages; use https")
    }
}

impl SlackBot {
    /// Creates a bot for a channel, given by id or name. The token must be allowed to post in it.
    pub fn new(api: impl Into<String>, token: Secret, channel: impl Into<String>, look: Look) -> Self {
        Self { api: api.into(), token, channel: channel.into(), look }
    }

    /// A warning about the URL of the API, if there is reason for one.
    pub fn warning(&self) -> Option<&'static str> {
        let plain = self.api.starts_with("http://");
        plain.then_some("the Slack API URL uses http: anyone on the network can read the token; use https")
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

    fn delivery_mode(&self) -> DeliveryMode {
        DeliveryMode::EndOnly
    }

    fn secrets(&self) -> Vec<Secret> {
        let token = self.url.expose().rsplit('/').next().unwrap_or_default();
        vec![self.url.clone(), Secret::new(token)]
    }

    fn request(&self, call: Call<'_>, message: &Message, content: Content) -> Request {
        let body = match call {
            Call::Create(..) | Call::Edit(_) => blocks::body(message, self.look.colors, content),
            Call::Mention(_) => blocks::mention(message, &self.look),
        };
        Request::new(Method::POST, self.url.clone(), body)
    }

    fn mentions(&self) -> bool {
        self.look.mentions()
    }

    fn parse_reply(&self, _call: Call<'_>, reply: &Reply) -> Answer {
        answer::parse_webhook(reply)
    }
}

impl Service for SlackBot {
    fn name(&self) -> &'static str {
        "Slack channel"
    }

    fn delivery_mode(&self) -> DeliveryMode {
        DeliveryMode::Edit
    }

    fn secrets(&self) -> Vec<Secret> {
        vec![self.token.clone()]
    }

    fn request(&self, call: Call<'_>, message: &Message, content: Content) -> Request {
        let mut body = match call {
            Call::Create(..) | Call::Edit(_) => blocks::body(message, self.look.colors, content),
            Call::Mention(_) => blocks::mention(message, &self.look),
        };
        let channel = |posted: &Posted| posted.channel_id.clone().unwrap_or_else(|| self.channel.clone());
        body["parse"] = json!("none");
        match call {
            Call::Create(..) | Call::Mention(None) => {
                body["channel"] = json!(self.channel);
                self.call("chat.postMessage", body)
            }
            Call::Edit(posted) => {
                body["channel"] = json!(channel(posted));
                body["ts"] = json!(posted.message_id);
                // Not parameters of this method.
                for key in ["unfurl_links", "unfurl_media"] {
                    body.as_object_mut().and_then(|body| body.remove(key));
                }
                self.call("chat.update", body)
            }
            // In the thread of the message: it notifies too, and adds no message to the channel.
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

    /// Requires the scope `channels:history`, which a bot that only posts does not have.
    fn fetch_request(&self, posted: &Posted) -> Option<Request> {
        let (channel, ts) = (posted.channel_id.as_ref()?, &posted.message_id);
        let query = format!("channel={channel}&latest={ts}&oldest={ts}&inclusive=true&limit=1");
        Some(Request::get(Secret::new(format!("{}/conversations.history?{query}", self.api))).bearer(&self.token))
    }

    fn shows_running(&self, body: &Value) -> Option<bool> {
        let color = body.pointer("/messages/0/attachments/0/color")?.as_str()?;
        Some(color.trim_start_matches('#').eq_ignore_ascii_case(&format!("{:06x}", self.look.colors.started)))
    }

    fn parse_reply(&self, _call: Call<'_>, reply: &Reply) -> Answer {
        answer::parse_method(reply)
    }

    /// The id is the time in seconds.
    fn posted_at(&self, message_id: &str) -> Option<i64> {
        message_id.split('.').next()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{Look, Service as _, SlackError, SlackWebhook};

    #[test]
    fn parses_urls_as_people_paste_them() {
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
            ("", SlackError::NotAUrl),
            ("hooks.slack.com/services/T/B/X", SlackError::NotAUrl),
            ("https://hooks.slack.com/triggers/T/1/2", SlackError::NotAWebhook),
            ("http://hooks.slack.com/services/T/B/X", SlackError::NotAWebhook),
            ("https://hooks.slack.com/services/T/B", SlackError::NotAWebhook),
        ] {
            assert_eq!(parse(given).err(), Some(want), "{given}");
        }
    }
}
