//! Reads the inputs under the heading "Messages".

use std::{collections::BTreeSet, iter::repeat_n};

use crate::domain::secret::Secret;

use super::Reader;
use crate::inputs::{
    typed::{Colors, DiscordInputs, DiscordMode, Mention, MentionOn, Moment, NotifyInputs, NotifyOn, SlackInputs},
    values::{color, comma_lines, lines, pair},
};

/// Where Slack's API is, unless `SLACK_API_URL` says otherwise (<https://docs.slack.dev/apis/web-api/>).
const SLACK_API: &str = "https://slack.com/api";

/// More are no mention but a nuisance, and would not fit into a message.
const MOST_MENTIONS: usize = 40;

impl Reader<'_> {
    pub(super) fn notify(&mut self) -> NotifyInputs {
        NotifyInputs {
            discord: self.discord(),
            slack: self.slack(),
            teams_webhooks: self.addresses("teams-webhook"),
            on: self.notify_on(),
            mentions: self.mentions(),
            mention_on: self.choice(
                "mention-on",
                &[
                    ("failure", MentionOn::Failure),
                    ("first-failure", MentionOn::FirstFailure),
                    ("never", MentionOn::Never),
                ],
                MentionOn::Failure,
            ),
            colors: self.colors(),
            strict: self.boolean("notify-strict"),
            state: self.state(),
            message_ids: self.message_ids(),
        }
    }

    /// A list of secret addresses. One that is none is a warning of the run: a message must not stop a build.
    fn addresses(&self, input: &str) -> Vec<Secret> {
        self.raw.get(input).map(|text| lines(text).map(Secret::new).collect()).unwrap_or_default()
    }

    fn discord(&mut self) -> DiscordInputs {
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.to_owned());
        let url = |text: &str| text.starts_with("http").then(|| text.to_owned());
        let (no_url, fix) = ("is no URL", "write a whole `https://` URL");
        DiscordInputs {
            webhooks: self.addresses("discord-webhook"),
            thread_id: self.checked("discord-thread-id", digits, "is no thread id", "write its number"),
            username: self.text("discord-username"),
            avatar_url: self.checked("discord-avatar-url", url, no_url, fix),
            thumbnail_url: self.checked("discord-thumbnail-url", url, no_url, fix),
            mode: self.choice(
                "discord-mode",
                &[("edit", DiscordMode::Edit), ("post", DiscordMode::Post)],
                DiscordMode::Edit,
            ),
        }
    }

    fn slack(&mut self) -> SlackInputs {
        let api = self.env.var("SLACK_API_URL").unwrap_or(SLACK_API);
        SlackInputs {
            webhooks: self.addresses("slack-webhook"),
            channels: self.slack_channels(),
            api: api.trim_end_matches('/').to_owned(),
        }
    }

    /// Channels with their tokens: one token for all, or one for each. Without a token there is nothing to do, and no
    /// mistake: pull requests from forks have no secrets.
    fn slack_channels(&mut self) -> Vec<(Secret, String)> {
        let tokens = self.list("slack-token");
        // Here `#name` is a channel and no comment.
        let text = self.raw.get("slack-channel").unwrap_or_default();
        let items = text.lines().filter(|line| !line.trim_start().starts_with("# ")).flat_map(|line| line.split(','));
        let channels: Vec<String> = items.map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect();
        for channel in &channels {
            let name = channel.strip_prefix('#').unwrap_or(channel);
            if name.is_empty() || name.chars().count() > 80 || name.contains(|c: char| c.is_whitespace() || c == '#') {
                let fix = "write its id, such as `C024BE91L`, or its name";
                self.wrong("slack-channel", channel, "is no channel", fix);
            }
        }
        if let Some(line) = tokens.iter().position(|token| !token.bytes().all(|b| b.is_ascii_graphic())) {
            let fix = "paste the Bot User OAuth Token, which begins with `xoxb-`";
            self.secret_wrong("slack-token", format!("line {} is no token", line + 1), fix);
        }
        let tokens: Vec<Secret> = tokens.into_iter().map(Secret::new).collect();
        match (tokens.as_slice(), channels.len()) {
            ([], _) => Vec::new(),
            (_, 0) => {
                self.secret_wrong("slack-token", "there is no channel for it", "set `slack-channel` too");
                Vec::new()
            }
            ([token], count) => repeat_n(token.clone(), count).zip(channels).collect(),
            (all, count) if all.len() == count => tokens.into_iter().zip(channels).collect(),
            (all, count) => {
                let problem = format!("there are {} tokens for {count} channels", all.len());
                self.secret_wrong("slack-token", problem, "give one token, or one for each line of `slack-channel`");
                Vec::new()
            }
        }
    }

    fn notify_on(&mut self) -> NotifyOn {
        let text = self.raw.get("notify-on").unwrap_or("always");
        match text {
            "always" => return NotifyOn::Moments(Moment::ALL.into()),
            "never" => return NotifyOn::Moments(BTreeSet::new()),
            "change" => return NotifyOn::Change,
            _ => {}
        }
        let mut moments = BTreeSet::new();
        for word in comma_lines(text).flat_map(str::split_whitespace) {
            match Moment::ALL.into_iter().find(|moment| moment.word() == word) {
                Some(moment) => {
                    moments.insert(moment);
                }
                None => self.wrong(
                    "notify-on",
                    word,
                    "is no moment of a run",
                    "use `always`, `failure`, `change`, `never`, or some of `started success failure cancelled`",
                ),
            }
        }
        NotifyOn::Moments(moments)
    }

    /// Ids as people copy them: bare, with `@` or `@&` before them, or as the service writes a mention.
    fn mentions(&mut self) -> Vec<Mention> {
        let items = self.comma_list("mention");
        if items.len() > MOST_MENTIONS {
            let problem = format!("has {} names, more than {MOST_MENTIONS}", items.len());
            self.secret_wrong("mention", problem, "mention a role or a group");
        }
        let mut mentions = Vec::new();
        for item in &items {
            match mention(item) {
                Some(mention) => mentions.push(mention),
                None => self.wrong(
                    "mention",
                    item,
                    "is no id",
                    "write a Discord user's id, `@&` and a Discord role's id, or a Slack id (`U…`, `W…` or `S…`)",
                ),
            }
        }
        mentions
    }

    fn state(&mut self) -> Option<Moment> {
        self.raw.get("state")?;
        let choices = Moment::ALL.map(|moment| (moment.word(), Some(moment)));
        self.choice("state", &choices, None)
    }

    fn message_ids(&mut self) -> Vec<Option<String>> {
        let mut ids = Vec::new();
        for id in self.list("message-id") {
            let known = id.bytes().all(|b| b.is_ascii_alphanumeric() || b"./".contains(&b));
            if id != "-" && !known {
                let fix = "hand over the output `message-id` of an earlier step as it is";
                self.wrong("message-id", &id, "is no id of a message", fix);
            }
            ids.push((id != "-").then_some(id));
        }
        ids
    }

    fn colors(&mut self) -> Colors {
        let mut colors =
            Colors { started: 0x00FE_E75C, success: 0x0057_F287, failure: 0x00ED_4245, cancelled: 0x0095_A5A6 };
        let text = self.raw.get("colors").unwrap_or_default();
        for item in comma_lines(text).flat_map(str::split_whitespace) {
            let (state, value) = pair(item).unwrap_or((item, ""));
            let slot = match state {
                "started" => &mut colors.started,
                "success" => &mut colors.success,
                "failure" => &mut colors.failure,
                "cancelled" => &mut colors.cancelled,
                _ => {
                    self.wrong("colors", item, "names no state", "use `started`, `success`, `failure`, `cancelled`");
                    continue;
                }
            };
            match color(value) {
                Some(value) => *slot = value,
                None => self.wrong("colors", item, "is no colour", "write it like `started=#FEE75C`"),
            }
        }
        colors
    }
}

/// One item of the input `mention`.
fn mention(item: &str) -> Option<Mention> {
    let id = item.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(item);
    let id = id.trim_start_matches("!subteam^").trim_start_matches('@');
    let (role, id) = id.strip_prefix('&').map_or((false, id), |id| (true, id));
    let id = id.trim_start_matches('!');
    let digits = (15..=20).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit());
    let slack = (9..=12).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    match (id.as_bytes().first()?, role) {
        (_, true) if digits => Some(Mention::DiscordRole(id.to_owned())),
        (_, false) if digits => Some(Mention::DiscordUser(id.to_owned())),
        (b'U' | b'W', false) if slack => Some(Mention::SlackUser(id.to_owned())),
        (b'S', false) if slack => Some(Mention::SlackGroup(id.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Mention, mention};

    #[test]
    fn reads_ids_as_they_are_copied() {
        let user = Mention::DiscordUser("80351110224678912".into());
        let role = Mention::DiscordRole("165511591545143296".into());
        for (item, want) in [
            ("80351110224678912", Some(user.clone())),
            ("@80351110224678912", Some(user.clone())),
            ("<@!80351110224678912>", Some(user)),
            ("@&165511591545143296", Some(role.clone())),
            ("&165511591545143296", Some(role.clone())),
            ("<@&165511591545143296>", Some(role)),
            ("U024BE7LH", Some(Mention::SlackUser("U024BE7LH".into()))),
            ("<@W024BE7LH>", Some(Mention::SlackUser("W024BE7LH".into()))),
            ("S0614TZR7", Some(Mention::SlackGroup("S0614TZR7".into()))),
            ("<!subteam^S0614TZR7>", Some(Mention::SlackGroup("S0614TZR7".into()))),
            ("@everyone", None),
            ("<!channel>", None),
            ("ada", None),
            ("123", None),
            ("C024BE91L", None),
        ] {
            assert_eq!(mention(item), want, "{item}");
        }
    }
}
