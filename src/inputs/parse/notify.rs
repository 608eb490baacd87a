//! Parses the inputs of the group "Messages".

use std::{collections::BTreeSet, iter::repeat_n};

use crate::domain::secret::Secret;

use super::Reader;
use crate::inputs::{
    error::InputError,
    typed::{Colors, DiscordInputs, DiscordMode, Mention, MentionOn, Moment, NotifyInputs, NotifyOn, SlackInputs},
    values::{color, comma_lines, lines, pair},
};

/// The default address of Slack's API; `SLACK_API_URL` overrides it (<https://docs.slack.dev/apis/web-api/>).
const SLACK_API: &str = "https://slack.com/api";

/// Maximum number of mentions. A message has no space for more.
const MAX_MENTIONS: usize = 40;

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

    /// Returns a list of secret URLs. An invalid one only causes a warning later, because it must not prevent a build.
    fn addresses(&self, input: &str) -> Vec<Secret> {
        self.raw.get(input).map(|text| lines(text).map(Secret::new).collect()).unwrap_or_default()
    }

    fn discord(&mut self) -> DiscordInputs {
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.to_owned());
        let url = |text: &str| text.starts_with("http").then(|| text.to_owned());
        let (no_url, hint) = ("is not a URL", "use a URL that begins with `https://`");
        DiscordInputs {
            webhooks: self.addresses("discord-webhook"),
            thread_id: self.checked("discord-thread-id", digits, "is not a thread id", "use the thread's number"),
            username: self.text("discord-username"),
            avatar_url: self.checked("discord-avatar-url", url, no_url, hint),
            thumbnail_url: self.checked("discord-thumbnail-url", url, no_url, hint),
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

    /// Returns channels with their tokens: one token for all channels, or one per channel. A missing token is not an
    /// error, because runs for pull requests from forks have no secrets.
    fn slack_channels(&mut self) -> Vec<(Secret, String)> {
        let tokens = self.list("slack-token");
        // `#name` is a channel here, not a comment.
        let text = self.raw.get("slack-channel").unwrap_or_default();
        let items = text.lines().filter(|line| !line.trim_start().starts_with("# ")).flat_map(|line| line.split(','));
        let channels: Vec<String> = items.map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect();
        for channel in &channels {
            let name = channel.strip_prefix('#').unwrap_or(channel);
            if name.is_empty() || name.chars().count() > 80 || name.contains(|c: char| c.is_whitespace() || c == '#') {
                let hint = "use the channel's id, such as `C024BE91L`, or its name";
                self.reject("slack-channel", channel, "is not a channel", hint);
            }
        }
        if let Some(line) = tokens.iter().position(|token| !token.bytes().all(|b| b.is_ascii_graphic())) {
            let hint = "paste the Bot User OAuth Token, which begins with `xoxb-`";
            let mistake = InputError::hidden("slack-token", "is not a token", hint).at_line(line + 1);
            self.mistakes.push(mistake);
        }
        let tokens: Vec<Secret> = tokens.into_iter().map(Secret::new).collect();
        match (tokens.as_slice(), channels.len()) {
            ([], _) => Vec::new(),
            (_, 0) => {
                self.reject_hidden("slack-token", "has no channel", "set `slack-channel` as well");
                Vec::new()
            }
            ([token], count) => repeat_n(token.clone(), count).zip(channels).collect(),
            (all, count) if all.len() == count => tokens.into_iter().zip(channels).collect(),
            (all, count) => {
                let problem = format!("has {} tokens for {count} channels", all.len());
                self.reject_hidden("slack-token", problem, "set one token, or one for each channel");
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
                None => self.reject(
                    "notify-on",
                    word,
                    "is not a valid value",
                    "use `always`, `failure`, `change`, `never`, or a list of `started success failure cancelled`",
                ),
            }
        }
        NotifyOn::Moments(moments)
    }

    /// Returns mentions. Accepts plain ids, ids after `@` or `@&`, and the forms that the services use in messages.
    fn mentions(&mut self) -> Vec<Mention> {
        let items = self.comma_list("mention");
        if items.len() > MAX_MENTIONS {
            let problem = format!("has {} entries, and at most {MAX_MENTIONS} are allowed", items.len());
            self.reject_hidden("mention", problem, "mention a role or a group instead");
        }
        let mut mentions = Vec::new();
        for item in &items {
            match mention(item) {
                Some(mention) => mentions.push(mention),
                None => self.reject(
                    "mention",
                    item,
                    "is not an id",
                    "use the id of a Discord user, `@&` and the id of a Discord role, or a Slack id (`U…`, `W…` or `S…`)",
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
                let hint = "use the output `message-id` of an earlier step unchanged";
                self.reject("message-id", &id, "is not a message id", hint);
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
                    let hint = "use `started`, `success`, `failure` or `cancelled`";
                    self.reject("colors", item, "has an unknown state", hint);
                    continue;
                }
            };
            match color(value) {
                Some(value) => *slot = value,
                None => self.reject("colors", item, "is not a color", "use colors such as `started=#FEE75C`"),
            }
        }
        colors
    }
}

/// Parses one item of the input `mention`.
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
    fn forms_of_ids() {
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
