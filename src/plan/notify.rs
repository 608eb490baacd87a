//! Lists the channels that are notified of the run.

use std::iter::repeat_n;

use serde::Serialize;

use crate::inputs::typed::{DiscordMode, Inputs, Moment, NotifyOn};

/// A channel to notify.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotifyPlan {
    /// `discord`, `slack` or `teams`.
    pub kind: &'static str,
    /// `edit`: one message that is edited; `post`: one at the start and one at the end; `final`: one at the end.
    pub mode: &'static str,
    /// The moments that send a message; `change` is an outcome that differs from that of the previous run.
    pub on: Vec<&'static str>,
}

/// Returns the channels in the order in which they are notified. Empty if nothing is sent.
pub fn notify(inputs: &Inputs) -> Vec<NotifyPlan> {
    let notify = &inputs.notify;
    if inputs.github.dry_run {
        return Vec::new();
    }
    let discord = match notify.discord.mode {
        DiscordMode::Edit => "edit",
        DiscordMode::Post => "post",
    };
    let groups = [
        ("discord", discord, notify.discord.webhooks.len()),
        ("slack", "edit", notify.slack.channels.len()),
        ("slack", "final", notify.slack.webhooks.len()),
        ("teams", "final", notify.teams_webhooks.len()),
    ];
    let channels = groups.into_iter().flat_map(|(kind, mode, count)| {
        let on = match &notify.on {
            NotifyOn::Change => vec!["change"],
            NotifyOn::Moments(moments) => {
                let notified = moments.iter().filter(|moment| mode != "final" || **moment != Moment::Started);
                notified.copied().map(Moment::word).collect()
            }
        };
        repeat_n(NotifyPlan { kind, mode, on }, count)
    });
    channels.filter(|channel| !channel.on.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::{NotifyPlan, notify};
    use crate::inputs::{cli::RawInputs, parse::parse, runner::RunnerEnv};

    fn planned(written: &[(&str, &str)]) -> Vec<NotifyPlan> {
        let mut raw = RawInputs::default();
        for (name, value) in written {
            raw.set(name, value).unwrap();
        }
        notify(&parse(&raw, &RunnerEnv::default()).unwrap())
    }

    #[test]
    fn names_every_channel_and_its_moments() {
        let channels = [
            ("discord-webhook", "https://d/1\nhttps://d/2"),
            ("discord-mode", "post"),
            ("slack-token", "xoxb-1"),
            ("slack-channel", "#deploys"),
            ("slack-webhook", "https://s/1"),
            ("teams-webhook", "https://t/1"),
        ];
        let shown = |on: &str| {
            let all = [&channels[..], &[("notify-on", on)]].concat();
            let line = |plan: NotifyPlan| format!("{} {} {}", plan.kind, plan.mode, plan.on.join(","));
            planned(&all).into_iter().map(line).collect::<Vec<_>>()
        };
        assert_eq!(
            shown("started failure"),
            [
                "discord post started,failure",
                "discord post started,failure",
                "slack edit started,failure",
                "slack final failure",
                "teams final failure",
            ]
        );
        assert_eq!(shown("started").len(), 3, "a channel that cannot edit is not told of the start");
        assert_eq!(shown("change")[4], "teams final change");
        assert_eq!(shown("never"), [""; 0]);
        assert_eq!(planned(&[("slack-channel", "#deploys")]), [], "a fork has no secrets");
    }
}
