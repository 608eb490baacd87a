//! The notifications of a run to Slack, with and without faults.

use std::{sync::Arc, time::Duration};

use build_deploy::{
    domain::secret::Secret,
    notify::{
        delivery::DeliveryError,
        message::PhaseKind,
        notifier,
        options::{FINAL_BUDGET, Options},
        policy::{NotifyOn, PhaseKinds},
        report::DeliveryStatus,
        service::Posted,
        single_message::{self, MessageKind},
        slack::{Look, SlackBot, SlackWebhook},
    },
};
use stand_ins::{
    fault::Fault,
    slack::{CHANNEL, NAME, Receiver, Scope, TOKEN},
};
use tokio::sync::watch;

use crate::{
    harness::{anywhere, assert_all_right, begin, calls, quick},
    runs::{End, run, states},
};

const YELLOW: &str = "#fee75c";
const GREEN: &str = "#57f287";
const RED: &str = "#ed4245";
const GREY: &str = "#95a5a6";

async fn receiver() -> Receiver {
    Receiver::listen(anywhere(), Scope::Write).await.expect("listens")
}

fn bot(receiver: &Receiver) -> SlackBot {
    bot_with(receiver, TOKEN, &format!("#{NAME}"))
}

fn bot_with(receiver: &Receiver, token: &str, channel: &str) -> SlackBot {
    SlackBot::new(receiver.api(), Secret::new(token), channel, look())
}

fn webhook(receiver: &Receiver) -> SlackWebhook {
    SlackWebhook::parse(&receiver.webhook(), look()).expect("a webhook")
}

fn look() -> Look {
    Look { users: vec!["U024BE7LH".into()], groups: vec!["S0614TZR7".into()], ..Look::default() }
}

fn colors(receiver: &Receiver) -> Vec<String> {
    let messages = receiver.desk().messages();
    messages.iter().filter(|m| m.thread.is_none()).map(|m| m.color().to_owned()).collect()
}

#[tokio::test]
async fn a_token_edits_one_message_through_every_state() {
    for (end, color, word) in [
        (End::Green, GREEN, "succeeded"),
        (End::Red, RED, "failed to build django"),
        (End::Cancelled, GREY, "cancelled"),
        (End::TimedOut, "#e67e22", "timed out"),
    ] {
        let receiver = receiver().await;
        let mut all = run(end);
        let last = Arc::new(all.pop().expect("an end"));
        let (states, watching) = watch::channel(Arc::new(all.remove(0)));
        let notifier = notifier::start(vec![Arc::new(bot(&receiver))], quick(), &watching);
        notifier.posted().wait_for(|all| all[0].is_some()).await.expect("posted");
        assert_eq!(colors(&receiver), [YELLOW]);
        for state in all {
            let before = receiver.calls().len();
            states.send_replace(Arc::new(state));
            // A state that looks the same makes no call.
            let more = tokio::time::timeout(Duration::from_millis(60), calls(&receiver, before + 1));
            drop(more.await);
        }
        let report = notifier.finish(last, FINAL_BUDGET).await.remove(0);
        assert_eq!((report.status, report.warning), (DeliveryStatus::Done, None));
        assert_eq!(report.posted.expect("posted").channel_id.as_deref(), Some(CHANNEL), "updates need the id");
        assert_eq!(colors(&receiver), [color]);
        let shown = &receiver.desk().messages()[0].body["text"];
        assert!(shown.as_str().is_some_and(|text| text.contains(word) && text.contains("shop · main")), "{shown}");
        assert_all_right(&receiver);
    }
}

#[tokio::test]
async fn a_webhook_shows_the_outcome_only() {
    for (end, color) in [(End::Green, GREEN), (End::Red, RED), (End::Cancelled, GREY)] {
        let receiver = receiver().await;
        let running = begin(webhook(&receiver), quick(), end);
        running.states.send_replace(Arc::new(run(end).swap_remove(9)));
        let (report, _) = running.end(FINAL_BUDGET).await;
        assert_eq!((report.status, report.warning, report.posted), (DeliveryStatus::Done, None, None));
        assert_eq!(colors(&receiver)[0], color);
        // The failure's mention is the second.
        assert_eq!(receiver.calls().len(), 1 + usize::from(end == End::Red));
        assert_all_right(&receiver);
    }
    let receiver = receiver().await;
    let only = NotifyOn::Kinds(PhaseKinds::default().and(PhaseKind::Started));
    begin(webhook(&receiver), Options { on: only, ..quick() }, End::Red).end(FINAL_BUDGET).await;
    assert_eq!(receiver.calls().len(), 0);
}

#[tokio::test]
async fn a_mention_is_posted_in_the_thread_of_the_message() {
    let receiver = receiver().await;
    let running = begin(bot(&receiver), quick(), End::Red);
    let ts = running.posted().await;
    running.end(FINAL_BUDGET).await;
    let messages = receiver.desk().messages();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[1].thread.as_deref(), Some(ts.as_str()));
    let text = messages[1].body["text"].as_str().expect("text");
    assert!(text.starts_with("<@U024BE7LH> <!subteam^S0614TZR7> 🔴 shop · main: failed to build django"), "{text}");
    assert_all_right(&receiver);
}

#[tokio::test]
async fn faults_of_the_first_message_are_overcome() {
    let limited = |header| Fault::RateLimited { body: None, header };
    let refused = |error: &str| Fault::Answer(200, format!(r#"{{"ok": false, "error": "{error}"}}"#));
    for (name, faults) in [
        ("429 header", vec![limited(Some(0.05))]),
        ("429 neither", vec![limited(None), limited(None)]),
        ("ratelimited in the body", vec![refused("ratelimited")]),
        ("502 page", vec![Fault::bad_gateway()]),
        ("invalid blocks", vec![refused("invalid_blocks")]),
        ("too long", vec![refused("msg_blocks_too_long")]),
    ] {
        let receiver = receiver().await;
        let count = faults.len();
        receiver.fail_next(faults);
        let running = begin(bot(&receiver), quick(), End::Green);
        running.posted().await;
        assert_eq!(receiver.calls().len(), count + 1, "{name}");
        let (report, _) = running.end(FINAL_BUDGET).await;
        assert_eq!(report.warning, None, "{name}");
        assert_eq!(colors(&receiver), [GREEN], "{name}");
        assert_all_right(&receiver);
    }
}

#[tokio::test]
async fn faults_of_the_last_message_are_overcome() {
    let limited = |header| Fault::RateLimited { body: None, header };
    let refused = |error: &str| Fault::Answer(200, format!(r#"{{"ok": false, "error": "{error}"}}"#));
    for (name, faults, messages) in [
        ("429 header", vec![limited(Some(0.05))], 1),
        ("429 neither", vec![limited(None)], 1),
        ("500", vec![Fault::Answer(500, String::new()), Fault::bad_gateway()], 1),
        ("internal", vec![refused("internal_error")], 1),
        ("reset before", vec![Fault::ResetBefore], 1),
        ("reset after", vec![Fault::ResetAfter], 1),
        ("one call hangs", vec![Fault::Hang], 1),
        ("deleted message", vec![refused("message_not_found")], 2),
        ("no more edits", vec![refused("edit_window_closed")], 2),
        ("refused", vec![refused("invalid_attachments")], 1),
    ] {
        let receiver = receiver().await;
        let running = begin(bot(&receiver), quick(), End::Green);
        running.posted().await;
        receiver.fail_next(faults);
        let (report, took) = running.end(FINAL_BUDGET).await;
        assert_eq!((report.status, report.warning), (DeliveryStatus::Done, None), "{name}");
        assert!(took < FINAL_BUDGET, "{name} took {took:?}");
        let shown = colors(&receiver);
        assert_eq!(shown.last().map(String::as_str), Some(GREEN), "{name}");
        assert_eq!(shown.len(), messages, "{name}");
        assert_all_right(&receiver);
    }
}

#[tokio::test]
async fn faults_of_a_webhook_are_overcome() {
    for (name, faults, sent) in [
        ("429 header", vec![Fault::RateLimited { body: None, header: Some(0.05) }], 1),
        ("429 neither", vec![Fault::RateLimited { body: None, header: None }], 1),
        ("503", vec![Fault::Answer(503, "<html>".into())], 1),
        ("500", vec![Fault::Answer(500, String::new())], 1),
        ("reset before", vec![Fault::ResetBefore], 1),
        // It may have arrived: two messages are better than none.
        ("reset after", vec![Fault::ResetAfter], 2),
        ("refused", vec![Fault::Answer(400, "invalid_blocks".into())], 1),
    ] {
        let receiver = receiver().await;
        receiver.fail_next(faults);
        let (report, took) = begin(webhook(&receiver), quick(), End::Green).end(FINAL_BUDGET).await;
        assert_eq!((report.status, report.warning), (DeliveryStatus::Done, None), "{name}");
        assert!(took < FINAL_BUDGET, "{name} took {took:?}");
        assert_eq!(colors(&receiver), vec![GREEN; sent], "{name}");
        assert_all_right(&receiver);
    }
}

#[tokio::test]
async fn an_unusable_channel_is_called_once_and_reported() {
    let receiver = receiver().await;
    for (token, channel, words) in
        [("xoxb-other", CHANNEL, "the token is invalid"), (TOKEN, "C00000000", "the bot is not a member")]
    {
        let before = receiver.calls().len();
        let running = begin(bot_with(&receiver, token, channel), quick(), End::Green);
        calls(&receiver, before + 1).await;
        let (report, took) = running.end(FINAL_BUDGET).await;
        let warning = report.warning.expect("a warning");
        assert!(warning.contains(words) && !warning.contains("xoxb-"), "{warning}");
        assert_eq!((report.status, receiver.calls().len()), (DeliveryStatus::Failed, before + 1));
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    for fault in [Fault::Answer(404, "no_service".into()), Fault::Answer(403, "action_prohibited".into())] {
        let before = receiver.calls().len();
        receiver.fail_next([fault]);
        let (report, _) = begin(webhook(&receiver), quick(), End::Red).end(FINAL_BUDGET).await;
        let warning = report.warning.expect("a warning");
        assert!(warning.contains("create a new one") && !warning.contains("local-demo"), "{warning}");
        assert_eq!((report.status, receiver.calls().len()), (DeliveryStatus::Failed, before + 1));
    }
}

#[tokio::test]
async fn a_server_that_never_answers_costs_five_seconds() {
    let receiver = receiver().await;
    receiver.fail_next(vec![Fault::Hang; 9]);
    let running = begin(webhook(&receiver), quick(), End::Green);
    let (report, took) = running.end(FINAL_BUDGET).await;
    assert_eq!(report.status, DeliveryStatus::Retryable);
    assert!(report.warning.is_some_and(|warning| !warning.contains("local-demo")));
    assert!(took <= FINAL_BUDGET + Duration::from_millis(200), "{took:?}");
}

#[tokio::test]
async fn post_repairs_whether_or_not_the_token_may_read() {
    for scope in [Scope::Write, Scope::Read] {
        let receiver = Receiver::listen(anywhere(), scope).await.expect("listens");
        let running = begin(bot(&receiver), quick(), End::Green);
        let ts = running.posted().await;
        drop(running);
        let posted = Posted { message_id: ts.clone(), channel_id: Some(CHANNEL.into()) };
        let repair = async |state| {
            let service = Arc::new(bot(&receiver));
            single_message::repair(service, &posted, state, MessageKind::Run, quick().timing, FINAL_BUDGET).await
        };
        let state = run(End::Green).swap_remove(0);
        repair(&state).await.expect("repaired");
        assert_eq!(colors(&receiver), [GREY]);
        let before = receiver.calls().len();
        repair(&state).await.expect("nothing to do");
        let updates = receiver.calls()[before..].iter().filter(|call| call.path.contains("update")).count();
        assert_eq!(updates, usize::from(scope == Scope::Write), "with read access it sees that nothing is left to do");
        receiver.desk().delete(&ts);
        assert_eq!(repair(&state).await, Err(DeliveryError::MessageGone));
        assert_all_right(&receiver);
    }
}

/// A message for each phase of a run. Set `SLACK_PAGES` to a directory to keep the pages.
#[tokio::test]
async fn all_states_read_well() {
    for (name, message, words) in states() {
        let receiver = receiver().await;
        single_message::send(Arc::new(bot(&receiver)), &message, quick().timing, FINAL_BUDGET)
            .await
            .expect("is accepted");
        assert_all_right(&receiver);
        let html = receiver.desk().html();
        for word in words {
            assert!(html.contains(word), "{name}: no `{word}` in\n{html}");
        }
        if let Some(folder) = std::env::var_os("SLACK_PAGES") {
            std::fs::write(std::path::Path::new(&folder).join(format!("{name}.html")), html).expect("is written");
            let body = &receiver.desk().messages()[0].body;
            std::fs::write(std::path::Path::new(&folder).join(format!("{name}.json")), body.to_string()).expect("is");
        }
    }
}
