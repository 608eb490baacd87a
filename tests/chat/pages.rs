//! What people see, as text and as a page.

use std::sync::Arc;

use build_deploy::notify::{
    delivery::Timing,
    discord::{Discord, embed::Look, webhook::DiscordWebhook},
    live::FINAL_BUDGET,
    once,
    service::Manner,
};
use stand_ins::discord::{Receiver, terminal::Paint};

use crate::{runs::states, told::anywhere};

/// A channel with a message for each way a run can stand. `DISCORD_PAGES` names a folder to keep the pages in.
#[tokio::test]
async fn all_states_read_well() {
    let folder = std::env::var_os("DISCORD_PAGES");
    // What Discord's messages show more of.
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
        let service = Discord::new(webhook, Look::default(), Manner::Live);
        once::send(Arc::new(service), &message, Timing::default(), FINAL_BUDGET).await.expect("is accepted");
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
