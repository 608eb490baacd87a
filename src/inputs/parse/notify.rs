//! Reads the inputs under the heading "Notify".

use std::collections::BTreeSet;

use crate::domain::secret::Secret;

use super::Reader;
use crate::inputs::{
    typed::{Colors, DiscordInputs, DiscordMode, Moment, NotifyInputs},
    values::{color, comma_lines, pair},
};

impl Reader<'_> {
    pub(super) fn notify(&mut self) -> NotifyInputs {
        NotifyInputs {
            discord: self.discord(),
            on: self.notify_on(),
            colors: self.colors(),
            strict: self.boolean("notify-strict"),
        }
    }

    fn discord(&mut self) -> DiscordInputs {
        let webhooks = self.list("discord-webhook");
        for (index, url) in webhooks.iter().enumerate() {
            let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            if host.is_none_or(|rest| rest.is_empty() || rest.starts_with('/') || rest.contains(char::is_whitespace)) {
                let problem = format!("line {} is no URL", index + 1);
                let fix = "paste the whole URL that Discord shows under Integrations, Webhooks";
                self.secret_wrong("discord-webhook", problem, fix);
            }
        }
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.to_owned());
        let url = |text: &str| text.starts_with("http").then(|| text.to_owned());
        let (no_url, fix) = ("is no URL", "write a whole `https://` URL");
        DiscordInputs {
            webhooks: webhooks.into_iter().map(Secret::new).collect(),
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

    fn notify_on(&mut self) -> BTreeSet<Moment> {
        let text = self.raw.get("notify-on").unwrap_or("always");
        match text {
            "always" => return Moment::ALL.into(),
            "never" => return BTreeSet::new(),
            "change" => {
                let fix = "use `always`, `failure`, `never` or a list of moments";
                self.wrong("notify-on", text, "is not available in this version", fix);
                return BTreeSet::new();
            }
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
                    "use `always`, `failure`, `never`, or some of `started success failure cancelled`",
                ),
            }
        }
        moments
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
