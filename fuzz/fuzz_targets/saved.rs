//! A message that a run saved for the post stage, and texts of others in it, as each service gets it.

#![no_main]

use build_deploy_fuzz::{
    bounded,
    domain::secret::Secret,
    notify::{
        discord::{Discord, webhook::DiscordWebhook},
        message::Message,
        service::{Alert, Call, Content, DeliveryMode, Destination, Service},
        slack, teams,
    },
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(message) = serde_json::from_slice::<Message>(data) else { return };
    let mut services: Vec<Box<dyn Service>> = Vec::new();
    if let Ok(webhook) = DiscordWebhook::parse("https://discord.com/api/webhooks/123456789012345678/abcdef", None) {
        services.push(Box::new(Discord::new(webhook, Default::default(), DeliveryMode::Edit)));
    }
    let bot = slack::SlackBot::new("https://slack.com/api", Secret::new("xoxb-1-2"), "C0", slack::Look::default());
    services.push(Box::new(bot));
    if let Ok(webhook) = teams::Teams::parse("https://a.logic.azure.com/workflows/0/triggers/manual/paths/invoke?sig=x") {
        services.push(Box::new(webhook));
    }
    bounded(|| {
        for service in &services {
            for content in [Content::Full, Content::Minimal] {
                let call = Call::Create(Alert::Normal, Destination::Channel);
                let size = service.request(call, &message, content).body.map_or(0, |body| body.to_string().len());
                assert!(size < 100_000, "{} gets {size} bytes", service.name());
            }
        }
        let saved = serde_json::to_string(&message).expect("what was read can be written");
        assert_eq!(serde_json::from_str::<Message>(&saved).ok().as_ref(), Some(&message));
    });
});
