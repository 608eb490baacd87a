//! The Discord message of a real run: yellow, then its end, whatever happens to the run.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use stand_ins::{
    discord::{Call, Fault, Message, Receiver},
    runner::StageKind,
};

use crate::{
    lab::{self, Engine},
    run::{BASE, Run, line_with, log},
};

const YELLOW: u64 = 0xFE_E75C;
const GREEN: u64 = 0x57_F287;
const RED: u64 = 0xED_4245;
const GREY: u64 = 0x95_A5A6;

/// A Discord within reach of the engines' containers.
async fn discord() -> Receiver {
    let address: SocketAddr = format!("{}:0", lab::var("LAB_ADDR")).parse().unwrap();
    Receiver::listen(address).await.unwrap()
}

fn told(engine: Engine, discord: &Receiver, dockerfile: &str) -> Run {
    let webhook = discord.url();
    Run::new(engine, &[("compose.yaml", "services:\n  web: {build: .}\n"), ("Dockerfile", dockerfile)])
        .with("discord-webhook", &webhook)
        .secret(webhook.rsplit('/').next().unwrap())
}

/// The colours that the one message had, each once, and the message as it is.
#[track_caller]
fn course(discord: &Receiver) -> (Vec<u64>, Message) {
    let calls = discord.calls();
    for call in &calls {
        assert!(call.wrong.is_empty(), "{} {:#}: {:?}", call.method, call.body, call.wrong);
    }
    let mut colors: Vec<u64> = calls.iter().filter_map(color).collect();
    colors.dedup();
    let messages = discord.messages();
    let [message] = &messages[..] else { panic!("{} messages: {messages:#?}", messages.len()) };
    (colors, message.clone())
}

fn color(call: &Call) -> Option<u64> {
    call.body.pointer("/embeds/0/color")?.as_u64()
}

/// Waits until the channel has a message.
async fn posted(discord: &Receiver) {
    let mut changes = discord.changes();
    while discord.messages().is_empty() {
        changes.changed().await.unwrap();
    }
}

#[tokio::test]
async fn a_run_is_one_message_from_yellow_to_green() {
    for engine in Engine::ALL {
        let discord = discord().await;
        let run = told(engine, &discord, BASE);
        let report = run.expect(0).await;
        assert!(!run.step.action.needs_post(&report.variables), "{:?}", report.variables);
        let (colors, message) = course(&discord);
        assert_eq!(colors, [YELLOW, GREEN], "{engine:?}");
        assert_eq!(report.outputs["message-id"], message.id);
        let embed = message.embed();
        assert_eq!(embed["url"], report.outputs["run-url"]);
        assert!(embed["title"].as_str().unwrap().contains("succeeded"), "{embed:#}");
        let text = embed.to_string();
        let digest = &report.outputs["digest"]["sha256:".len()..][..12];
        for word in [digest, "sha-0123456", "latest", "web"] {
            assert!(text.contains(word), "{engine:?}: {word}: {embed:#}");
        }
    }
}

#[tokio::test]
async fn a_run_that_breaks_is_red_with_the_line_and_the_last_words() {
    for engine in Engine::ALL {
        let discord = discord().await;
        let dockerfile = format!("{BASE}RUN true\nRUN echo 'no such package: djagno' >&2 && \\\n    exit 3\n");
        let report = told(engine, &discord, &dockerfile).expect(1).await;
        let (colors, message) = course(&discord);
        assert_eq!(colors, [YELLOW, RED], "{engine:?}");
        let embed = message.embed();
        assert!(embed["title"].as_str().unwrap().contains("failed to build web"), "{embed:#}");
        let description = embed["description"].as_str().unwrap();
        for word in ["Dockerfile:3", "exit code 3", "no such package: djagno", "exit 3"] {
            assert!(description.contains(word), "{engine:?}: {word}: {description}\n{}", log(&report));
        }
    }
}

#[tokio::test]
async fn a_wrong_input_file_is_red_too() {
    let discord = discord().await;
    let run = told(Engine::C8d, &discord, BASE).with("compose-file", "nowhere.yml");
    run.expect(2).await;
    let (colors, message) = course(&discord);
    assert_eq!(colors.last(), Some(&RED));
    assert!(message.embed()["description"].as_str().unwrap().contains("nowhere.yml"), "{:#}", message.body);
}

#[tokio::test]
async fn a_cancelled_run_is_grey_within_two_seconds() {
    let discord = discord().await;
    let run = told(Engine::C8d, &discord, &format!("{BASE}RUN echo asleep-now && sleep 1000\n"));
    let (running, mut lines) = run.start();
    let container = running.container().to_owned();
    line_with(&mut lines, "    asleep-now").await;
    posted(&discord).await;
    let began = Instant::now();
    let report = running.cancel().await.unwrap();
    assert_eq!(report.exit_code, 130, "{}", log(&report));
    run.check(&report, &container);
    let (colors, message) = course(&discord);
    assert_eq!(colors, [YELLOW, GREY]);
    assert!(message.embed()["title"].as_str().unwrap().contains("cancelled"), "{:#}", message.body);
    let last = discord.calls().last().unwrap().at;
    assert!(last - began < Duration::from_secs(2), "{:?}", last - began);

    // Nothing is left to the post stage.
    let calls = discord.calls().len();
    let post = run.machine.start(&run.step, StageKind::Post, &report.state, None).unwrap().finish().await.unwrap();
    assert_eq!((post.exit_code, discord.calls().len()), (0, calls), "{}", log(&post));
}

#[tokio::test]
async fn the_post_stage_repairs_what_a_kill_left_yellow() {
    let discord = discord().await;
    let mut run = told(Engine::C8d, &discord, &format!("{BASE}RUN echo asleep-now && sleep 1000\n"));
    let (running, mut lines) = run.start();
    let container = running.container().to_owned();
    line_with(&mut lines, "    asleep-now").await;
    posted(&discord).await;
    run.engine.docker(&["kill", "--signal", "KILL", &container]);
    let report = running.finish().await.unwrap();
    assert_eq!(report.exit_code, 137, "{}", log(&report));
    assert!(run.step.action.needs_post(&report.variables), "{:?}", report.variables);
    assert_eq!(course(&discord).0, [YELLOW]);
    assert!(report.state.contains_key("messages"), "{:?}", report.state);

    run.step.expressions.insert("job.status".into(), "failure".into());
    let post = run.machine.start(&run.step, StageKind::Post, &report.state, None).unwrap().finish().await.unwrap();
    assert_eq!(post.exit_code, 0, "{}", log(&post));
    let (colors, message) = course(&discord);
    assert_eq!(colors, [YELLOW, GREY]);
    assert!(message.embed()["title"].as_str().unwrap().contains("interrupted"), "{:#}", message.body);
}

#[tokio::test]
async fn the_post_stage_says_how_a_run_ended_that_could_not() {
    for (last, status, job, color, word) in [
        ("RUN sleep 1", 0, "success", GREEN, "succeeded in"),
        ("RUN sleep 1 && exit 3", 1, "failure", RED, "failed to build web"),
    ] {
        for fault in [
            Fault::RateLimited { body: Some(30.0), header: Some(30.0) },
            Fault::error(500, 0, "500: Internal Server Error"),
            Fault::Hang,
            Fault::ResetBefore,
        ] {
            let discord = discord().await;
            // No two runs are the same, or there would be nothing to wait for.
            let mut run = told(Engine::C8d, &discord, &format!("{BASE}# {job} {fault:?}\n{last}\n"));
            let (running, _lines) = run.start();
            posted(&discord).await;
            discord.fail_next(vec![fault.clone(); 50]);
            let report = running.finish().await.unwrap();
            assert_eq!(report.exit_code, status, "{}", log(&report));
            assert!(run.step.action.needs_post(&report.variables), "{:?}", report.variables);
            assert_eq!(discord.messages()[0].embed()["color"], YELLOW, "{fault:?}: {}", log(&report));
            discord.heal();
            run.step.expressions.insert("job.status".into(), job.into());
            let post =
                run.machine.start(&run.step, StageKind::Post, &report.state, None).unwrap().finish().await.unwrap();
            assert_eq!(post.exit_code, 0, "{}", log(&post));
            let message = discord.messages().pop().unwrap();
            assert_eq!(message.embed()["color"], color, "{fault:?}: {}", log(&post));
            assert!(message.embed()["title"].as_str().unwrap().contains(word), "{:#}", message.body);
        }
    }
}

/// How long a run takes whose Discord meets these faults, one a call.
async fn seconds_with(faults: impl IntoIterator<Item = Fault>) -> f64 {
    let discord = discord().await;
    discord.fail_next(faults);
    let run = told(Engine::C8d, &discord, BASE);
    let began = Instant::now();
    let report = run.expect(0).await;
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(report.outputs["result"], "success");
    assert_eq!(report.console.of_kind("error").count(), 0, "{}", log(&report));
    seconds
}

#[tokio::test]
async fn a_discord_in_trouble_costs_no_run_more_than_five_seconds() {
    // The first also pulls the base image.
    seconds_with([]).await;
    let usual = seconds_with([]).await;
    for faults in [
        vec![Fault::Hang; 20],
        vec![Fault::unknown_webhook()],
        vec![Fault::RateLimited { body: Some(600.0), header: None }; 20],
        vec![Fault::bad_gateway(); 200],
        vec![Fault::ResetBefore; 200],
    ] {
        let name = format!("{:?}", faults[0]);
        let seconds = seconds_with(faults).await;
        // Two seconds more for the machine's own ups and downs.
        assert!(seconds < usual + 5.0 + 2.0, "{name}: {seconds:.1} s, without it {usual:.1} s");
    }
}

#[tokio::test]
async fn a_message_that_must_arrive_fails_the_step() {
    let discord = discord().await;
    discord.fail_next([Fault::unknown_webhook()]);
    let run = told(Engine::C8d, &discord, BASE).with("notify-strict", "true");
    let (running, _) = run.start();
    let report = running.finish().await.unwrap();
    assert_eq!(report.exit_code, 1, "{}", log(&report));
    assert!(log(&report).contains("webhook"), "{}", log(&report));
    assert_eq!(report.state.get("settled"), None, "{:?}", BTreeMap::from_iter(&report.state));
}
