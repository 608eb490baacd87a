//! Untrusted texts wherever they are shown: none becomes markup, and every message is valid for its service.

use std::{sync::LazyLock, time::Duration};

use build_deploy::{
    domain::{
        diagnostic::{Diagnostic, Place, Severity},
        event::{Event, ImageEvent, StepOutcome},
        failure::{Blame, Failure, Subject},
        outcome::RunOutcome,
        run::{ImageStatus, RunState, StepState},
        stage::Stage,
        tag::Tag,
    },
    github::commands::StopToken,
    notify::{
        discord::{Discord, Mentions, embed::Look, webhook::DiscordWebhook},
        message::{Message, Phase},
        service::{Alert, Call, Content, DeliveryMode, Destination, Posted, Service},
        slack::{self, SlackBot},
        teams::Teams,
    },
    report::{
        log::{Annotate, Log, Reader},
        summary::summary,
    },
};
use chrono::{DateTime, Utc};
use comrak::{Arena, Options, nodes::NodeValue, parse_document};
use proptest::prelude::{Strategy as _, any, prop, prop_oneof, proptest};
use serde_json::Value;
use stand_ins::{
    console::Console,
    discord::{
        markdown::{self, Node},
        rules::Rules,
    },
    slack::{mrkdwn, rules as slack_rules},
    teams::rules::Rules as TeamsRules,
};

use crate::runs::{End, image, result, run_from};

/// Known attacks in commit messages, titles, branch names and build logs.
const NASTY: &[&str] = &[
    r#""}],"content":"@everyone pwned","x":[{"y":""#,
    "fix: \"q\" \\ back\\nslash\r\n\ttab\u{0}\u{2028}second",
    "@everyone @here ship it",
    "<@80351110224678912> <@!80351110224678912> <@&165511591545143296>",
    "[](@everyone)",
    "[Approve deploy](https://evil.example/login)",
    "x](https://evil.example)[y",
    "`id` $(curl${IFS}evil) feat/a#b%2F\"on= __init__",
    "```\n**ROOT** @here",
    "</deploy:1> <#103735883630395392> <:a:1> <a:b:1> <t:0:R> <id:guide> <id:customize>",
    "# HUGE\n-# tiny\n> q\n||spoiler||\n1. a",
    "https://evil.example/x.png discord.gg/abc <https://evil.example> ftp://evil.example",
    "\u{202E}gnp.exe\u{200B}\u{2066}\x1b[31mred\x1b[0m\x1b]8;;http://e\x07",
    "::set-env name=PATH::/tmp",
    "::add-mask::e\n##[add-matcher]x\n%0A::error::x",
    "${{ secrets.T }} <%= process.env %> {{ .Env }} {{DATE(2017-02-14T06:08:39Z, SHORT)}} ${x} {{{TIME(x)}}}",
    "<!channel> <!here|x> <!subteam^S0614TZR7> <@U024BE7LH> <#C024BE91L|general> <https://evil|github.com> &lt;!here&gt;",
    "<!date^0^{ago}^https://evil.example|x> :tada: *b* _i_ ~s~ &amp;lt;",
    "<at>All</at> [x](javascript:alert(1)) ![x](https://evil.example/x.png) <img src=x onerror=alert(1)>",
    "dependabot[bot]",
    "\\",
    "\\[x\\](https://evil.example)",
    "*",
    "",
    " ",
    "\n\n\n",
    "\u{FE0F}\u{20E3}",
    "👩‍👩‍👧‍👦🇩🇪e\u{301}\u{301}\u{301}",
    "漢字かな交じり文",
    "-----BEGIN PRIVATE KEY-----",
    "javascript:alert(1)",
    "web\roverwritten",
    "\r ",
    "https://github.com@evil.example/",
];

const RUN: &str = "https://github.com/acme/shop/";

/// A run in which every text that others choose is `text`, in its states: building, pushing, green, red.
fn runs(text: &str, started: DateTime<Utc>) -> Vec<RunState> {
    let mut state = run_from(End::Green, started).swap_remove(0);
    let info = &mut state.info;
    for slot in [
        &mut info.repository,
        &mut info.workflow,
        &mut info.actor,
        &mut info.event_name,
        &mut info.ref_name,
        &mut info.subject,
    ] {
        text.clone_into(slot);
    }
    let place = || Some(Place { file: text.to_owned(), line: 7, end_line: 9 });
    let diagnostic =
        Diagnostic { severity: Severity::Warning, title: text.to_owned(), message: text.to_owned(), place: place() };
    state.diagnostics = vec![diagnostic; 2];
    let mut one = image(text, &[text, "web"]);
    one.destinations.tags = vec![Tag::repaired(text); 3];
    one.steps = vec![
        StepState {
            name: format!("[build 1/6] {text}"),
            began: Duration::ZERO,
            outcome: Some((StepOutcome::Cached, Duration::ZERO)),
        },
        StepState { name: format!("[{text} 2/6] {text}"), began: Duration::ZERO, outcome: None },
        StepState { name: text.to_owned(), began: Duration::ZERO, outcome: None },
    ];
    state.images = vec![one; 2];
    let with = |status: ImageStatus, outcome: Option<RunOutcome>| {
        let mut state = state.clone();
        state.images.iter_mut().for_each(|image| image.status = status.clone());
        state.outcome = outcome.map(|outcome| (outcome, Duration::from_secs(90)));
        state
    };
    let failure = Failure {
        blame: Blame::World,
        stage: Stage::Build,
        subject: Subject::Image(text.to_owned()),
        headline: text.to_owned(),
        hint: Some(text.to_owned()),
        place: place(),
        instruction: Some(format!("RUN {text}\n{text}")),
        exit_code: Some(1),
        log: vec![text.to_owned(); 12],
    };
    vec![
        with(ImageStatus::Building, None),
        with(ImageStatus::Pushing, None),
        with(ImageStatus::Done(Box::new(result(1, 2, 3, 4))), Some(RunOutcome::Success)),
        with(ImageStatus::Failed(Box::new(failure.clone())), Some(RunOutcome::Failure(Box::new(failure)))),
    ]
}

/// The messages of such runs, those with addresses that others chose among them.
fn messages(text: &str, started: DateTime<Utc>) -> Vec<Message> {
    let states = runs(text, started);
    let mut messages: Vec<Message> = states.iter().map(Message::of).collect();
    messages.extend([Message::external_job(&states[2]), Message::at(&states[3], Phase::RollbackFailed)]);
    let mut odd = states[3].clone();
    for slot in [&mut odd.info.run_url, &mut odd.info.job_url, &mut odd.info.commit_url] {
        // A server that calls itself something odd: the address may be dropped, but never becomes another.
        *slot = format!("{RUN}{text}");
    }
    messages.push(Message::of(&odd));
    messages
}

fn calls(posted: &Posted) -> [Call<'_>; 3] {
    [Call::Create(Alert::Silent, Destination::NewThread), Call::Edit(posted), Call::Mention(Some(posted))]
}

static CHECKS: LazyLock<Checks> = LazyLock::new(Checks::new);

struct Checks {
    started: DateTime<Utc>,
    discord: (Discord, &'static Rules),
    slack: SlackBot,
    teams: (Teams, &'static TeamsRules),
}

impl Checks {
    fn new() -> Self {
        let webhook = DiscordWebhook::parse("https://proxy.example/api/v10/webhooks/1/token", None).expect("a webhook");
        let mentions = Mentions { users: vec!["80351110224678900".into()], roles: vec!["80351110224678901".into()] };
        let discord = Discord::new(webhook, Look::default(), DeliveryMode::Edit).mentioning(mentions);
        let look =
            slack::Look { users: vec!["UOURS1234".into()], groups: vec!["SOURS1234".into()], ..Default::default() };
        Self {
            started: DateTime::from_timestamp(1_700_000_000, 0).expect("a time"),
            discord: (discord, Rules::get().expect("rules")),
            slack: SlackBot::new("https://slack.com/api", build_deploy::domain::secret::Secret::new("t"), "C1", look),
            teams: (Teams::parse("https://flow.example/x").expect("a flow"), TeamsRules::get().expect("rules")),
        }
    }

    fn check(&self, text: &str) {
        let messages = messages(text, self.started);
        let all = messages.iter().map(|message| (message, Content::Full));
        for (message, words) in all.chain(messages.last().map(|message| (message, Content::Minimal))) {
            self.discord(message, words, text);
            self.slack(message, words, text);
            self.teams(message, words, text);
        }
        let states = runs(text, self.started);
        page(&summary(&states[3]), text);
        log(&states[3], text);
    }

    fn discord(&self, message: &Message, content: Content, text: &str) {
        let (service, rules) = &self.discord;
        let posted = Posted { message_id: "1".into(), channel_id: None };
        for call in calls(&posted) {
            let request = service.request(call, message, content);
            let body = request.body.expect("a body");
            let wrong = rules.check_body(&request.method, &body);
            assert!(wrong.is_empty(), "{text:?}: {wrong:?}\n{body:#}");
            let is_mention = matches!(call, Call::Mention(_));
            let want = if is_mention {
                r#"{"parse":[],"roles":["80351110224678901"],"users":["80351110224678900"]}"#
            } else {
                r#"{"parse":[]}"#
            };
            assert_eq!(body["allowed_mentions"].to_string(), want);
            assert_eq!(body.get("content").is_some(), is_mention, "{text:?}");
            let mut marked = vec![body["content"].as_str().unwrap_or_default().to_owned()];
            let embed = &body["embeds"][0];
            for key in ["title", "description"] {
                marked.push(embed[key].as_str().unwrap_or_default().to_owned());
            }
            for field in embed["fields"].as_array().into_iter().flatten() {
                marked
                    .extend([&field["name"], &field["value"]].map(|part| part.as_str().unwrap_or_default().to_owned()));
            }
            for part in marked {
                self.discord_markup(&markdown::parse(&part), &part, text);
                no_foreign_link(&part, text);
            }
            for plain in [&embed["footer"]["text"], &body["thread_name"]] {
                let plain = plain.as_str().unwrap_or_default();
                assert!(!plain.contains("@everyone") && !plain.contains("@here"), "{text:?}: {plain}");
            }
        }
    }

    fn discord_markup(&self, nodes: &[Node], part: &str, text: &str) {
        for node in nodes {
            match node {
                Node::Mention(name) => {
                    assert!(
                        ["<@80351110224678900>", "<@&80351110224678901>"].contains(&name.as_str()),
                        "{text:?}: {part}"
                    );
                }
                Node::Link(_, url) => assert!(url.starts_with(RUN), "{text:?}: {part}"),
                Node::Time(moment) => assert_eq!(*moment, self.started.timestamp(), "{text:?}: {part}"),
                Node::Styled(markdown::Style::Bold, inner) => self.discord_markup(inner, part, text),
                Node::Styled(style, _) => panic!("{style:?} of {text:?}: {part}"),
                Node::Text(_) | Node::Break | Node::Code(_) | Node::Fence(..) => {}
            }
        }
    }

    fn slack(&self, message: &Message, content: Content, text: &str) {
        let posted = Posted { message_id: "1.2".into(), channel_id: Some("C1".into()) };
        for call in calls(&posted) {
            let request = self.slack.request(call, message, content);
            let body = request.body.expect("a body");
            let kind = match call {
                Call::Edit(_) => slack_rules::Kind::Update,
                _ => slack_rules::Kind::Post,
            };
            assert_eq!(slack_rules::check(&body, kind), [], "{text:?}: {body:#}");
            let mut marked = vec![body["text"].as_str().expect("text").to_owned()];
            each_object(&body, &mut |object| {
                if object.get("type").is_some_and(|kind| kind == "mrkdwn") {
                    marked.push(object["text"].as_str().expect("text").to_owned());
                }
                marked.extend(object.get("fallback").and_then(Value::as_str).map(str::to_owned));
            });
            for part in marked {
                self.slack_markup(&mrkdwn::parse(&part), matches!(call, Call::Mention(_)), &part, text);
            }
        }
    }

    fn slack_markup(&self, nodes: &[mrkdwn::Node], mentions: bool, part: &str, text: &str) {
        use mrkdwn::{Node, Style};
        for node in nodes {
            match node {
                Node::Mention(name) => {
                    let ours = ["@UOURS1234", "!subteam^SOURS1234"].contains(&name.as_str());
                    assert!(mentions && ours, "{text:?}: {part}");
                }
                Node::Link(_, url) => assert!(url.starts_with(RUN), "{text:?}: {part}"),
                Node::Time(moment, _) => assert_eq!(*moment, self.started.timestamp(), "{text:?}: {part}"),
                Node::Styled(Style::Bold, inner) => self.slack_markup(inner, mentions, part, text),
                Node::Styled(style, _) => panic!("{style:?} of {text:?}: {part}"),
                Node::Emoji(name) => panic!("{name} of {text:?}: {part}"),
                Node::Text(_) | Node::Break | Node::Code(_) | Node::Fence(_) => {}
            }
        }
    }

    fn teams(&self, message: &Message, content: Content, text: &str) {
        let (service, rules) = &self.teams;
        let request = service.request(Call::Create(Alert::Normal, Destination::Channel), message, content);
        let body = request.body.expect("a body");
        let size = serde_json::to_vec(&body).expect("JSON").len();
        assert_eq!(rules.check(&body, size), [""; 0], "{text:?}: {body:#}");
        each_object(&body, &mut |object| {
            // The one element whose text is markup.
            assert_ne!(object.get("type"), Some(&"TextBlock".into()), "{text:?}");
            if let Some(url) = object.get("url").and_then(Value::as_str) {
                assert!(url.starts_with(RUN), "{text:?}: {url}");
            }
            let shown = object.get("text").and_then(Value::as_str).unwrap_or_default();
            assert!(!shown.contains("{{") && !shown.contains("${"), "{text:?}: {shown}");
        });
    }
}

fn each_object(value: &Value, look: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            look(map);
            map.values().for_each(|inner| each_object(inner, look));
        }
        Value::Array(list) => list.iter().for_each(|inner| each_object(inner, look)),
        _ => {}
    }
}

/// A reader that is not ours: what `CommonMark` takes for a link, Discord may.
fn no_foreign_link(part: &str, text: &str) {
    let arena = Arena::new();
    let document = parse_document(&arena, part, &Options::default());
    for node in document.descendants() {
        match &node.data.borrow().value {
            NodeValue::Link(link) => assert!(link.url.starts_with(RUN), "{text:?}: {part}"),
            NodeValue::Image(link) => panic!("{} of {text:?}: {part}", link.url),
            // Discord knows no HTML; its own `<…>` are the other reader's.
            _ => {}
        }
    }
}

/// The job page, read as GitHub does.
fn page(page: &str, text: &str) {
    let arena = Arena::new();
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.autolink = true;
    let document = parse_document(&arena, page, &options);
    for node in document.descendants() {
        match &node.data.borrow().value {
            NodeValue::Link(link) => assert!(link.url.starts_with(RUN), "{text:?}: {}", link.url),
            NodeValue::Image(link) => panic!("{} of {text:?}", link.url),
            _ => {}
        }
    }
}

/// The log and its annotations, read as the runner does: with any text the same commands as with a plain one.
fn log(state: &RunState, text: &str) {
    let seen = |text: &str| {
        let event = |event| Event::Image { image: text.to_owned(), event };
        let events = [
            event(ImageEvent::Started),
            event(ImageEvent::StepStarted { step: 0, name: text.to_owned() }),
            event(ImageEvent::StepLog { step: 0, line: text.to_owned() }),
            event(ImageEvent::StepFinished {
                step: 0,
                outcome: StepOutcome::Failed(text.to_owned()),
                duration: Duration::ZERO,
            }),
            event(ImageEvent::Retrying { reason: text.to_owned(), attempt: 2, wait: Duration::ZERO }),
        ];
        let reader = Reader::Runner { token: StopToken::new([7; 16]), annotations: Annotate::Yes };
        let mut log = Log::new(Vec::new(), reader);
        let running = state.diagnostics.iter().cloned().map(Event::Diagnostic);
        let end = state.outcome.iter().map(|(outcome, _)| Event::Finished(outcome.clone()));
        for event in events.into_iter().chain(running).chain(end) {
            log.event(&event).expect("is written");
        }
        let mut console = Console::default();
        console.feed(0, &log.into_sink(), |_| {});
        console.finish()
    };
    let outcome = seen(text);
    assert!(outcome.refused.is_empty() && outcome.masks.is_empty(), "{text:?}: {outcome:?}");
    for annotation in &outcome.annotations {
        let names: Vec<&str> = annotation.properties.iter().map(|(name, _)| name.as_str()).collect();
        assert!(
            names.iter().all(|name| ["file", "line", "endLine", "title"].contains(name)),
            "{text:?}: {annotation:?}"
        );
    }
    // The warnings, and the failure.
    let kinds: Vec<&str> = outcome.annotations.iter().map(|annotation| annotation.kind.as_str()).collect();
    let (errors, others): (Vec<&str>, Vec<&str>) = kinds.into_iter().partition(|kind| *kind == "error");
    assert!(errors.len() <= 1 && others.len() <= 2 && others.iter().all(|kind| *kind == "warning"), "{text:?}");
}

#[test]
fn nasty_texts_act_nowhere() {
    for text in NASTY {
        CHECKS.check(text);
    }
    // Cut wherever it may be: no escape, entity or fence is left half.
    for length in [60, 140, 256, 400] {
        for text in ["<@!&`*_[](x)@everyone", "😀", "&", "\\", "👩‍👩‍👧‍👦", "e\u{301}\u{301}", "@here "]
        {
            CHECKS.check(&text.repeat(length / text.chars().count() + 1));
        }
    }
}

/// 300 images with 40 long tags each, and a failure with pages of log: every message is still within its service's
/// limits, and something of each part is left.
#[test]
fn a_huge_run_fits_everywhere() {
    for count in [1_usize, 5, 21, 60, 300] {
        let mut state = run_from(End::Green, CHECKS.started).swap_remove(0);
        let tags: Vec<Tag> = (0..40).map(|tag| Tag::repaired(&format!("tag-{tag}-{}", "x".repeat(60)))).collect();
        state.images = (0..count).map(|n| image(&format!("service-{n}-{}", "y".repeat(80)), &["a", "b"])).collect();
        for image in &mut state.images {
            image.destinations.tags.clone_from(&tags);
            image.status = ImageStatus::Done(Box::new(result(61_240_112, 41, 3, 5)));
        }
        let mut failure = Failure::new(Stage::Build, "😀".repeat(5000), Some("h".repeat(5000)));
        failure.log = vec!["\u{10FFFF}\"\\ 漢字 <&>".repeat(100); 40];
        failure.instruction = Some("RUN \\\n".repeat(500));
        let red = RunOutcome::Failure(Box::new(failure));
        for outcome in [None, Some(RunOutcome::Success), Some(red)] {
            state.outcome = outcome.map(|outcome| (outcome, Duration::from_secs(5)));
            let message = Message::of(&state);
            CHECKS.discord(&message, Content::Full, "huge");
            CHECKS.slack(&message, Content::Full, "huge");
            CHECKS.teams(&message, Content::Full, "huge");
            let posted = Posted { message_id: "1".into(), channel_id: None };
            let services: [&dyn Service; 3] = [&CHECKS.discord.0, &CHECKS.slack, &CHECKS.teams.0];
            for service in services {
                let body =
                    service.request(Call::Edit(&posted), &message, Content::Full).body.expect("a body").to_string();
                assert!(body.contains("service-0"), "{count} images by {}", service.name());
                assert_eq!(body.contains("漢字"), message.failure.is_some(), "{count} images by {}", service.name());
            }
        }
    }
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(16))]

    #[test]
    fn no_text_acts_anywhere(parts in prop::collection::vec(prop_oneof![
        prop::sample::select(NASTY).prop_map(str::to_owned),
        prop::sample::select(vec!["<", ">", "@", "`", "```", "[", "]", "(", ")", "\\", "*", "_", "~", "|", ":", "&", "{", "$", "#",
            "!", "https://", "http://x.y", "a", " ", "\n", "\r", "\u{200B}", "everyone", "here", "amp;"]).prop_map(str::to_owned),
        any::<String>(),
    ], 0..12)) {
        CHECKS.check(&parts.concat());
    }
}
