//! Discord's messages as text and as a page.

use std::sync::Arc;

use build_deploy::notify::{
    delivery::Timing,
    discord::{Discord, embed::Look, webhook::DiscordWebhook},
    options::FINAL_BUDGET,
    service::DeliveryMode,
    single_message,
};
use stand_ins::discord::{Receiver, terminal::Paint};

use crate::{harness::anywhere, runs::states};

/// A message for each phase of a run. Set `DISCORD_PAGES` to a directory to keep the pages.
#[tokio::test]
async fn all_states_read_well() {
    let folder = std::env::var_os("DISCORD_PAGES");
    // Further texts that Discord's messages show.
    let more = |name: &str| -> &[&str] {
        match name {
            "started" => &["ada pushed 3f2c1ab"],
            "building" => &["built, uploading"],
            "green" => &["2 images built and pushed", "9 of 14 steps cached", "latest"],
            "red" => &["failed to build django", "RUN pip wheel", "check the version"],
            _ => &[],
        }
    };
    for (name, message, words) in states() {
        let receiver = Receiver::listen(anywhere()).await.expect("listens");
        let webhook = DiscordWebhook::parse(&receiver.url(), None).expect("a webhook");
        let service = Discord::new(webhook, Look::default(), DeliveryMode::Edit);
        single_message::send(Arc::new(service), &message, Timing::default(), FINAL_BUDGET).await.expect("is accepted");
        let text = receiver.text(Paint::Plain);
        for word in words.iter().chain(more(name)) {
            assert!(text.contains(word), "{name}: no `{word}` in\n{text}");
        }
        let html = receiver.html();
        assert!(html.contains("class=\"embed\""), "{name}");
        if let Some(folder) = &folder {
            let place = std::path::Path::new(folder).join(format!("{name}.html"));
            std::fs::write(place, html).expect("is written");
            println!("{}", receiver.text(Paint::Ansi));
        }
    }
}
