//! The chat messages of a run: from the inputs to channels, and what the post stage must know of them.

use std::{convert::Infallible, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::saved;
use crate::{
    domain::{
        event::{Diagnostic, Severity},
        run::RunState,
        secret::Secret,
    },
    inputs::{
        runner::RunnerEnv,
        typed::{DiscordMode, Inputs, Moment},
    },
    notify::{
        answer::Posted,
        delivery::Timing,
        discord::{Colors, Look},
        live::{self, Left, Live, Mode, NotifyOn, Options, Report},
        message::Role,
        webhook::DiscordWebhook,
    },
};

/// Names in `GITHUB_STATE`.
const MESSAGES: &str = "messages";
const SETTLED: &str = "settled";

/// How long the post stage tries to repair a message.
const REPAIR: Duration = Duration::from_secs(5);

/// Who is told, and how.
#[derive(Clone, Debug)]
pub struct Chat {
    webhooks: Vec<DiscordWebhook>,
    options: Options,
    /// What of the inputs had no effect, and why.
    pub warnings: Vec<Diagnostic>,
}

/// A message as the post stage is told of it.
#[derive(Debug, Deserialize, Serialize)]
struct Saved {
    webhook: usize,
    message: String,
}

impl Chat {
    /// What the inputs ask for. An address that is none is a warning: it must not stop a build.
    pub fn new(inputs: &Inputs) -> Self {
        let discord = &inputs.notify.discord;
        let mut warnings = Vec::new();
        let mut webhooks = Vec::new();
        let wanted = if inputs.github.dry_run { &[] } else { discord.webhooks.as_slice() };
        for (index, given) in wanted.iter().enumerate() {
            let name =
                if wanted.len() == 1 { "discord-webhook".to_owned() } else { format!("discord-webhook {}", index + 1) };
            match DiscordWebhook::parse(given.expose(), discord.thread_id.as_deref()) {
                Ok(webhook) => {
                    warnings.extend(webhook.warning().map(|text| warning(&name, text.to_owned())));
                    webhooks.push(webhook);
                }
                Err(error) => warnings.push(warning(&name, format!("{error}; no message is sent to it"))),
            }
        }
        let colors = Colors {
            started: inputs.notify.colors.started,
            success: inputs.notify.colors.success,
            failure: inputs.notify.colors.failure,
            cancelled: inputs.notify.colors.cancelled,
            ..Colors::default()
        };
        let text = |option: &Option<String>| option.clone().unwrap_or_default();
        let (look, dropped) =
            Look::new(colors, &text(&discord.username), &text(&discord.avatar_url), &text(&discord.thumbnail_url));
        warnings.extend(dropped.into_iter().map(|text| warning("discord", text)));
        let on = inputs.notify.on.iter().fold(NotifyOn::NEVER, |on, moment| {
            on.and(match moment {
                Moment::Started => Role::Started,
                Moment::Success => Role::Success,
                Moment::Failure => Role::Failure,
                Moment::Cancelled => Role::Cancelled,
            })
        });
        let mode = match discord.mode {
            DiscordMode::Edit => Mode::Edit,
            DiscordMode::Post => Mode::Post,
        };
        Self { webhooks, options: Options { look, mode, on, timing: Timing::default() }, warnings }
    }

    /// Texts that must be masked and redacted beside the inputs: our form of the addresses.
    pub fn secrets(&self) -> Vec<Secret> {
        self.webhooks.iter().flat_map(DiscordWebhook::secrets).collect()
    }

    /// Begins to tell. The first message is on its way when this returns.
    pub fn start(&self, states: &watch::Receiver<Arc<RunState>>) -> Live {
        live::start(self.webhooks.clone(), self.options.clone(), states)
    }

    /// The post stage: messages that a killed run left yellow become grey, or what `state` says.
    pub async fn repair(self, env: &RunnerEnv, state: &RunState) -> Vec<Diagnostic> {
        if env.state(SETTLED).is_some() {
            return Vec::new();
        }
        let saved: Vec<Saved> =
            env.state(MESSAGES).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let mut warnings = Vec::new();
        for Saved { webhook, message } in saved {
            let Some(webhook) = self.webhooks.get(webhook) else { continue };
            if let Err(error) = live::repair(webhook.clone(), &message, state, &self.options, REPAIR).await {
                warnings.push(warning("discord", format!("the message stays as it is: {error}")));
            }
        }
        warnings
    }
}

/// Saves each message for the post stage as soon as it is known. Never ends by itself.
pub async fn save(env: &RunnerEnv, mut posted: watch::Receiver<Vec<Option<Posted>>>) -> Infallible {
    loop {
        let text = as_saved(&posted.borrow_and_update());
        if let Some(text) = text {
            // Without it the post stage has nothing to repair, which is no worse than no post stage.
            let _ = saved::write(env, &[(MESSAGES, &text)]);
        }
        if posted.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// What came of the messages: warnings for the log, and whether all that was due has arrived.
pub fn settle(env: &RunnerEnv, reports: &[Report]) -> (Vec<Diagnostic>, bool) {
    let settled = reports.iter().all(|report| report.left == Left::Settled);
    let mut warnings: Vec<Diagnostic> =
        reports.iter().filter_map(|report| Some(warning("discord", report.warning.clone()?))).collect();
    let posted: Vec<Option<Posted>> = reports.iter().map(|report| report.posted.clone()).collect();
    let text = as_saved(&posted).unwrap_or_default();
    let mut values = vec![(MESSAGES, text.as_str())];
    if settled {
        values.push((SETTLED, "true"));
    }
    if let Err(error) = saved::write(env, &values) {
        warnings.push(warning("state", error));
    }
    (warnings, settled)
}

fn as_saved(posted: &[Option<Posted>]) -> Option<String> {
    let known = posted.iter().enumerate();
    let all: Vec<Saved> = known
        .filter_map(|(webhook, posted)| Some(Saved { webhook, message: posted.as_ref()?.message_id.clone() }))
        .collect();
    if all.is_empty() { None } else { serde_json::to_string(&all).ok() }
}

/// A warning about something beside the build.
pub fn warning(title: &str, message: String) -> Diagnostic {
    Diagnostic { severity: Severity::Warning, title: title.to_owned(), message, place: None }
}
