//! The inputs under the heading "Messages".

use std::collections::BTreeSet;

use crate::domain::secret::Secret;

/// Chat services to notify, and when.
#[derive(Clone, Debug)]
pub struct NotifyInputs {
    /// Discord.
    pub discord: DiscordInputs,
    /// Slack.
    pub slack: SlackInputs,
    /// Teams Workflows URLs; each begins with `https://` or `http://`.
    pub teams_webhooks: Vec<Secret>,
    /// The moments at which messages are sent or edited.
    pub on: NotifyOn,
    /// Users and groups to mention.
    pub mentions: Vec<Mention>,
    /// When to mention them.
    pub mention_on: MentionOn,
    /// Colors of the states.
    pub colors: Colors,
    /// Whether a message that cannot be sent fails the step.
    pub strict: bool,
    /// `notify`: the state to report; `None` for the job's status.
    pub state: Option<Moment>,
    /// `notify`: the messages to edit instead of sending new ones, from the output `message-id` of an earlier step. One
    /// per channel; `None` for a channel without a message.
    pub message_ids: Vec<Option<String>>,
}

/// Discord.
#[derive(Clone, Debug)]
pub struct DiscordInputs {
    /// Webhook URLs; each begins with `https://` or `http://`.
    pub webhooks: Vec<Secret>,
    /// Id of the thread to post in: digits.
    pub thread_id: Option<String>,
    /// Name of the sender.
    pub username: Option<String>,
    /// URL of the sender's picture.
    pub avatar_url: Option<String>,
    /// URL of a small picture inside the message.
    pub thumbnail_url: Option<String>,
    /// Whether to send one message or two.
    pub mode: DiscordMode,
}

/// Whether to send one message or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscordMode {
    /// One message that is edited.
    Edit,
    /// One message at the start and one at the end.
    Post,
}

/// Slack.
#[derive(Clone, Debug)]
pub struct SlackInputs {
    /// Webhook URLs; each begins with `https://` or `http://`.
    pub webhooks: Vec<Secret>,
    /// Channels, by id or name, each with its bot token.
    pub channels: Vec<(Secret, String)>,
    /// URL of the API, such as `https://slack.com/api`.
    pub api: String,
}

/// The moments at which a message is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotifyOn {
    /// These moments.
    Moments(BTreeSet<Moment>),
    /// The end of a run that fails after a success, or succeeds after a failure.
    Change,
}

/// A user or group to mention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mention {
    /// A Discord user: digits.
    DiscordUser(String),
    /// A Discord role: digits.
    DiscordRole(String),
    /// A Slack user: `U…` or `W…`.
    SlackUser(String),
    /// A Slack user group: `S…`.
    SlackGroup(String),
}

/// When to mention users and groups.
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
    /// The build started.
    Started,
    /// The run succeeded.
    Success,
    /// The run failed.
    Failure,
    /// The run was cancelled.
    Cancelled,
}

impl Moment {
    /// All moments, in order.
    pub const ALL: [Self; 4] = [Self::Started, Self::Success, Self::Failure, Self::Cancelled];

    /// Returns the name of the moment in inputs and in the plan.
    pub fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Colors of the states, as `0xRRGGBB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colors {
    /// Yellow.
    pub started: u32,
    /// Green.
    pub success: u32,
    /// Red.
    pub failure: u32,
    /// Gray.
    pub cancelled: u32,
}

impl NotifyInputs {
    /// Returns every secret in these inputs.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let tokens = self.slack.channels.iter().map(|(token, _)| token);
        self.discord.webhooks.iter().chain(&self.slack.webhooks).chain(tokens).chain(&self.teams_webhooks)
    }
}
