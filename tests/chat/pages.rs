//! What people see, as text and as a page.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use build_deploy::{
    demo::discord::{Receiver, terminal::Paint},
    notify::{
        delivery::Timing,
        discord::{Discord, embed::Look, webhook::DiscordWebhook},
        live::FINAL_BUDGET,
        message::{Message, Phase},
        once,
        service::Manner,
    },
};

use crate::runs::{End, run};

/// A channel with a message for each way a run can stand. `DISCORD_PAGES` names a folder to keep the pages in.
#[tokio::test]
async fn all_states_read_well() {
    let folder = std::env::var_os("DISCORD_PAGES");
    let ends = |end| run(end).pop().expect("an end");
    for (name, message, words) in [
        (
            "started",
            Message::of(&run(End::Green)[0]),
            &["starting…", "ada pushed 3f2c1ab", "Fix the checkout total"][..],
        ),
        (
            "building",
            Message::of(&run(End::Green)[13]),
            &["building…", "step 4/6 (build)", "RUN pip wheel", "built, pushing"],
        ),
        (
            "green",
            Message::of(&ends(End::Green)),
            &[
                "succeeded in",
                "2 images built and pushed",
                "183.4 MB",
                "9 of 14 steps cached",
                "sha256:0a1b2c3d4e5f",
                "latest",
                "celerybeat",
            ],
        ),
        (
            "red",
            Message::of(&ends(End::Red)),
            &[
                "failed to build django",
                "Dockerfile:23",
                "exit code 1",
                "RUN pip wheel",
                "No matching distribution",
                "check the version",
                "job/4567",
            ],
        ),
        ("cancelled", Message::of(&ends(End::Cancelled)), &["cancelled after", "stopped"]),
        ("timed-out", Message::of(&ends(End::TimedOut)), &["timed out after"]),
        ("interrupted", Message::at(&run(End::Green)[0], Phase::Interrupted), &["interrupted"]),
    ] {
        let receiver = Receiver::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("listens");
        let webhook = DiscordWebhook::parse(&receiver.url(), None).expect("a webhook");
        let service = Discord::new(webhook, Look::default(), Manner::Live);
        once::send(Arc::new(service), &message, Timing::default(), FINAL_BUDGET).await.expect("is accepted");
        let text = receiver.text(Paint::Plain);
        for word in words {
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
