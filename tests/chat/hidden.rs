//! Secrets in untrusted texts: they are redacted wherever the text is shown, even with invisible characters between their
//! letters.

use std::time::Duration;

use build_deploy::{
    domain::{
        diagnostic::{Diagnostic, Place, Severity},
        event::{Event, ImageEvent, StepOutcome},
        failure::{Blame, Failure, Subject},
        outcome::RunOutcome,
        redact::Redactor,
        run::RunState,
        secret::Secret,
        stage::Stage,
    },
    events::Events,
    github::commands::StopToken,
    notify::{
        discord::{Discord, embed::Look, webhook::DiscordWebhook},
        message::Message,
        service::{Alert, Call, Content, DeliveryMode, Destination, Service},
        slack::{self, SlackBot},
        teams::Teams,
    },
    report::{
        comment,
        log::{Annotate, Log, Reader},
        summary::summary,
    },
};
use chrono::DateTime;
use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};
use serde_json::Value;

use crate::runs::{image, info};

/// Invisible text that a build can print between two letters.
const UNSEEN: &[&str] = &[
    "\0",
    "\x1b[31m",
    "\x1b[0m",
    "\x1b[1;38;5;208m",
    "\x1b[K",
    "\x1b[2J",
    "\x1b[?25l",
    "\x0b",
    "\x0c",
    "\x08",
    "\x07",
    "\x7f",
    "\x1b]0;title\x07",
    "\x1b]8;;https://evil.example\x1b\\",
    "\x1bP1$r0m\x1b\\",
    "\x1b(B",
    "\x1b7",
    "\x1b=",
    "\u{9b}31m",
    "\u{9d}0;title\u{9c}",
    "\u{84}",
    "\u{200b}",
    "\u{200c}",
    "\u{200d}",
    "\u{2060}",
    "\u{feff}",
    "\u{ad}",
    "\u{202e}",
    "\u{2066}",
    "\u{34f}",
    "\u{fe0f}",
    "\u{e0041}",
    "\u{fffd}",
];

/// All outputs that show untrusted text.
struct Shown {
    log: String,
    pages: [String; 2],
    messages: Vec<Value>,
}

/// The outputs of a run in which every untrusted text is this one.
fn shown(text: &str, redactor: Redactor) -> Shown {
    let (events, mut receiver) = Events::channel(redactor);
    let image_event = |event| Event::Image { image: "web".into(), event };
    let place = || Some(Place { file: text.to_owned(), line: 7, end_line: 9 });
    let failure = Failure {
        blame: Blame::World,
        stage: Stage::Build,
        subject: Subject::Image("web".into()),
        headline: text.to_owned(),
        hint: Some(text.to_owned()),
        place: place(),
        instruction: Some(format!("RUN {text}\n{text}")),
        exit_code: Some(1),
        log: vec![text.to_owned(); 3],
    };
    let warning =
        Diagnostic { severity: Severity::Warning, title: text.to_owned(), message: text.to_owned(), place: place() };
    let before = [
        Event::Note(text.to_owned()),
        Event::Diagnostic(warning),
        image_event(ImageEvent::Started),
        image_event(ImageEvent::StepStarted { step: 0, name: format!("[1/2] RUN {text}") }),
        image_event(ImageEvent::StepLog { step: 0, line: text.to_owned() }),
        image_event(ImageEvent::StepFinished {
            step: 0,
            outcome: StepOutcome::Failed(text.to_owned()),
            duration: Duration::from_secs(2),
        }),
        image_event(ImageEvent::Retrying { reason: text.to_owned(), attempt: 2, wait: Duration::from_secs(1) }),
        image_event(ImageEvent::StepStarted { step: 1, name: format!("[2/2] RUN {text}") }),
    ];
    let failed = [
        image_event(ImageEvent::Failed(Box::new(failure.clone()))),
        Event::Finished(RunOutcome::Failure(Box::new(failure))),
    ];
    let began = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
    let mut state = RunState::new(info(), began);
    state.images = vec![image("web", &["web"])];
    let mut log = Log::new(Vec::new(), Reader::Runner { token: StopToken::new([7; 16]), annotations: Annotate::Yes });
    let mut running = None;
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        for event in before.into_iter().chain(failed) {
            let is_end = matches!(event, Event::Image { event: ImageEvent::Failed(_), .. });
            events.emit(event).await;
            let event = receiver.recv().await.expect("an event");
            if is_end {
                running = Some(Message::of(&state));
            }
            state.apply(&event, began + chrono::Duration::seconds(3));
            log.event(&event).expect("is written");
        }
    });
    let webhook = DiscordWebhook::parse("https://proxy.example/api/v10/webhooks/1/token", None).expect("a webhook");
    let services: [Box<dyn Service>; 3] = [
        Box::new(Discord::new(webhook, Look::default(), DeliveryMode::Edit)),
        Box::new(SlackBot::new("https://slack.com/api", Secret::new("t"), "C1", slack::Look::default())),
        Box::new(Teams::parse("https://flow.example/x").expect("a workflow")),
    ];
    let messages = [running.expect("a message while it ran"), Message::of(&state)];
    let call = || Call::Create(Alert::Normal, Destination::Channel);
    let bodies = messages.iter().flat_map(|message| {
        services.iter().filter_map(move |service| service.request(call(), message, Content::Full).body)
    });
    Shown {
        log: String::from_utf8(log.into_sink()).expect("text"),
        pages: [summary(&state), comment::body("<!-- m -->", &state)],
        messages: bodies.collect(),
    }
}

/// The output as a reader sees it: entities are decoded, escapes and invisible characters are removed. Independent of the
/// code under test.
fn seen(output: &str) -> String {
    let entity = regex::Regex::new("&#([0-9]+);").expect("a pattern");
    let sequence = regex::Regex::new("\x1b\\[[0-9;:?]*[@-~]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)").expect("a pattern");
    let decoded = entity.replace_all(output, |found: &regex::Captures<'_>| {
        found[1].parse().ok().and_then(char::from_u32).unwrap_or_default().to_string()
    });
    let plain = sequence.replace_all(&decoded, "");
    let hidden = |c: char| {
        c == '\\'
            || c == '\u{fffd}'
            || (c.is_control() && !c.is_whitespace())
            || c == '\u{b}'
            || c == '\u{c}'
            || UNSEEN.iter().any(|one| one.chars().eq([c]))
    };
    let kept: String = plain.chars().filter(|c| !hidden(*c)).collect();
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn each_string(value: &Value, look: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => look(text),
        Value::Array(list) => list.iter().for_each(|inner| each_string(inner, look)),
        Value::Object(map) => map.values().for_each(|inner| each_string(inner, look)),
        _ => {}
    }
}

/// Checks that every output shows the text `a … b`, in which `written` is a form of the secret, without the secret.
fn check(secret: &str, written: &str) {
    let shown = shown(&format!("a {written} b"), Redactor::new(&[Secret::new(secret)]));
    let mut outputs: Vec<(&str, String)> = vec![("the log", shown.log)];
    outputs.extend(["the summary", "the comment"].into_iter().zip(shown.pages));
    for message in &shown.messages {
        let mut all = String::new();
        each_string(message, &mut |text| {
            all.push_str(text);
            all.push('\n');
        });
        outputs.push(("a message", all));
    }
    for (place, output) in outputs {
        let seen = seen(&output);
        assert!(!seen.contains(secret), "{secret:?}, written {written:?}, in {place}: {seen}");
        assert!(seen.contains("[redacted]"), "{written:?} is not in {place}: {seen}");
    }
}

#[test]
fn nothing_between_its_letters_shows_a_secret() {
    let secret = "canary-71c9 d2e0";
    let letters: Vec<String> = secret.chars().map(String::from).collect();
    for unseen in UNSEEN {
        check(secret, &letters.join(unseen));
        check(secret, &format!("canary{unseen}-71c9 d2e0"));
    }
    // UTF-16 in both byte orders, with byte order mark, read as UTF-8.
    check(secret, &format!("\u{fffd}\u{fffd}{}\0", letters.join("\0")));
    check(secret, &format!("\u{fffd}\u{fffd}\0{}", letters.join("\0")));
    check(secret, "canary-71c9 \t \u{a0}d2e0");
    check(secret, "canary-71c9\nd2e0");
    let hex: Vec<String> = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    for written in [hex.concat(), hex.join(" "), hex.join(":"), hex.concat().to_uppercase()] {
        check(secret, &written);
    }
}

/// A secret, and a writing of it with something unseen at each of some places.
fn written() -> impl Strategy<Value = (String, String)> {
    let unseen = prop_oneof![
        6 => prop::collection::vec(prop::sample::select(UNSEEN), 1..4).prop_map(|parts| parts.concat()),
        6 => prop::sample::select(vec![""]).prop_map(str::to_owned),
    ];
    ("[A-Za-z0-9][A-Za-z0-9-]{6,20}( [A-Za-z0-9]{3,9})?[A-Za-z0-9]", prop::collection::vec(unseen, 32), any::<bool>())
        .prop_map(|(secret, between, at_ends)| {
            let mut text = if at_ends { between[31].clone() } else { String::new() };
            for (c, unseen) in secret.chars().zip(&between) {
                text.push(c);
                text.push_str(unseen);
            }
            text.extend(secret.chars().skip(between.len()));
            (secret, text)
        })
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn no_secret_is_shown_anywhere((secret, written) in written()) {
        check(&secret, &written);
    }
}
