//! Discord, through a webhook: one embed that is edited. PURE.

mod answer;
pub mod embed;
pub mod markup;
pub mod webhook;

use http::Method;
use serde_json::{Value, json};

use self::{embed::Look, webhook::DiscordWebhook};
use super::{
    message::Message,
    service::{Answer, Call, Manner, Place, Posted, Reply, Request, Service, Words},
    text,
};
use crate::domain::secret::Secret;

/// Longer, a link would not fit into a mention beside the names that `mention` allows.
const LONGEST_LINK: usize = 500;

/// One webhook, and how its messages look.
#[derive(Clone, Debug)]
pub struct Discord {
    webhook: DiscordWebhook,
    look: Look,
    manner: Manner,
    mentions: Mentions,
}

/// Whom to mention, by Discord's ids: digits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    /// Users.
    pub users: Vec<String>,
    /// Roles. One that its server does not let everyone mention is shown, but not notified.
    pub roles: Vec<String>,
}

impl Discord {
    /// A webhook that tells of a run in this manner and mentions nobody.
    pub fn new(webhook: DiscordWebhook, look: Look, manner: Manner) -> Self {
        Self { webhook, look, manner, mentions: Mentions::default() }
    }

    /// The same with someone to mention.
    #[must_use]
    pub fn mentioning(mut self, mentions: Mentions) -> Self {
        self.mentions = mentions;
        self
    }

    /// The webhook's address.
    pub fn webhook(&self) -> &DiscordWebhook {
        &self.webhook
    }

    /// `<@1> <@&2> 🔴 shop · main: failed to build django <https://…>`. The brackets keep the link from being unfolded.
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

    fn manner(&self) -> Manner {
        self.manner
    }

    fn secrets(&self) -> Vec<Secret> {
        self.webhook.secrets()
    }

    fn request(&self, call: Call<'_>, message: &Message, words: Words) -> Request {
        let embed = || match words {
            Words::All => embed::embed(message, &self.look),
            Words::Ours => embed::minimal(message, &self.look),
        };
        match call {
            Call::Create(attention, place) => {
                let mut body = embed::create_body(&embed(), &self.look, attention);
                if place == Place::NewThread {
                    body["thread_name"] = json!(embed::thread_name(message, words));
                }
                Request::new(Method::POST, self.webhook.create_url(None), body)
            }
            Call::Edit(posted) => {
                Request::new(Method::PATCH, self.webhook.message_url(posted), embed::edit_body(&embed()))
            }
            Call::Mention(about) => {
                let thread = about.and_then(|posted| posted.place.as_deref());
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

    fn look(&self, posted: &Posted) -> Option<Request> {
        Some(Request::get(self.webhook.message_url(posted)))
    }

    fn runs(&self, body: &Value) -> Option<bool> {
        let color = body.pointer("/embeds/0/color").and_then(Value::as_u64)?;
        Some(color == u64::from(self.look.colors.started))
    }

    fn mend(&self, body: &Value, wrong: &[Vec<String>]) -> Option<Value> {
        embed::without(body, wrong)
    }

    fn read(&self, call: Call<'_>, reply: &Reply) -> Answer {
        match answer::read(self.webhook.server(), reply) {
            // Its thread has the only address at which it can be found again.
            Answer::Done(Some(Posted { message_id, place: channel })) => {
                let place = match call {
                    Call::Create(_, Place::NewThread) => channel,
                    Call::Create(_, Place::Channel) | Call::Mention(_) => None,
                    Call::Edit(posted) => posted.place.clone(),
                };
                Answer::Done(Some(Posted { message_id, place }))
            }
            other => other,
        }
    }

    /// An id begins with the milliseconds since 2015
    /// (<https://discord.com/developers/docs/reference#snowflakes>).
    fn posted_at(&self, message_id: &str) -> Option<i64> {
        const EPOCH: i64 = 1_420_070_400;
        let id: u64 = message_id.parse().ok()?;
        // A foreign server may count otherwise.
        (id > 1 << 50).then(|| i64::try_from((id >> 22) / 1000).ok().map(|seconds| seconds + EPOCH)).flatten()
    }
}
