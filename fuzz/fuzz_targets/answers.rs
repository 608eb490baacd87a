//! What the message services answer, and texts of others in messages.

#![no_main]

use build_deploy_fuzz::{bounded, parts};
use build_deploy_fuzz::{
    github::untrusted,
    notify::{
        discord::{Discord, webhook::DiscordWebhook},
        service::{Alert, Call, DeliveryMode, Destination, Posted, Reply, Service},
        slack, teams,
    },
};
use libfuzzer_sys::fuzz_target;

fn services() -> Vec<Box<dyn Service>> {
    let mut services: Vec<Box<dyn Service>> = Vec::new();
    if let Ok(webhook) = DiscordWebhook::parse("https://discord.com/api/webhooks/123456789012345678/abcdef", None) {
        services.push(Box::new(Discord::new(webhook, Default::default(), DeliveryMode::Edit)));
    }
    if let Ok(webhook) =
        slack::SlackWebhook::parse("https://hooks.slack.com/services/T0/B0/xyz", slack::Look::default())
    {
        services.push(Box::new(webhook));
    }
    let token = build_deploy_fuzz::domain::secret::Secret::new("xoxb-1-2");
    services.push(Box::new(slack::SlackBot::new("https://slack.com/api", token, "C0", slack::Look::default())));
    if let Ok(webhook) = teams::Teams::parse("https://a.logic.azure.com/workflows/0/triggers/manual/paths/invoke?sig=x")
    {
        services.push(Box::new(webhook));
    }
    services
}

fuzz_target!(|data: &[u8]| {
    let parts = parts(data);
    let part = |i: usize| parts.get(i).cloned().unwrap_or_default();
    let status = part(0).parse().unwrap_or(200);
    let reply = Reply { status, body: part(1), retry_after: Some(part(2)), ..Reply::default() };
    let posted = Posted::parse(&part(3)).unwrap_or(Posted { message_id: "1".to_owned(), channel_id: None });
    let services = services();
    bounded(|| {
        let _ = reply.wait();
        for service in &services {
            for call in [
                Call::Create(Alert::Normal, Destination::Channel),
                Call::Create(Alert::Silent, Destination::NewThread),
                Call::Edit(&posted),
                Call::Mention(Some(&posted)),
            ] {
                let _ = service.parse_reply(call, &reply);
            }
            let _ = service.shows_running(&reply.json());
            let _ = service.posted_at(&posted.message_id);
        }
        let _ = untrusted::inert(&reply.body);
        let _ = untrusted::plain(&reply.body);
    });
});
