//! The inputs under the heading "Messages".

use std::collections::BTreeSet;

use crate::domain::secret::Secret;

/// Who is told, when and how.
#[derive(Clone, Debug)]
pub struct NotifyInputs {
    /// Discord.
    pub discord: DiscordInputs,
    /// Slack.
    pub slack: SlackInputs,
    /// Teams Workflows URLs; each begins with `https://` or `http://`.
    pub teams_webhooks: Vec<Secret>,
    /// At which moments a message is sent or changed.
    pub on: NotifyOn,
    /// Whom to mention.
    pub mentions: Vec<Mention>,
    /// When to mention them.
    pub mention_on: MentionOn,
    /// Colours of the states.
    pub colors: Colors,
    /// Whether a message that cannot be sent fails the step.
    pub strict: bool,
    /// `notify`: the state to tell; `None` means the job's.
    pub state: Option<Moment>,
    /// `notify`: the messages to change instead of posting new ones, by the output `message-id` of an earlier step: one
    /// a channel, `None` for a channel without.
    pub message_ids: Vec<Option<String>>,
}

/// Discord.
#[derive(Clone, Debug)]
pub struct DiscordInputs {
    /// Webhook URLs; each begins with `https://` or `http://`.
    pub webhooks: Vec<Secret>,
    /// Thread to post in: digits.
    pub thread_id: Option<String>,
    /// Name to post under.
    pub username: Option<String>,
    /// Picture to post under.
    pub avatar_url: Option<String>,
    /// Picture inside the message.
    pub thumbnail_url: Option<String>,
    /// One message or two.
    pub mode: DiscordMode,
}

/// One message or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscordMode {
    /// One that is edited.
    Edit,
    /// One at the start and one at the end.
    Post,
}

/// Slack.
#[derive(Clone, Debug)]
pub struct SlackInputs {
    /// Webhook URLs; each begins with `https://` or `http://`.
    pub webhooks: Vec<Secret>,
    /// Channels, by id or name, each with the token that may post in it.
    pub channels: Vec<(Secret, String)>,
    /// Address of the API, such as `https://slack.com/api`.
    pub api: String,
}

/// At which moments there is a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotifyOn {
    /// At these.
    Moments(BTreeSet<Moment>),
    /// At the end, if the run broke what worked or fixed what did not.
    Change,
}

/// Someone to be mentioned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mention {
    /// A user of Discord: digits.
    DiscordUser(String),
    /// A role of Discord: digits.
    DiscordRole(String),
    /// A user of Slack: `U…` or `W…`.
    SlackUser(String),
    /// A group of Slack: `S…`.
    SlackGroup(String),
}

/// When someone is mentioned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MentionOn {
    /// At every failure.
    Failure,
    /// At the first failure after a success.
    FirstFailure,
    /// Never.
    Never,
}

/// A moment of the run at which a message may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// The build has begun.
    Started,
    /// It went well.
    Success,
    /// It failed.
    Failure,
    /// It was stopped.
    Cancelled,
}

impl Moment {
    /// All, in order.
    pub const ALL: [Self; 4] = [Self::Started, Self::Success, Self::Failure, Self::Cancelled];

    /// The word for it in inputs and in the plan.
    pub fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Colours `0xRRGGBB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colors {
    /// Yellow.
    pub started: u32,
    /// Green.
    pub success: u32,
    /// Red.
    pub failure: u32,
    /// Grey.
    pub cancelled: u32,
}

impl NotifyInputs {
    /// Every secret among them.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let tokens = self.slack.channels.iter().map(|(token, _)| token);
        self.discord.webhooks.iter().chain(&self.slack.webhooks).chain(tokens).chain(&self.teams_webhooks)
    }
}
