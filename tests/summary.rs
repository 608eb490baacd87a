//! The job summary and the outputs, read by parsers that are not ours: comrak (GitHub's Markdown) and `serde_json`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{sync::LazyLock, time::Duration};

use build_deploy::{
    domain::{
        deployment::{Deployment, DeploymentOutcome},
        destinations::Destinations,
        diagnostic::{Diagnostic, Place, Severity},
        event::{ImageResult, Previous, StepOutcome},
        failure::{Blame, Failure, Subject},
        history::History,
        outcome::RunOutcome,
        publication::{Publication, TagResult, TagState},
        repository::Repository,
        run::{ImageState, ImageStatus, RunInfo, RunState, StepState},
        stage::Stage,
        tag::Tag,
    },
    report::{
        comment,
        outputs::{OUTPUTS, outputs},
        summary::{LONGEST, summary},
    },
};
use comrak::{Arena, Options, nodes::NodeValue, parse_document};
use proptest::prelude::{any, prop, proptest};

fn result() -> ImageResult {
    ImageResult {
        digest: Some(format!("sha256:{}", "ab".repeat(32)).parse().unwrap()),
        size: Some(45_260_000),
        uploaded: true,
        pushed: true,
        loaded: Vec::new(),
        changed: Some(true),
        platforms: vec!["linux/amd64".into()],
        steps: 5,
        cached: 3,
        duration: Duration::from_millis(65_432),
    }
}

fn done() -> ImageStatus {
    ImageStatus::Done(Box::new(result()))
}

fn image(name: &str, status: ImageStatus) -> ImageState {
    let repository = format!("ghcr.io/o/r/{name}");
    let tags = ["main", "sha-0123456"].map(|tag| TagResult {
        repository: repository.clone(),
        tag: tag.to_owned(),
        state: TagState::Moved,
    });
    let publication = Publication { digest: result().digest, changed: Some(true), size: None, tags: tags.into() };
    ImageState {
        publication: Some(publication).filter(|_| matches!(status, ImageStatus::Done(_))),
        name: name.into(),
        services: vec![name.into(), "celeryworker".into()],
        destinations: Destinations {
            // The name need not be a valid path.
            repository: Repository::parse(&repository)
                .unwrap_or_else(|_| Repository::parse("ghcr.io/o/r/web").unwrap()),
            copies: Vec::new(),
            tags: ["main", "sha-0123456"].map(Tag::repaired).into(),
        },
        status,
        publishes: true,
        steps: Vec::new(),
        pushing: None,
        ended: None,
        previous: Some(Previous {
            digest: Some(format!("sha256:{}", "cd".repeat(32)).parse().unwrap()),
            size: Some(43_960_000),
        }),
    }
}

fn step(name: &str, began: u64, outcome: Option<(StepOutcome, u64)>) -> StepState {
    let outcome = outcome.map(|(outcome, seconds)| (outcome, Duration::from_secs(seconds)));
    StepState { name: name.into(), began: Duration::from_secs(began), outcome }
}

fn failure(text: &str) -> Box<Failure> {
    Box::new(Failure {
        blame: Blame::World,
        stage: Stage::Build,
        subject: Subject::Image(text.into()),
        headline: text.into(),
        hint: Some(text.into()),
        place: Some(Place { file: text.into(), line: 7, end_line: 7 }),
        instruction: Some(text.into()),
        exit_code: Some(1),
        log: vec![text.into(); 3],
    })
}

fn run(images: Vec<ImageState>, outcome: RunOutcome) -> RunState {
    let info = RunInfo {
        ref_name: "main".into(),
        sha: "0123456789".into(),
        subject: "Serve the site".into(),
        run_url: "https://github.com/o/r/actions/runs/1/attempts/1".into(),
        ..RunInfo::default()
    };
    let mut run = RunState::new(info, "2026-03-04T05:06:07Z".parse().unwrap());
    run.images = images;
    run.outcome = Some((outcome, Duration::from_millis(83_250)));
    run
}

fn options() -> Options<'static> {
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.strikethrough = true;
    options.extension.tasklist = true;
    options.extension.footnotes = true;
    options.extension.math_dollars = true;
    options.extension.alerts = true;
    options
}

/// The kinds of nodes that GitHub makes of a page, in order, without texts.
fn skeleton(page: &str) -> Vec<String> {
    let arena = Arena::new();
    let document = parse_document(&arena, page, &options());
    document
        .descendants()
        .filter_map(|node| match &node.data.borrow().value {
            NodeValue::Text(_) | NodeValue::SoftBreak => None,
            NodeValue::HtmlInline(html) => Some(format!("html {html}")),
            NodeValue::CodeBlock(block) => Some(format!("block {}", block.info)),
            other => Some(format!("{other:?}").split(['(', ' ', '{']).next().unwrap_or_default().to_owned()),
        })
        .collect()
}

/// The page's text as it is read, cell by cell.
fn visible(page: &str) -> String {
    let arena = Arena::new();
    let document = parse_document(&arena, page, &options());
    let mut text = String::new();
    for node in document.descendants() {
        match &node.data.borrow().value {
            NodeValue::Text(part) => text.push_str(part),
            NodeValue::CodeBlock(block) => text.push_str(&block.literal),
            NodeValue::TableCell => text.push_str(" | "),
            NodeValue::TableRow(_) | NodeValue::Paragraph | NodeValue::Heading(_) | NodeValue::Item(_) => {
                text.push('\n');
            }
            _ => {}
        }
    }
    text
}

#[test]
fn the_summary_of_a_success_shows_the_images() {
    let images = vec![image("django", done()), image("docs", done())];
    let page = summary(&run(images, RunOutcome::Success));
    let text = visible(&page);
    assert!(text.contains("✅ Built and pushed in 1m 23s"), "{text}");
    let row = " | django | django celeryworker | main sha-0123456 | sha256:abababababab | 45.2 MB (+1.3 MB) | 1m 05s | 3/5 | \
               pushed, changed";
    assert!(text.contains(row), "{text}");
    assert!(text.contains("docker pull ghcr.io/o/r/django:main\ndocker pull ghcr.io/o/r/docs:main\n"), "{text}");
}

#[test]
fn the_summary_of_a_failure_shows_the_cause() {
    let failure = failure("pip install failed");
    let images = vec![image("django", ImageStatus::Failed(failure.clone())), image("docs", ImageStatus::Cancelled)];
    let text = visible(&summary(&run(images, RunOutcome::Failure(failure))));
    for part in ["❌ Failed in 1m 23s", "at pip install failed:7", "exit code 1", "| failed", "| cancelled"] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    assert!(!text.contains("docker pull"));
}

/// A page on which every text that others choose is `text`.
fn page_of(text: &str) -> String {
    summary(&run_of(text))
}

fn run_of(text: &str) -> RunState {
    let mut odd = image("x", ImageStatus::Failed(failure(text)));
    odd.name = text.into();
    odd.services = vec![text.into()];
    for head in ["[2/5]", "[build 3/5]", ""] {
        odd.steps.push(step(&format!("{head} {text}"), 1, Some((StepOutcome::Done, 9))));
    }
    odd.steps.push(step(&format!("[{text} 4/5] RUN x"), 2, None));
    odd.steps.push(step(text, 3, Some((StepOutcome::Failed(text.into()), 9))));
    let mut run = run(vec![odd], RunOutcome::Failure(failure(text)));
    run.deployments = vec![Deployment {
        place: text.into(),
        url: Some(format!("https://x.example/{text}")),
        id: Some(7),
        outcome: DeploymentOutcome::Failure,
    }];
    run.info.subject = text.into();
    run.info.ref_name = text.into();
    let place = Some(Place { file: text.into(), line: 1, end_line: 1 });
    run.diagnostics.push(Diagnostic { severity: Severity::Warning, title: text.into(), message: text.into(), place });
    run
}

/// The structure without further lines of a headline, which are code of their own after a line break.
fn without_breaks(skeleton: &[String]) -> Vec<String> {
    let mut kept = Vec::with_capacity(skeleton.len());
    let mut rest = skeleton;
    while let Some((first, more)) = rest.split_first() {
        if let ("html <br>", [code, end, after @ ..]) = (first.as_str(), more) {
            assert_eq!((code.as_str(), end.as_str()), ("html <code>", "html </code>"));
            rest = after;
        } else {
            kept.push(first.clone());
            rest = more;
        }
    }
    kept
}

#[test]
fn untrusted_text_is_escaped() {
    let plain = skeleton(&page_of("plain words"));
    let plain_comment = skeleton(&comment::body("<!-- m -->", &run_of("plain words")));
    for evil in [
        "| a | b |",
        r"\| a \\| b",
        "</code><img src=x onerror=alert(1)><code>",
        "```\n# title\n```",
        "~~~~\n</details>",
        "@everyone and #1 and GH-2 and a@example.org",
        "https://evil.example www.evil.example ftp://evil.example mailto:a@example.org",
        "[link](https://evil.example) ![image](x) <https://evil.example>",
        "**bold** _em_ ~~gone~~ `code` $x$ $$y$$ [^1] [x]: y",
        "&lt;b&gt; &amp; &#60;",
        "<!-- comment",
        "- [ ] task\n> quote\n1. list\n    indented",
        "> [!WARNING]\n> x",
        "\u{1b}[31mred\u{1b}[0m",
        ":tada: \u{202e}abc",
    ] {
        let page = page_of(evil);
        assert_eq!(without_breaks(&skeleton(&page)), plain, "{evil}\n{page}");
        let body = comment::body("<!-- m -->", &run_of(evil));
        assert_eq!(without_breaks(&skeleton(&body)), plain_comment, "{evil}\n{body}");
    }
    let text = visible(&page_of("a|b <i> @x `y`"));
    assert!(text.replace('\u{200b}', "").contains(" | a|b <i> @x `y` |"), "{text}");
}

proptest! {
    #[test]
    fn no_text_changes_the_structure_of_the_page(text in any::<String>(), parts in prop::collection::vec(prop::sample::select(vec![
        "|", "\\", "`", "```", "~~~", "<", ">", "b>", "&", "#", "*", "_", "@", "a", "www.", "https://x.y", "\n", "\r", " ",
        "    ", "- ", "[", "]", "(", ")", "!", "$", ":", "<!--", "-->", "]]>", "\u{0}", "\u{1b}[", "m", "é"]), 1..16)) {
        let plain = skeleton(&page_of("x"));
        for text in [text, parts.concat()] {
            let text = format!("x{text}");
            let page = page_of(&text);
            assert_eq!(without_breaks(&skeleton(&page)), plain, "{text:?}");
            check_chart(chart(&page).unwrap());
        }
    }
}

/// The Mermaid chart of a page.
fn chart(page: &str) -> Option<&str> {
    page.split_once("\n```mermaid\n")?.1.split_once("```\n").map(|(chart, _)| chart)
}

static LINE: LazyLock<regex::Regex> = LazyLock::new(|| {
    let name = "(push|· [^:;#%{}<>`\\n]+|[0-9]+/[0-9]+ [^:;#%{}<>`\\n]+)";
    let task = r":((active|crit|done), )?2001-01-10 \d\d:\d\d:\d\d\.\d{3}, [1-9]\d*ms";
    regex::Regex::new(&format!("^    ({name} {task}|section [^:;#%{{}}<>`\\n]+)$")).unwrap()
});

/// Checks that every line of a Gantt chart is unambiguous in Mermaid's grammar: names contain no colon, semicolon, `#` or
/// `%`, and do not begin with a keyword or date.
fn check_chart(chart: &str) {
    let (init, chart) = chart.split_once('\n').unwrap();
    let padding = init.strip_prefix("%%{init: {\"gantt\": {\"leftPadding\": ").unwrap().strip_suffix("}}}%%").unwrap();
    assert!((75..=348).contains(&padding.parse::<u32>().unwrap()), "{init}");
    let mut lines = chart.lines();
    for want in ["gantt", "    dateFormat YYYY-MM-DD HH:mm:ss.SSS", "    axisFormat %M:%S", "    todayMarker off"] {
        assert_eq!(lines.next(), Some(want), "{chart}");
    }
    assert!(lines.clone().count() > 1, "{chart}");
    for one in lines {
        assert!(LINE.is_match(one), "{one:?}");
    }
}

#[test]
fn the_summary_shows_a_timeline() {
    let mut django = image("django", done());
    django.steps = vec![
        step("[internal] load build context", 0, Some((StepOutcome::Done, 2))),
        step("[build 1/3] FROM docker.io/library/python:3.13", 1, Some((StepOutcome::Cached, 0))),
        step("[build 2/3] RUN pip wheel -r production.txt", 2, Some((StepOutcome::Done, 40))),
        step("[build 3/3] COPY . /app", 42, Some((StepOutcome::Done, 1))),
        step("exporting to image", 43, Some((StepOutcome::Done, 40))),
    ];
    (django.pushing, django.ended) = (Some(Duration::from_millis(50_500)), Some(Duration::from_millis(65_432)));
    let mut run = run(vec![django, image("docs", done())], RunOutcome::Success);
    run.history = Some(History { failures: 2, succeeded: true });
    run.deployments = vec![Deployment {
        place: "production".into(),
        url: Some("https://shop.example/a(b)|c".into()),
        id: Some(7),
        outcome: DeploymentOutcome::Success,
    }];
    let page = summary(&run);
    check_chart(chart(&page).unwrap());
    assert_eq!(
        chart(&page).unwrap(),
        "%%{init: {\"gantt\": {\"leftPadding\": 75}}}%%\ngantt\n    dateFormat YYYY-MM-DD HH:mm:ss.SSS\n    axisFormat %M:%S\n    todayMarker off\n    \
         section django\n    \
         · internal load build context :2001-01-10 00:00:00.000, 2000ms\n    \
         2/3 build RUN pip wheel -r production.txt :2001-01-10 00:00:02.000, 40000ms\n    \
         3/3 build COPY . /app :2001-01-10 00:00:42.000, 1000ms\n    \
         push :active, 2001-01-10 00:00:50.500, 14932ms\n"
    );
    let text = visible(&page);
    for part in [
        "Fixed: the previous run failed.",
        "2 images, 6 of 10 steps cached (60%), 90.5 MB (+2.6 MB)",
        " | production | success | open",
        " | [build 2/3] RUN pip wheel -r production.txt | django | 40.0s\n | [build 3/3] COPY . /app | django | 1.0s",
        &format!("imagetools create --tag ghcr.io/o/r/django:main ghcr.io/o/r/django@sha256:{}\n", "cd".repeat(32)),
    ] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    assert!(page.contains("[open](https://shop.example/a%28b%29%7Cc)"), "{page}");
    assert_eq!(outputs(&run, None).into_iter().find(|(name, _)| *name == "deployment-id").unwrap().1, "7");
}

#[test]
fn short_runs_have_no_chart() {
    let mut quick = image("django", done());
    quick.steps = vec![
        step("[1/2] FROM x", 0, Some((StepOutcome::Cached, 9))),
        step("[2/2] RUN x", 0, Some((StepOutcome::Done, 0))),
    ];
    assert_eq!(chart(&summary(&run(vec![quick], RunOutcome::Success))), None);
    assert_eq!(chart(&summary(&run(Vec::new(), RunOutcome::Cancelled))), None);
}

#[test]
fn a_comment_is_short_and_has_the_sizes() {
    let images = vec![image("django", done()), image("docs", ImageStatus::Cancelled)];
    let mut green = run(images, RunOutcome::Success);
    green.info.job_url = "https://github.com/o/r/actions/runs/1/job/2".into();
    let body = comment::body("<!-- m -->", &green);
    assert!(body.starts_with("<!-- m -->\n### ✅ Built and pushed in 1m 23s\n"), "{body}");
    let text = visible(&body);
    assert!(text.contains(" | django | 45.2 MB | +1.3 MB | 1m 05s | 3/5 | pushed, changed"), "{text}");
    assert!(text.contains(" | docs | – | – | – | – | cancelled"), "{text}");
    assert!(
        body.ends_with("Commit <code>0123456</code> · [log](https://github.com/o/r/actions/runs/1/job/2)\n"),
        "{body}"
    );
    let long = "`<|é".repeat(1000);
    let many = run((0..1000).map(|_| image(&long, done())).collect(), RunOutcome::Failure(failure(&long)));
    assert!(comment::body("<!-- m -->", &many).len() <= comment::LONGEST);
}

#[test]
fn a_page_is_never_too_long() {
    let long = "`<|é".repeat(1000);
    let busy = ImageState {
        steps: (0..50).map(|n| step(&format!("[{n}/50] {long}"), n, Some((StepOutcome::Done, 5)))).collect(),
        ..image(&long, done())
    };
    let images = (0..1000).map(|_| busy.clone()).collect();
    let mut run = run(images, RunOutcome::Failure(failure(&long)));
    if let Some((RunOutcome::Failure(failure), _)) = &mut run.outcome {
        failure.log = vec![long.clone(); 1000];
    }
    for _ in 0..1000 {
        let title = long.clone();
        run.diagnostics.push(Diagnostic { severity: Severity::Warning, title, message: long.clone(), place: None });
    }
    let page = summary(&run);
    assert!(page.len() <= LONGEST, "{}", page.len());
    assert!(page.contains("images omitted"));
}

fn value(run: &RunState, name: &str) -> String {
    outputs(run, Some("1234")).into_iter().find(|(key, _)| *key == name).unwrap().1
}

#[test]
fn outputs_of_a_success() {
    let green = run(vec![image("django", done()), image("docs", done())], RunOutcome::Success);
    let digest = format!("sha256:{}", "ab".repeat(32));
    let images: serde_json::Value = serde_json::from_str(&value(&green, "images")).unwrap();
    assert_eq!(
        images[0],
        serde_json::json!({
            "name": "django", "services": ["django", "celeryworker"], "repository": "ghcr.io/o/r/django",
            "tags": ["ghcr.io/o/r/django:main", "ghcr.io/o/r/django:sha-0123456"],
            "digest": digest, "ref": format!("ghcr.io/o/r/django@{digest}"), "platforms": ["linux/amd64"],
            "size": 45_260_000, "duration": 65.4, "steps": 5, "cached": 3, "pushed": true, "changed": true,
            "previous": format!("sha256:{}", "cd".repeat(32)), "previous_size": 43_960_000,
        })
    );
    let digests: serde_json::Value = serde_json::from_str(&value(&green, "digests")).unwrap();
    assert_eq!(digests, serde_json::json!({"django": digest, "docs": digest}));
    for (name, want) in [
        ("digest", digest.as_str()),
        ("ref", &format!("ghcr.io/o/r/django@{digest}")),
        (
            "tags",
            "ghcr.io/o/r/django:main\nghcr.io/o/r/django:sha-0123456\nghcr.io/o/r/docs:main\nghcr.io/o/r/docs:sha-0123456",
        ),
        ("version", "main"),
        ("changed", "true"),
        ("result", "success"),
        ("superseded", "false"),
        ("message-id", "1234"),
        ("run-url", "https://github.com/o/r/actions/runs/1/attempts/1"),
        ("deployment-id", ""),
        ("duration", "83.3"),
    ] {
        assert_eq!(value(&green, name), want, "{name}");
    }
}

#[test]
fn outputs_of_other_outcomes() {
    let red = run(
        vec![image("django", ImageStatus::Failed(failure("x"))), image("docs", done())],
        RunOutcome::Failure(failure("x")),
    );
    for (name, want) in [("result", "failure"), ("digest", ""), ("ref", ""), ("version", "main")] {
        assert_eq!(value(&red, name), want, "{name}");
    }
    let images: serde_json::Value = serde_json::from_str(&value(&red, "images")).unwrap();
    assert_eq!((&images[0]["digest"], &images[0]["pushed"]), (&serde_json::Value::Null, &false.into()));
    assert_eq!(value(&run(Vec::new(), RunOutcome::Cancelled), "result"), "cancelled");
    assert_eq!(value(&run(Vec::new(), RunOutcome::TimedOut), "result"), "failure");
    assert_eq!(value(&run(Vec::new(), RunOutcome::TimedOut), "images"), "[]");
}

#[test]
fn every_declared_output_is_written() {
    let names: Vec<&str> = outputs(&run(Vec::new(), RunOutcome::Success), None).iter().map(|(name, _)| *name).collect();
    assert_eq!(names, OUTPUTS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}
