//! Creates the chat services from the inputs.

use std::{error::Error, sync::Arc};

use super::warning;
use crate::{
    domain::{diagnostic::Diagnostic, secret::Secret},
    inputs::typed::{self, DiscordMode, Inputs, Mention, Moment},
    notify::{
        color::Colors,
        delivery::Timing,
        discord::{
            Discord, Mentions, embed,
            webhook::{DiscordWebhook, WebhookError},
        },
        message::PhaseKind,
        options::Options,
        policy::{MentionOn, NotifyOn, PhaseKinds},
        service::{DeliveryMode, Service},
        slack::{self, SlackBot, SlackWebhook},
        teams::{Teams, TeamsError},
    },
};

/// The services that the inputs name.
#[derive(Debug, Default)]
pub(super) struct Channels {
    /// In a fixed order; a message's number in the state file is an index into this list.
    pub(super) services: Vec<Arc<dyn Service>>,
    /// Warnings about inputs that have no effect.
    pub(super) warnings: Vec<Diagnostic>,
    /// Number of invalid addresses, which are not notified.
    pub(super) unusable: usize,
}

impl Channels {
    /// Creates the services; a dry run has none.
    pub(super) fn new(inputs: &Inputs) -> Self {
        let mut channels = Self::default();
        if !inputs.github.dry_run {
            channels.discord(inputs);
            channels.slack(inputs);
            channels.teams(inputs);
        }
        channels
    }

    fn discord(&mut self, inputs: &Inputs) {
        let discord = &inputs.notify.discord;
        if discord.webhooks.is_empty() {
            return;
        }
        let text = |option: &Option<String>| option.clone().unwrap_or_default();
        let (look, dropped) = embed::Look::new(
            colors(inputs),
            &text(&discord.username),
            &text(&discord.avatar_url),
            &text(&discord.thumbnail_url),
        );
        self.warnings.extend(dropped.into_iter().map(|text| warning("discord", text)));
        let mode = match discord.mode {
            DiscordMode::Edit => DeliveryMode::Edit,
            DiscordMode::Post => DeliveryMode::StartAndEnd,
        };
        let mut mentions = Mentions::default();
        for mention in &inputs.notify.mentions {
            match mention {
                Mention::DiscordUser(id) => mentions.users.push(id.clone()),
                Mention::DiscordRole(id) => mentions.roles.push(id.clone()),
                Mention::SlackUser(_) | Mention::SlackGroup(_) => {}
            }
        }
        self.add("discord-webhook", &discord.webhooks, |given| {
            let webhook = DiscordWebhook::parse(given, discord.thread_id.as_deref())?;
            let warning = webhook.warning();
            let service = Discord::new(webhook, look.clone(), mode).mentioning(mentions.clone());
            Ok::<_, WebhookError>((service, warning))
        });
    }

    fn slack(&mut self, inputs: &Inputs) {
        let mut look = slack::Look { colors: colors(inputs), ..slack::Look::default() };
        for mention in &inputs.notify.mentions {
            match mention {
                Mention::SlackUser(id) => look.users.push(id.clone()),
                Mention::SlackGroup(id) => look.groups.push(id.clone()),
                Mention::DiscordUser(_) | Mention::DiscordRole(_) => {}
            }
        }
        let slack = &inputs.notify.slack;
        for (index, (token, channel)) in slack.channels.iter().enumerate() {
            let bot = SlackBot::new(&slack.api, token.clone(), channel, look.clone());
            // One warning is enough: all channels use the same address.
            let plain = bot.warning().filter(|_| index == 0);
            self.warnings.extend(plain.map(|text| warning("slack-token", text.to_owned())));
            self.services.push(Arc::new(bot));
        }
        self.add("slack-webhook", &slack.webhooks, |given| {
            let webhook = SlackWebhook::parse(given, look.clone())?;
            let warning = webhook.warning();
            Ok::<_, slack::SlackError>((webhook, warning))
        });
    }

    fn teams(&mut self, inputs: &Inputs) {
        self.add("teams-webhook", &inputs.notify.teams_webhooks, |given| {
            let teams = Teams::parse(given)?;
            let warning = teams.warning();
            Ok::<_, TeamsError>((teams, warning))
        });
    }

    /// Adds a channel for each address; `open` parses one, and returns the service and an optional warning.
    fn add<S: Service + 'static, E: Error>(
        &mut self,
        input: &str,
        addresses: &[Secret],
        open: impl Fn(&str) -> Result<(S, Option<&'static str>), E>,
    ) {
        for (index, given) in addresses.iter().enumerate() {
            let name = if addresses.len() == 1 { input.to_owned() } else { format!("{input} {}", index + 1) };
            match open(given.expose()) {
                Ok((service, notice)) => {
                    self.warnings.extend(notice.map(|text| warning(&name, text.to_owned())));
                    self.services.push(Arc::new(service));
                }
                Err(error) => {
                    self.unusable += 1;
                    self.warnings.push(warning(&name, format!("ignored: {error}")));
                }
            }
        }
    }
}

/// When messages are sent.
pub(super) fn options(inputs: &Inputs) -> Options {
    let on = match &inputs.notify.on {
        typed::NotifyOn::Change => NotifyOn::Change,
        typed::NotifyOn::Moments(moments) => {
            let roles = moments.iter().map(|moment| match moment {
                Moment::Started => PhaseKind::Started,
                Moment::Success => PhaseKind::Success,
                Moment::Failure => PhaseKind::Failure,
                Moment::Cancelled => PhaseKind::Cancelled,
            });
            NotifyOn::Kinds(roles.fold(PhaseKinds::default(), PhaseKinds::and))
        }
    };
    let mention_on = match inputs.notify.mention_on {
        typed::MentionOn::Failure => MentionOn::Failure,
        typed::MentionOn::FirstFailure => MentionOn::FirstFailure,
        typed::MentionOn::Never => MentionOn::Never,
    };
    Options { on, mention_on, timing: Timing::default() }
}

fn colors(inputs: &Inputs) -> Colors {
    let colors = &inputs.notify.colors;
    Colors {
        started: colors.started,
        success: colors.success,
        failure: colors.failure,
        cancelled: colors.cancelled,
        ..Colors::default()
    }
}
