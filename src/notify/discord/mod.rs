//! Discord webhooks: one embed per run, which is edited. PURE.

mod answer;
pub mod embed;
pub mod markup;
pub mod webhook;

use http::Method;
use serde_json::{Value, json};

use self::{embed::Look, webhook::DiscordWebhook};
use super::{
    message::Message,
    service::{Answer, Call, Content, DeliveryMode, Destination, Posted, Reply, Request, Service},
    text,
};
use crate::domain::secret::Secret;

/// Longest link in a mention, so that it fits next to the names that the input `mention` allows.
const LONGEST_LINK: usize = 500;

/// A webhook and the appearance of its messages.
#[derive(Clone, Debug)]
pub struct Discord {
    webhook: DiscordWebhook,
    look: Look,
    mode: DeliveryMode,
    mentions: Mentions,
}

/// Whom to mention, by Discord id (digits).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    /// Users.
    pub users: Vec<String>,
    /// Roles. A role that not everyone may mention is shown but not notified.
    pub roles: Vec<String>,
}

impl Discord {
    /// Creates a channel that mentions nobody.
    pub fn new(webhook: DiscordWebhook, look: Look, mode: DeliveryMode) -> Self {
        Self { webhook, look, mode, mentions: Mentions::default() }
    }

    /// Sets whom to mention.
    #[must_use]
    pub fn mentioning(mut self, mentions: Mentions) -> Self {
        self.mentions = mentions;
        self
    }

    /// The webhook.
    pub fn webhook(&self) -> &DiscordWebhook {
        &self.webhook
    }

    /// `<@1> <@&2> 🔴 shop · main: failed to build django <https://…>`. The angle brackets suppress the link preview.
    fn mention(&self, message: &Message) -> Value {
        let Mentions { users, roles } = &self.mentions;
        let names = users.iter().map(|id| format!("<@{id}>")).chain(roles.iter().map(|id| format!("<@&{id}>")));
        let names = names.collect::<Vec<_>>().join(" ");
        let link = text::web_address(message.job_url()).filter(|url| text::length(url) <= LONGEST_LINK);
        let link = link.map(|url| format!(" <{url}>")).unwrap_or_default();
        json!({
            "content": format!("{names} {}{link}", embed::title(message)),
            "allowed_mentions": { "parse": [], "users": users, "roles": roles },
        })
    }
}

impl Service for Discord {
    fn name(&self) -> &'static str {
        "Discord webhook"
    }

    fn delivery_mode(&self) -> DeliveryMode {
        self.mode
    }

    fn secrets(&self) -> Vec<Secret> {
        self.webhook.secrets()
    }

    fn request(&self, call: Call<'_>, message: &Message, content: Content) -> Request {
        let embed = || match content {
            Content::Full => embed::embed(message, &self.look),
            Content::Minimal => embed::minimal(message, &self.look),
        };
        match call {
            Call::Create(alert, destination) => {
                let mut body = embed::create_body(&embed(), &self.look, alert);
                if destination == Destination::NewThread {
                    body["thread_name"] = json!(embed::thread_name(message, content));
                }
                Request::new(Method::POST, self.webhook.create_url(None), body)
            }
            Call::Edit(posted) => {
                Request::new(Method::PATCH, self.webhook.message_url(posted), embed::edit_body(&embed()))
            }
            Call::Mention(about) => {
                let thread = about.and_then(|posted| posted.channel_id.as_deref());
                let mut body = self.mention(message);
                for (key, value) in embed::identity(&self.look) {
                    body[key] = json!(value);
                }
                Request::new(Method::POST, self.webhook.create_url(thread), body)
            }
        }
    }

    fn mentions(&self) -> bool {
        self.mentions != Mentions::default()
    }

    fn fetch_request(&self, posted: &Posted) -> Option<Request> {
        Some(Request::get(self.webhook.message_url(posted)))
    }

    fn shows_running(&self, body: &Value) -> Option<bool> {
        let color = body.pointer("/embeds/0/color").and_then(Value::as_u64)?;
        Some(color == u64::from(self.look.colors.started))
    }

    fn without_fields(&self, body: &Value, wrong: &[Vec<String>]) -> Option<Value> {
        embed::without(body, wrong)
    }

    fn parse_reply(&self, call: Call<'_>, reply: &Reply) -> Answer {
        match answer::parse(self.webhook.server(), reply) {
            // A message in a new thread can be found only with the id of the thread.
            Answer::Done(Some(Posted { message_id, channel_id: answered })) => {
                let channel_id = match call {
                    Call::Create(_, Destination::NewThread) => answered,
                    Call::Create(_, Destination::Channel) | Call::Mention(_) => None,
                    Call::Edit(posted) => posted.channel_id.clone(),
                };
                Answer::Done(Some(Posted { message_id, channel_id }))
            }
            other => other,
        }
    }

    /// The first bits of an id are the milliseconds since 2015
    /// (<https://discord.com/developers/docs/reference#snowflakes>).
    fn posted_at(&self, message_id: &str) -> Option<i64> {
        const EPOCH: i64 = 1_420_070_400;
        let id: u64 = message_id.parse().ok()?;
        // Another server may use ids of another format.
        (id > 1 << 50).then(|| i64::try_from((id >> 22) / 1000).ok().map(|seconds| seconds + EPOCH)).flatten()
    }
}
