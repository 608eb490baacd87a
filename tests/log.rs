//! The log, read the way GitHub's runner reads it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::{collections::BTreeMap, time::Duration};

use build_deploy::{
    domain::{
        diagnostic::{Diagnostic, Place, Severity},
        event::{Event, ImageEvent, ImageResult, StepOutcome},
        failure::{Blame, Failure, Subject},
        outcome::RunOutcome,
        secret::Secret,
        stage::Stage,
    },
    github::commands::StopToken,
    report::log::{Annotate, Log, Reader},
};

const TOKEN: [u8; 16] = [0xd7; 16];

/// The output as the runner interprets it.
#[derive(Debug, Default)]
struct Seen {
    /// Commands that it obeyed, other than groups and brackets.
    obeyed: Vec<String>,
    /// Titles of groups with their lines, in order.
    groups: Vec<(String, Vec<String>)>,
    /// Lines outside groups.
    open: Vec<String>,
}

/// Reads output as the runner does (`OutputManager.cs`, `ActionCommandManager.cs`, `ActionCommand.cs`): lines end at CR
/// and LF, both syntaxes are commands, and a stop token silences all but itself.
fn seen(output: &str) -> Seen {
    let mut seen = Seen::default();
    let mut stopped: Option<String> = None;
    let mut in_group = false;
    for line in output.split(['\n', '\r']) {
        let trimmed = line.trim_start();
        let v2 = trimmed.strip_prefix("::").and_then(|rest| rest.split_once("::"));
        let v1 = line.find("##[").and_then(|start| line[start + 3..].split_once(']'));
        let Some((head, data)) = v2.or(v1) else {
            match seen.groups.last_mut().filter(|_| in_group) {
                Some((_, lines)) => lines.push(line.to_owned()),
                None => seen.open.push(line.to_owned()),
            }
            continue;
        };
        match (&stopped, head) {
            (Some(token), head) if head == token => stopped = None,
            (Some(_), _) => panic!("text in a bracket that looks like a command: {line:?}"),
            (None, "stop-commands") => stopped = Some(data.to_owned()),
            (None, "group") => {
                assert!(!in_group, "groups do not nest: {line}");
                in_group = true;
                seen.groups.push((data.to_owned(), Vec::new()));
            }
            (None, "endgroup") => in_group = false,
            (None, _) => seen.obeyed.push(line.to_owned()),
        }
    }
    assert!(!in_group && stopped.is_none(), "all is closed at the end");
    seen
}

fn image(image: &str, event: ImageEvent) -> Event {
    Event::Image { image: image.to_owned(), event }
}

fn started(step: usize, name: &str) -> ImageEvent {
    ImageEvent::StepStarted { step, name: name.to_owned() }
}

fn said(step: usize, line: &str) -> ImageEvent {
    ImageEvent::StepLog { step, line: line.to_owned() }
}

fn ended(step: usize, outcome: StepOutcome) -> ImageEvent {
    ImageEvent::StepFinished { step, outcome, duration: Duration::from_millis(1234) }
}

fn finished() -> ImageEvent {
    ImageEvent::Finished(Box::new(ImageResult {
        digest: Some(format!("sha256:{}", "ab".repeat(32)).parse().unwrap()),
        size: Some(45_260_000),
        uploaded: true,
        pushed: false,
        loaded: Vec::new(),
        changed: None,
        platforms: vec!["linux/amd64".into()],
        steps: 5,
        cached: 3,
        duration: Duration::from_secs(65),
    }))
}

fn failure() -> Box<Failure> {
    Box::new(Failure {
        blame: Blame::World,
        stage: Stage::Build,
        subject: Subject::Image("django".into()),
        headline: "pip install failed".into(),
        hint: Some("pin the version".into()),
        place: Some(Place { file: "compose/django/Dockerfile".into(), line: 23, end_line: 24 }),
        instruction: Some("RUN pip install -r requirements.txt".into()),
        exit_code: Some(1),
        log: vec!["No matching distribution".into(), "::error::evil ##[add-mask]x".into()],
    })
}

fn written(reader: Reader, events: &[Event]) -> String {
    let mut log = Log::new(Vec::new(), reader);
    for event in events {
        log.event(event).unwrap();
    }
    String::from_utf8(log.into_sink()).unwrap()
}

fn runner(annotations: Annotate) -> Reader {
    Reader::Runner { token: StopToken::new(TOKEN), annotations }
}

fn on_github(events: &[Event]) -> Seen {
    seen(&written(runner(Annotate::Yes), events))
}

#[test]
fn each_image_has_one_group() {
    let log = on_github(&[
        Event::StageStarted(Stage::Build),
        image("django", ImageEvent::Started),
        image("docs", ImageEvent::Started),
        image("docs", started(0, "[1/2] FROM docker.io/library/python")),
        image("django", started(0, "[1/5] FROM docker.io/library/python")),
        image("docs", ended(0, StepOutcome::Cached)),
        image("django", ended(0, StepOutcome::Cached)),
        image("django", started(1, "[2/5] RUN pip install django")),
        image("docs", finished()),
        image("django", said(1, "Collecting django")),
        image("django", ended(1, StepOutcome::Done)),
        image("django", ImageEvent::Pushing),
        image("django", ImageEvent::Retrying { reason: "reset".into(), attempt: 2, wait: Duration::from_secs(1) }),
        image("django", finished()),
        Event::Finished(RunOutcome::Success),
    ]);
    let result = format!("built and uploaded, 1m 05s, 3 of 5 steps cached, 45.2 MB, sha256:{}", "ab".repeat(32));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        log.groups,
        [
            (
                "django".to_owned(),
                lines(
                    "[1/5] FROM docker.io/library/python\n[1/5] CACHED\n[2/5] RUN pip install django\n    Collecting django\n\
                     [2/5] DONE 1.2s\nuploading\nreset; retrying in 1.0s (attempt 2)"
                )
            ),
            ("docs".to_owned(), lines("[1/2] FROM docker.io/library/python\n[1/2] CACHED")),
        ]
    );
    let open: Vec<&str> = log.open.iter().map(String::as_str).filter(|line| !line.is_empty()).collect();
    assert_eq!(open, ["» build", &format!("✓ django: {result}"), &format!("✓ docs: {result}")]);
    assert!(log.obeyed.is_empty());
}

#[test]
fn the_first_image_is_printed_live() {
    let mut log = Log::new(Vec::new(), Reader::Person);
    log.event(&image("a", started(0, "[1/1] RUN slow"))).unwrap();
    log.event(&image("a", said(0, "first words"))).unwrap();
    let so_far = String::from_utf8(log.into_sink()).unwrap();
    assert_eq!(so_far, "── a ──\n[1/1] RUN slow\n    first words\n");
}

#[test]
fn lines_of_parallel_steps_name_their_step() {
    let log = on_github(&[
        image("a", started(0, "[x 1/2] RUN one")),
        image("a", started(1, "[y 1/2] RUN two")),
        image("a", said(0, "from one")),
        image("a", said(0, "from one again")),
        image("a", said(1, "from two")),
        image("a", ImageEvent::Cancelled),
        Event::Finished(RunOutcome::Cancelled),
    ]);
    assert_eq!(
        log.groups[0].1,
        [
            "[x 1/2] RUN one",
            "[y 1/2] RUN two",
            "[x 1/2] …",
            "    from one",
            "    from one again",
            "[y 1/2] …",
            "    from two"
        ]
    );
}

/// Events of a run in which `django` fails while `docs` builds. The first to begin is printed live.
fn failing(first: &str, second: &str) -> Vec<Event> {
    vec![
        image(first, ImageEvent::Started),
        image(second, ImageEvent::Started),
        image("docs", started(0, "[1/1] RUN make html")),
        image("django", started(0, "[4/7] RUN pip install -r requirements.txt")),
        image("django", said(0, "No matching distribution")),
        image("django", ended(0, StepOutcome::Failed("exit code 1".into()))),
        image("django", ImageEvent::Failed(failure())),
        image("docs", said(0, "reading sources")),
        image("docs", ImageEvent::Cancelled),
        Event::Finished(RunOutcome::Failure(failure())),
    ]
}

#[test]
fn failed_images_are_printed_last() {
    for (first, second, groups) in [
        ("docs", "django", &["docs", "django"][..]),
        ("django", "docs", &["django", "docs", "django: [4/7] RUN pip install -r requirements.txt"]),
    ] {
        let output = written(runner(Annotate::Yes), &failing(first, second));
        let log = seen(&output);
        assert_eq!(log.groups.iter().map(|(title, _)| title.as_str()).collect::<Vec<_>>(), groups);
        let last = &log.groups.last().unwrap().1;
        let end = ["    No matching distribution", "[4/7] FAILED 1.2s: exit code 1"];
        assert_eq!(last[last.len() - 2..], end);
        let end = output.rsplit("::endgroup::\n").next().unwrap();
        let want = [
            "✗ build of django failed: pip install failed",
            "  compose/django/Dockerfile:23",
            "  RUN pip install -r requirements.txt",
            "  exit code 1",
            "  │ No matching distribution",
            "  → pin the version",
        ];
        let mut rest = end;
        for line in want {
            let (_, after) =
                rest.split_once(line).unwrap_or_else(|| panic!("{line} is not in, or not in order: {end}"));
            rest = after;
        }
    }
}

#[test]
fn the_failure_is_annotated_on_its_line() {
    let log = on_github(&failing("docs", "django"));
    assert_eq!(
        log.obeyed,
        ["::error file=compose/django/Dockerfile,line=23,endLine=24,title=build of django failed::\
          pip install failed%0A:\u{200b}:error::evil #\u{200b}#[add-mask]x%0ARUN pip install -r requirements.txt%0Aexit code 1%0Apin the version"]
    );
    let log = seen(&written(runner(Annotate::No), &failing("docs", "django")));
    assert!(log.obeyed.is_empty());
}

#[test]
fn diagnostics_are_printed_once() {
    let warning = Diagnostic {
        severity: Severity::Warning,
        title: "LegacyKeyValueFormat".into(),
        message: "use ENV key=value".into(),
        place: Some(Place { file: "Dockerfile".into(), line: 3, end_line: 3 }),
    };
    let events = [Event::Diagnostic(warning.clone()), Event::Diagnostic(warning), Event::Finished(RunOutcome::Success)];
    assert_eq!(
        on_github(&events).obeyed,
        ["::warning file=Dockerfile,line=3,endLine=3,title=LegacyKeyValueFormat::use ENV key=value"]
    );
    let plain = "warning: LegacyKeyValueFormat: use ENV key=value (Dockerfile:3)\n";
    assert_eq!(written(Reader::Person, &events), plain);
    assert_eq!(written(runner(Annotate::No), &events), plain);
}

#[test]
fn build_output_executes_no_commands() {
    let token = TOKEN.map(|byte| format!("{byte:02x}")).concat();
    let evil = [
        "::set-output name=digest::evil",
        "x ##[add-mask]a",
        "50%\r::save-state name=a::b",
        "\u{a0}::add-matcher::/github/workspace/m.json",
        "::stop-commands::x",
        "::endgroup::",
        "##[endgroup]",
        "::pause-logging::",
        "::set-env name=a::b",
        &format!("::{token}::"),
        &format!("a ##[{token}]"),
    ];
    let mut events = vec![image("::group::a", ImageEvent::Started), image("::error::b", ImageEvent::Started)];
    for name in ["::group::a", "::error::b"] {
        events.push(image(name, started(0, "[1/1] RUN ::error::x\n::error::y")));
        events.extend(evil.iter().map(|line| image(name, said(0, line))));
        events.push(image(name, ended(0, StepOutcome::Failed("::error::z".into()))));
        let mut failure = failure();
        failure.subject = Subject::Image(name.into());
        failure.headline = "##[error]x".into();
        failure.instruction = Some("RUN x\r::error::y".into());
        failure.log = evil.iter().map(ToString::to_string).collect();
        events.push(image(name, ImageEvent::Failed(failure.clone())));
        if name == "::error::b" {
            events.push(Event::Finished(RunOutcome::Failure(failure)));
        }
    }
    let log = on_github(&events);
    assert_eq!(log.obeyed.len(), 1, "our own annotation only: {:?}", log.obeyed);
    assert!(log.obeyed[0].starts_with("::error file=compose/django/Dockerfile,line=23"));
    assert_eq!(log.groups.len(), 2);
    assert!(log.groups[0].1.iter().any(|line| line.contains("set-output name=digest")), "the text is still there");
}

#[test]
fn secrets_are_masked_even_while_a_group_is_open() {
    let mut log = Log::new(Vec::new(), runner(Annotate::Yes));
    log.mask(&Secret::new("first%secret")).unwrap();
    log.event(&image("a", ImageEvent::Started)).unwrap();
    log.event(&Event::SecretLearned(Secret::new("second"))).unwrap();
    log.event(&image("a", said(0, "x"))).unwrap();
    log.event(&Event::Finished(RunOutcome::Success)).unwrap();
    let log = seen(&String::from_utf8(log.into_sink()).unwrap());
    assert_eq!(log.obeyed, ["::add-mask::first%25secret", "::add-mask::second"]);
    let mut log = Log::new(Vec::new(), Reader::Person);
    log.mask(&Secret::new("never shown")).unwrap();
    assert!(log.into_sink().is_empty());
}

#[test]
fn a_buffered_image_keeps_its_beginning_and_end() {
    let mut events = vec![image("live", ImageEvent::Started), image("loud", started(0, "[1/1] RUN loud"))];
    let line = "x".repeat(1000);
    events.extend((0..5000).map(|number| image("loud", said(0, &format!("{number} {line}")))));
    events.extend([image("loud", finished()), image("live", finished()), Event::Finished(RunOutcome::Success)]);
    let log = on_github(&events);
    let groups: BTreeMap<_, _> = log.groups.into_iter().collect();
    let lines = &groups["loud"];
    assert!(lines.iter().map(String::len).sum::<usize>() < 1 << 20);
    let gap = lines.iter().position(|line| line.ends_with("lines omitted …")).unwrap();
    let omitted: usize = lines[gap].split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(omitted + lines.len() - 2, 5000);
    assert!(lines[1].starts_with("    0 ") && lines[lines.len() - 1].starts_with("    4999 "));
}

#[test]
fn a_cancelled_run_leaves_no_group_open() {
    let log = on_github(&[
        image("a", started(0, "[1/1] RUN sleep")),
        image("b", started(0, "[1/1] RUN sleep")),
        Event::Finished(RunOutcome::Cancelled),
    ]);
    assert_eq!(log.groups.len(), 2);
    assert!(log.open.iter().any(|line| line.starts_with("cancelled")));
    let log = on_github(&[Event::Finished(RunOutcome::TimedOut)]);
    assert!(log.open[0].contains("`timeout`"));
}
