//! The notifications of a run to Discord, with and without faults.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use build_deploy::notify::{
    color::Colors,
    delivery::{DeliveryError, Timing},
    discord::{Discord, Mentions, embed::Look, webhook::DiscordWebhook},
    message::PhaseKind,
    notifier,
    options::{CANCEL_BUDGET, FINAL_BUDGET, Options},
    policy::{MentionOn, NotifyOn, PhaseKinds},
    report::DeliveryStatus,
    service::{DeliveryMode, Posted, Service},
    single_message::{self, MessageKind},
};
use stand_ins::discord::{Fault, Receiver};
use tokio::sync::watch;

use crate::{
    harness::{self, RunningNotifier, anywhere, assert_all_right, calls, quick},
    runs::{End, run},
};

const YELLOW: u64 = 0xFE_E75C;
const GREEN: u64 = 0x57_F287;
const RED: u64 = 0xED_4245;
const GREY: u64 = 0x95_A5A6;

async fn receiver() -> Receiver {
    Receiver::listen(anywhere()).await.expect("listens")
}

fn discord(url: &str) -> Discord {
    Discord::new(DiscordWebhook::parse(url, None).expect("a webhook"), Look::default(), DeliveryMode::Edit)
}

fn hook(url: &str) -> Arc<dyn Service> {
    Arc::new(discord(url))
}

fn begin(url: &str, options: Options, end: End) -> RunningNotifier {
    harness::begin(discord(url), options, end)
}

fn colors(receiver: &Receiver) -> Vec<u64> {
    receiver.messages().iter().map(|m| m.embed()["color"].as_u64().expect("a color")).collect()
}

#[tokio::test]
async fn one_message_is_edited_from_start_to_outcome() {
    for (end, color, word) in [
        (End::Green, GREEN, "succeeded"),
        (End::Red, RED, "failed to build django"),
        (End::Cancelled, GREY, "cancelled"),
        (End::TimedOut, 0xE6_7E22, "timed out"),
    ] {
        let receiver = receiver().await;
        let running = begin(&receiver.url(), quick(), end);
        let id = running.posted().await;
        assert_eq!(colors(&receiver), [YELLOW]);
        let (report, _) = running.end(FINAL_BUDGET).await;
        assert_eq!((report.status, report.warning.as_deref()), (DeliveryStatus::Done, None));
        assert_eq!(report.posted.expect("posted").message_id, id);
        assert_eq!(colors(&receiver), [color], "{end:?}");
        let title = receiver.messages()[0].embed()["title"].as_str().expect("a title").to_owned();
        assert!(title.contains(word), "{title}");
        assert!(title.contains("shop · main"), "{title}");
        let methods: Vec<String> = receiver.calls().into_iter().map(|call| call.method).collect();
        assert_eq!(methods, ["POST", "PATCH"]);
        assert_all_right(&receiver);
    }
}

#[tokio::test]
async fn every_state_is_accepted_and_shown() {
    let receiver = receiver().await;
    for end in [End::Green, End::Red, End::Cancelled, End::TimedOut] {
        let mut all = run(end);
        let last = Arc::new(all.pop().expect("an end"));
        let (states, watching) = watch::channel(Arc::new(all.remove(0)));
        let notifier = notifier::start(vec![hook(&receiver.url())], quick(), &watching);
        let mut posted = notifier.posted();
        posted.wait_for(|all| all[0].is_some()).await.expect("posted");
        for state in all {
            states.send_replace(Arc::new(state));
            tokio::task::yield_now().await;
        }
        let before = receiver.calls().len();
        calls(&receiver, before + 1).await;
        notifier.finish(last, FINAL_BUDGET).await;
    }
    assert_eq!(colors(&receiver), [GREEN, RED, GREY, 0xE6_7E22]);
    assert_all_right(&receiver);
}

#[tokio::test]
async fn edits_are_few_and_never_the_same_twice() {
    let receiver = receiver().await;
    let options = Options { timing: Timing { edit_gap: Duration::from_millis(200), ..quick().timing }, ..quick() };
    let running = begin(&receiver.url(), options, End::Green);
    running.posted().await;
    let states = run(End::Green);
    for state in states.iter().take(states.len() - 1).cycle().take(500) {
        running.states.send_replace(Arc::new(state.clone()));
        tokio::task::yield_now().await;
    }
    let seen = calls(&receiver, 2).await;
    assert!(seen[1].at - seen[0].at >= Duration::from_millis(190), "the edits are far enough apart");
    // An unchanged state causes no call.
    let shown = running.states.borrow().clone();
    running.states.send_replace(shown);
    running.end(FINAL_BUDGET).await;
    let seen = receiver.calls();
    assert!(seen.len() <= 4, "{} calls for 500 states", seen.len());
    for pair in seen.windows(2) {
        assert_ne!(pair[0].body["embeds"], pair[1].body["embeds"]);
    }
}

#[tokio::test]
async fn faults_of_the_first_message_are_overcome() {
    let limited = |body, header| Fault::RateLimited { body, header };
    for (name, faults) in [
        ("429 body", vec![limited(Some(0.05), None)]),
        ("429 header", vec![Fault::Answer(429, String::new()), limited(Some(0.01), Some(0.05))]),
        ("429 neither", vec![limited(None, None), limited(None, None)]),
        ("502 page", vec![Fault::bad_gateway()]),
        ("400 thumbnail", vec![Fault::invalid(&["embeds", "0", "thumbnail", "url"])]),
        ("400 field", vec![Fault::invalid(&["embeds", "0", "fields", "0", "value"])]),
        ("400 unnamed", vec![Fault::Answer(400, r#"{"embeds":["0"]}"#.into())]),
        ("400 twice", vec![Fault::invalid(&["embeds", "0", "description"]), Fault::invalid(&["embeds", "0", "title"])]),
        ("link filter", vec![Fault::error(400, 240_000, "Message blocked by harmful links filter")]),
        ("automod", vec![Fault::error(400, 200_000, "Message was blocked by automatic moderation")]),
    ] {
        let receiver = receiver().await;
        let count = faults.len();
        receiver.fail_next(faults);
        let look = Look::new(Colors::default(), "", "", "https://example.org/a.png").0;
        let webhook = DiscordWebhook::parse(&receiver.url(), None).expect("a webhook");
        let running = harness::begin(Discord::new(webhook, look, DeliveryMode::Edit), quick(), End::Green);
        running.posted().await;
        assert_eq!(receiver.calls().len(), count + 1, "{name}");
        assert_eq!(colors(&receiver), [YELLOW], "{name}");
        let (report, _) = running.end(FINAL_BUDGET).await;
        assert_eq!(report.warning, None, "{name}");
        assert_eq!(colors(&receiver), [GREEN], "{name}");
        assert_all_right(&receiver);
    }
}

#[tokio::test]
async fn faults_of_the_last_message_are_overcome() {
    let limited = |body, header| Fault::RateLimited { body, header };
    for (name, faults, messages) in [
        ("429 body", vec![limited(Some(0.05), Some(1.0))], 1),
        ("429 neither", vec![limited(None, None)], 1),
        ("500", vec![Fault::error(500, 0, "500: Internal Server Error"), Fault::bad_gateway()], 1),
        ("reset before", vec![Fault::ResetBefore], 1),
        ("reset after", vec![Fault::ResetAfter], 1),
        ("one call hangs", vec![Fault::Hang], 1),
        ("slow", vec![Fault::Slow(Duration::from_secs(1))], 1),
        ("deleted message", vec![Fault::unknown_message()], 2),
        ("old message", vec![Fault::edits_exhausted(0.05)], 1),
        ("very old message", vec![Fault::edits_exhausted(0.05), Fault::edits_exhausted(0.05)], 2),
        ("old message, long wait", vec![Fault::edits_exhausted(20.0)], 2),
        ("400", vec![Fault::invalid(&["embeds", "0", "description"])], 1),
        ("link filter", vec![Fault::error(400, 240_000, "Message blocked by harmful links filter")], 1),
    ] {
        let receiver = receiver().await;
        let running = begin(&receiver.url(), quick(), End::Red);
        running.posted().await;
        receiver.fail_next(faults);
        let (report, took) = running.end(FINAL_BUDGET).await;
        assert_eq!((report.status, report.warning), (DeliveryStatus::Done, None), "{name}");
        assert!(took < FINAL_BUDGET, "{name} took {took:?}");
        let shown = colors(&receiver);
        assert_eq!(shown.last(), Some(&RED), "{name}");
        assert_eq!(shown.len(), messages, "{name}");
        let last = receiver.messages().pop().expect("a message");
        assert_eq!(report.posted.expect("posted").message_id, last.id, "{name}");
        assert_all_right(&receiver);
    }
}

#[tokio::test]
async fn a_dead_webhook_is_called_once() {
    for fault in [Fault::unknown_webhook(), Fault::error(401, 50027, "Invalid Webhook Token"), Fault::error(403, 0, "")]
    {
        let receiver = receiver().await;
        receiver.fail_next([fault]);
        let running = begin(&receiver.url(), quick(), End::Green);
        calls(&receiver, 1).await;
        let (report, took) = running.end(FINAL_BUDGET).await;
        let warning = report.warning.expect("a warning");
        assert!(warning.contains("the webhook was deleted"), "{warning}");
        assert_eq!((report.status, receiver.calls().len()), (DeliveryStatus::Failed, 1));
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

#[tokio::test]
async fn an_ambiguous_first_post_is_not_repeated_while_it_runs() {
    for fault in [Fault::ResetAfter, Fault::error(500, 0, "")] {
        let receiver = receiver().await;
        receiver.fail_next([fault]);
        let running = begin(&receiver.url(), quick(), End::Green);
        calls(&receiver, 1).await;
        let (report, _) = running.end(FINAL_BUDGET).await;
        assert_eq!(report.warning, None);
        assert_eq!(receiver.calls().len(), 2);
        assert_eq!(colors(&receiver).last(), Some(&GREEN), "the outcome is a new message");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_costs_five_seconds_and_a_cancel_two() {
    for (budget, end) in
        [(FINAL_BUDGET, End::Green), (Duration::from_mins(10), End::Red), (CANCEL_BUDGET, End::Cancelled)]
    {
        let receiver = receiver().await;
        receiver.fail_next(vec![Fault::Hang; 20]);
        let running = begin(&receiver.url(), quick(), end);
        calls(&receiver, 1).await;
        let (report, took) = running.end(budget).await;
        let warning = report.warning.expect("a warning");
        assert_eq!(report.status, DeliveryStatus::Retryable);
        assert!(took <= budget.min(FINAL_BUDGET) + Duration::from_millis(200), "{took:?}");
        assert!(!warning.contains("local-demo-token"), "{warning}");
    }
}

#[tokio::test]
async fn a_long_rate_limit_is_not_waited_for() {
    let receiver = receiver().await;
    let running = begin(&receiver.url(), quick(), End::Green);
    running.posted().await;
    receiver.fail_next([Fault::RateLimited { body: Some(3600.0), header: Some(3600.0) }]);
    let (report, took) = running.end(FINAL_BUDGET).await;
    let warning = report.warning.expect("a warning");
    assert!(warning.contains("asks to wait 3600.0 s"), "{warning}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(receiver.calls().len(), 2);
}

#[tokio::test]
async fn an_unreachable_server_does_not_delay_the_build() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("binds");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let running = begin(&format!("http://{address}/api/webhooks/1/secret-token"), quick(), End::Green);
    let (report, took) = running.end(FINAL_BUDGET).await;
    let warning = report.warning.expect("a warning");
    assert!(warning.contains("connect"), "{warning}");
    assert!(!warning.contains("secret-token") && !warning.contains("api/webhooks"), "{warning}");
    assert!(took <= FINAL_BUDGET + Duration::from_millis(200), "{took:?}");
}

#[tokio::test]
async fn a_copied_address_is_answered_in_milliseconds() {
    let receiver = receiver().await;
    receiver.fail_next([Fault::RateLimited { body: Some(0.5), header: None }]);
    let running = begin(&receiver.copied_url(), quick(), End::Green);
    running.posted().await;
    let calls = receiver.calls();
    let waited = calls[1].at - calls[0].at;
    assert!((0.5..2.0).contains(&waited.as_secs_f64()), "{waited:?}");
}

#[tokio::test]
async fn cancel_turns_the_message_grey_at_once_even_while_an_edit_hangs() {
    let receiver = receiver().await;
    let running = begin(&receiver.url(), quick(), End::Cancelled);
    running.posted().await;
    receiver.fail_next([Fault::Hang]);
    running.states.send_replace(Arc::new(run(End::Cancelled).swap_remove(9)));
    calls(&receiver, 2).await;
    let (report, took) = running.end(CANCEL_BUDGET).await;
    assert_eq!(report.warning, None);
    assert!(took < CANCEL_BUDGET, "{took:?}");
    assert_eq!(colors(&receiver), [GREY]);
}

#[tokio::test]
async fn a_deleted_message_is_posted_again() {
    let receiver = receiver().await;
    let running = begin(&receiver.url(), quick(), End::Green);
    let id = running.posted().await;
    receiver.delete(&id);
    running.states.send_replace(Arc::new(run(End::Green).swap_remove(9)));
    calls(&receiver, 3).await;
    assert_eq!(colors(&receiver), [YELLOW]);
    let (report, _) = running.end(FINAL_BUDGET).await;
    assert_ne!(report.posted.expect("posted").message_id, id);
    assert_eq!(colors(&receiver), [GREEN]);
}

#[tokio::test]
async fn sends_only_the_requested_messages() {
    let only =
        |kinds: &[PhaseKind]| NotifyOn::Kinds(kinds.iter().copied().fold(PhaseKinds::default(), PhaseKinds::and));
    for (mode, on, end, want) in [
        (DeliveryMode::Edit, NotifyOn::NEVER, End::Red, &[][..]),
        (DeliveryMode::Edit, only(&[PhaseKind::Failure]), End::Green, &[]),
        (DeliveryMode::Edit, only(&[PhaseKind::Failure]), End::Red, &[RED]),
        (DeliveryMode::Edit, only(&[PhaseKind::Failure]), End::TimedOut, &[0xE6_7E22]),
        (DeliveryMode::Edit, only(&[PhaseKind::Success]), End::Cancelled, &[]),
        // A message that shows a running job is always updated.
        (DeliveryMode::Edit, only(&[PhaseKind::Started, PhaseKind::Failure]), End::Green, &[GREEN]),
        (DeliveryMode::StartAndEnd, NotifyOn::ALWAYS, End::Green, &[YELLOW, GREEN]),
        (DeliveryMode::StartAndEnd, only(&[PhaseKind::Started]), End::Green, &[YELLOW]),
    ] {
        let receiver = receiver().await;
        let webhook = DiscordWebhook::parse(&receiver.url(), None).expect("a webhook");
        let service = Discord::new(webhook, Look::default(), mode);
        let running = harness::begin(service, Options { on, ..quick() }, end);
        if on.start() {
            running.posted().await;
        }
        let (report, _) = running.end(FINAL_BUDGET).await;
        assert_eq!(report.warning, None);
        assert_eq!(colors(&receiver), want, "{mode:?} {on:?} {end:?}");
        assert_all_right(&receiver);
    }
}

#[tokio::test]
async fn a_slow_channel_does_not_delay_another() {
    let (good, bad) = (receiver().await, receiver().await);
    bad.fail_next(vec![Fault::Hang; 9]);
    let (_states, watching) = watch::channel(Arc::new(run(End::Green).swap_remove(3)));
    let notifier = notifier::start(vec![hook(&bad.url()), hook(&good.url())], quick(), &watching);
    notifier.posted().wait_for(|all| all[1].is_some()).await.expect("posted");
    let last = run(End::Green).pop().expect("an end");
    let mut changes = good.changes();
    let ending = tokio::spawn(notifier.finish(Arc::new(last), Duration::from_secs(2)));
    while colors(&good) != [GREEN] {
        changes.changed().await.expect("runs");
    }
    assert!(!ending.is_finished());
    let reports = ending.await.expect("reports");
    assert_eq!(
        reports.iter().map(|r| (r.channel, r.status)).collect::<Vec<_>>(),
        [(0, DeliveryStatus::Retryable), (1, DeliveryStatus::Done)]
    );
    assert!(reports[0].warning.as_deref().is_some_and(|w| w.contains("Discord webhook 1")), "{reports:?}");
}

#[tokio::test]
async fn post_repairs_the_message_of_a_killed_run_only() {
    let receiver = receiver().await;
    let running = begin(&receiver.url(), quick(), End::Green);
    let id = running.posted().await;
    let RunningNotifier { notifier, last, .. } = running;
    drop(notifier);
    let state = run(End::Green).swap_remove(0);
    let posted = Posted { message_id: id.clone(), channel_id: None };
    let timing = quick().timing;
    let repair_as =
        |state| single_message::repair(hook(&receiver.url()), &posted, state, MessageKind::Run, timing, FINAL_BUDGET);
    let repair = || repair_as(&state);
    repair().await.expect("repaired");
    assert_eq!(colors(&receiver), [GREY]);
    assert!(receiver.messages()[0].embed()["title"].as_str().is_some_and(|title| title.contains("interrupted")));
    // It no longer shows a running job, so it is left unchanged.
    let before = receiver.messages()[0].body.clone();
    repair_as(&last).await.expect("nothing to do");
    assert_eq!(receiver.messages()[0].body, before);
    receiver.delete(&id);
    assert_eq!(repair().await, Err(DeliveryError::MessageGone));
    assert_all_right(&receiver);
}

#[tokio::test]
async fn the_rate_limit_of_a_channel_is_respected() {
    let receiver = receiver().await;
    receiver.limit(5, Duration::from_millis(500));
    let running = begin(&receiver.url(), quick(), End::Green);
    running.posted().await;
    let states = run(End::Green);
    for state in [&states[0], &states[9]].into_iter().cycle().take(12) {
        let before = receiver.calls().len();
        running.states.send_replace(Arc::new(state.clone()));
        let mut seen = calls(&receiver, before + 1).await;
        while seen.last().is_some_and(|call| call.status != 200) {
            seen = calls(&receiver, seen.len() + 1).await;
        }
    }
    let refused = receiver.calls().iter().filter(|call| call.status == 429).count();
    assert!((1..=4).contains(&refused), "{refused} of 13 calls were over the limit");
    let (report, _) = running.end(FINAL_BUDGET).await;
    assert_eq!(report.warning, None);
    assert_eq!(colors(&receiver), [GREEN]);
}

#[tokio::test]
async fn messages_are_posted_in_the_thread() {
    let receiver = receiver().await;
    let webhook = DiscordWebhook::parse(&receiver.url(), Some("1330000000000000777")).expect("a webhook");
    let (_states, watching) = watch::channel(Arc::new(run(End::Green).swap_remove(3)));
    let service = Discord::new(webhook, Look::default(), DeliveryMode::Edit);
    let notifier = notifier::start(vec![Arc::new(service)], quick(), &watching);
    notifier.posted().wait_for(|all| all[0].is_some()).await.expect("posted");
    let reports = notifier.finish(Arc::new(run(End::Green).pop().expect("an end")), FINAL_BUDGET).await;
    assert_eq!(reports[0].warning, None);
    assert_eq!(receiver.messages()[0].thread.as_deref(), Some("1330000000000000777"));
    assert_eq!(colors(&receiver), [GREEN]);
}

#[tokio::test]
async fn a_forum_gets_a_thread_for_the_run() {
    let receiver = receiver().await;
    receiver.become_forum();
    let running = begin(&receiver.url(), quick(), End::Green);
    running.posted().await;
    let first = receiver.messages().remove(0);
    assert_eq!(first.body["thread_name"], "shop · main");
    let thread = first.thread.expect("a thread");
    running.states.send_replace(Arc::new(run(End::Green).swap_remove(9)));
    calls(&receiver, 3).await;
    let (report, _) = running.end(FINAL_BUDGET).await;
    assert_eq!((report.status, report.warning), (DeliveryStatus::Done, None));
    assert_eq!(report.posted.expect("posted").channel_id, Some(thread));
    assert_eq!(colors(&receiver), [GREEN]);
    let statuses: Vec<u16> = receiver.calls().iter().map(|call| call.status).collect();
    assert_eq!(statuses, [400, 200, 200, 200]);
    assert_all_right(&receiver);
}

#[tokio::test]
async fn a_deleted_message_of_a_forum_gets_a_new_thread() {
    let receiver = receiver().await;
    receiver.become_forum();
    let running = begin(&receiver.url(), quick(), End::Red);
    receiver.delete(&running.posted().await);
    let (report, _) = running.end(FINAL_BUDGET).await;
    assert_eq!((report.status, report.warning), (DeliveryStatus::Done, None));
    assert_eq!(colors(&receiver), [RED]);
    assert_all_right(&receiver);
}

fn calling(url: &str) -> Discord {
    let ids = |id: &str| vec![id.to_owned()];
    discord(url).mentioning(Mentions { users: ids("80351110224678912"), roles: ids("165511591545143296") })
}

#[tokio::test]
async fn a_failure_mentions_in_a_separate_message() {
    for (end, history, mention_on, mentioned) in [
        (End::Red, None, MentionOn::Failure, true),
        (End::Red, Some(4), MentionOn::Failure, true),
        (End::TimedOut, Some(0), MentionOn::FirstFailure, true),
        (End::Red, None, MentionOn::FirstFailure, true),
        (End::Red, Some(1), MentionOn::FirstFailure, false),
        (End::Red, Some(0), MentionOn::Never, false),
        (End::Green, Some(3), MentionOn::Failure, false),
        (End::Cancelled, None, MentionOn::Failure, false),
    ] {
        let receiver = receiver().await;
        let options = Options { mention_on, ..quick() };
        let running = harness::begin(calling(&receiver.url()), options, end).after(history);
        running.posted().await;
        let (report, _) = running.end(FINAL_BUDGET).await;
        assert_eq!((report.status, report.warning), (DeliveryStatus::Done, None));
        let calls = receiver.calls();
        assert_eq!(calls.len(), 2 + usize::from(mentioned), "{end:?} {history:?} {mention_on:?}");
        for quiet in &calls[..2] {
            assert_eq!(quiet.body["allowed_mentions"], serde_json::json!({ "parse": [] }));
        }
        if let Some(loud) = calls.get(2) {
            let (content, mentions) = (loud.body["content"].as_str().expect("text"), &loud.body["allowed_mentions"]);
            assert!(content.starts_with("<@80351110224678912> <@&165511591545143296> "), "{content}");
            assert!(content.ends_with("job/4567>"), "{content}");
            assert_eq!(mentions["users"], serde_json::json!(["80351110224678912"]));
            assert_eq!(mentions["roles"], serde_json::json!(["165511591545143296"]));
        }
        assert_all_right(&receiver);
    }
}

#[tokio::test]
async fn nobody_is_mentioned_without_a_message_or_twice() {
    let receiver = receiver().await;
    let only = NotifyOn::Kinds(PhaseKinds::default().and(PhaseKind::Success));
    let running = harness::begin(calling(&receiver.url()), Options { on: only, ..quick() }, End::Red);
    assert_eq!(running.end(FINAL_BUDGET).await.0.warning, None);
    assert_eq!(receiver.calls().len(), 0);

    let running = harness::begin(calling(&receiver.url()), quick(), End::Red);
    running.posted().await;
    receiver.fail_next([Fault::None, Fault::ResetAfter]);
    let (report, _) = running.end(FINAL_BUDGET).await;
    assert_eq!(report.status, DeliveryStatus::Done, "the message itself has arrived");
    let warning = report.warning.expect("a warning");
    assert!(warning.starts_with("Discord webhook: message sent, but nobody was mentioned: "), "{warning}");
    assert_eq!(receiver.calls().len(), 3);
}

#[tokio::test]
async fn a_change_is_sent_and_named() {
    for (end, failures, words) in [
        (End::Red, Some(0), Some("failed to build django · new failure")),
        (End::Red, Some(2), None),
        (End::Red, None, Some("failed to build django")),
        (End::Green, Some(2), Some("· fixed")),
        (End::Green, Some(0), None),
        (End::Green, None, None),
    ] {
        let receiver = receiver().await;
        let options = Options { on: NotifyOn::Change, ..quick() };
        let running = begin(&receiver.url(), options, end).after(failures);
        assert_eq!(running.end(FINAL_BUDGET).await.0.warning, None);
        let titles: Vec<String> =
            receiver.messages().iter().map(|m| m.embed()["title"].as_str().expect("a title").to_owned()).collect();
        assert_eq!(titles.len(), usize::from(words.is_some()), "{titles:?}");
        assert!(words.is_none_or(|words| titles[0].ends_with(words)), "{titles:?}");
    }
    let receiver = receiver().await;
    let running = begin(&receiver.url(), quick(), End::Red).after(Some(10));
    running.end(FINAL_BUDGET).await;
    let title = receiver.messages()[0].embed()["title"].to_string();
    assert!(title.contains("· 11th failure in a row"), "{title}");
}

#[tokio::test]
async fn every_webhook_gets_a_message() {
    let (one, two) = (receiver().await, receiver().await);
    let (_states, watching) = watch::channel(Arc::new(run(End::Green).swap_remove(3)));
    let notifier = notifier::start(vec![hook(&one.url()), hook(&two.url())], quick(), &watching);
    notifier.posted().wait_for(|all| all.iter().all(Option::is_some)).await.expect("posted");
    let reports = notifier.finish(Arc::new(run(End::Green).pop().expect("an end")), FINAL_BUDGET).await;
    assert!(reports.iter().all(|report| report.status == DeliveryStatus::Done), "{reports:?}");
    assert_eq!((colors(&one), colors(&two)), (vec![GREEN], vec![GREEN]));
}
