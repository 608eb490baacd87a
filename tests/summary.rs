//! The job summary and the outputs, read by parsers that are not ours: comrak (GitHub's Markdown) and `serde_json`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use build_deploy::{
    domain::{
        event::{Diagnostic, Ending, ImageResult, Place, Severity},
        run::{Failure, ImageState, ImageStatus, RunInfo, RunState, Stage},
    },
    report::{
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
        pushed: true,
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
    ImageState {
        name: name.into(),
        services: vec![name.into(), "celeryworker".into()],
        repository: format!("ghcr.io/o/r/{name}"),
        tags: vec!["main".into(), "sha-0123456".into()],
        status,
        steps: Vec::new(),
    }
}

fn failure(text: &str) -> Box<Failure> {
    Box::new(Failure {
        stage: Stage::Build,
        image: Some(text.into()),
        headline: text.into(),
        hint: Some(text.into()),
        place: Some(Place { file: text.into(), line: 7, end_line: 7 }),
        instruction: Some(text.into()),
        exit_code: Some(1),
        log: vec![text.into(); 3],
    })
}

fn run(images: Vec<ImageState>, ending: Ending) -> RunState {
    let info = RunInfo {
        ref_name: "main".into(),
        sha: "0123456789".into(),
        subject: "Serve the site".into(),
        run_url: "https://github.com/o/r/actions/runs/1/attempts/1".into(),
        ..RunInfo::default()
    };
    let mut run = RunState::new(info, "2026-03-04T05:06:07Z".parse().unwrap());
    run.images = images;
    run.ending = Some((ending, Duration::from_millis(83_250)));
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
fn a_green_page_shows_the_images() {
    let images = vec![image("django", done()), image("docs", done())];
    let page = summary(&run(images, Ending::Success));
    let text = visible(&page);
    assert!(text.contains("✅ Built and pushed in 1m 23s"), "{text}");
    let row = " | django | django celeryworker | main sha-0123456 | sha256:abababababab | 45.2 MB | 1m 05s | 3/5 | \
               pushed, changed";
    assert!(text.contains(row), "{text}");
    assert!(text.contains("docker pull ghcr.io/o/r/django:main\ndocker pull ghcr.io/o/r/docs:main\n"), "{text}");
}

#[test]
fn a_red_page_shows_why() {
    let failure = failure("pip install failed");
    let images = vec![image("django", ImageStatus::Failed(failure.clone())), image("docs", ImageStatus::Cancelled)];
    let text = visible(&summary(&run(images, Ending::Failure(failure))));
    for part in ["❌ Failed in 1m 23s", "at pip install failed:7", "exit code 1", "| failed", "| stopped"] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    assert!(!text.contains("docker pull"));
}

/// A page on which every text that others choose is `text`.
fn page_of(text: &str) -> String {
    let mut odd = image("x", ImageStatus::Failed(failure(text)));
    odd.name = text.into();
    odd.services = vec![text.into()];
    let mut run = run(vec![odd], Ending::Failure(failure(text)));
    run.info.subject = text.into();
    run.info.ref_name = text.into();
    let place = Some(Place { file: text.into(), line: 1, end_line: 1 });
    run.diagnostics.push(Diagnostic { severity: Severity::Warning, title: text.into(), message: text.into(), place });
    summary(&run)
}

#[test]
fn evil_text_is_shown_and_changes_nothing() {
    let plain = skeleton(&page_of("plain words"));
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
        assert_eq!(skeleton(&page), plain, "{evil}\n{page}");
    }
    let text = visible(&page_of("a|b <i> @x `y`"));
    assert!(text.replace('\u{200b}', "").contains(" | a|b <i> @x `y` |"), "{text}");
}

proptest! {
    #[test]
    fn no_text_changes_the_page(text in any::<String>(), parts in prop::collection::vec(prop::sample::select(vec![
        "|", "\\", "`", "```", "~~~", "<", ">", "b>", "&", "#", "*", "_", "@", "a", "www.", "https://x.y", "\n", "\r", " ",
        "    ", "- ", "[", "]", "(", ")", "!", "$", ":", "<!--", "-->", "]]>", "\u{0}", "\u{1b}[", "m", "é"]), 1..16)) {
        let plain = skeleton(&page_of("x"));
        for text in [text, parts.concat()] {
            let text = format!("x{text}");
            assert_eq!(skeleton(&page_of(&text)), plain, "{text:?}");
        }
    }
}

#[test]
fn a_page_is_never_too_long() {
    let long = "`<|é".repeat(1000);
    let images = (0..1000).map(|_| image(&long, done())).collect();
    let mut run = run(images, Ending::Failure(failure(&long)));
    if let Some((Ending::Failure(failure), _)) = &mut run.ending {
        failure.log = vec![long.clone(); 1000];
    }
    for _ in 0..1000 {
        let title = long.clone();
        run.diagnostics.push(Diagnostic { severity: Severity::Warning, title, message: long.clone(), place: None });
    }
    let page = summary(&run);
    assert!(page.len() <= LONGEST, "{}", page.len());
    assert!(page.contains("images more, left out here"));
}

fn value(run: &RunState, name: &str) -> String {
    outputs(run, Some("1234")).into_iter().find(|(key, _)| *key == name).unwrap().1
}

#[test]
fn outputs_of_a_green_run() {
    let green = run(vec![image("django", done()), image("docs", done())], Ending::Success);
    let digest = format!("sha256:{}", "ab".repeat(32));
    let images: serde_json::Value = serde_json::from_str(&value(&green, "images")).unwrap();
    assert_eq!(
        images[0],
        serde_json::json!({
            "name": "django", "services": ["django", "celeryworker"], "repository": "ghcr.io/o/r/django",
            "tags": ["ghcr.io/o/r/django:main", "ghcr.io/o/r/django:sha-0123456"],
            "digest": digest, "ref": format!("ghcr.io/o/r/django@{digest}"), "platforms": ["linux/amd64"],
            "size": 45_260_000, "duration": 65.4, "steps": 5, "cached": 3, "pushed": true, "changed": true,
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
        ("message-id", "1234"),
        ("run-url", "https://github.com/o/r/actions/runs/1/attempts/1"),
        ("duration", "83.3"),
    ] {
        assert_eq!(value(&green, name), want, "{name}");
    }
}

#[test]
fn outputs_of_other_endings() {
    let red = run(
        vec![image("django", ImageStatus::Failed(failure("x"))), image("docs", done())],
        Ending::Failure(failure("x")),
    );
    for (name, want) in [("result", "failure"), ("digest", ""), ("ref", ""), ("version", "main")] {
        assert_eq!(value(&red, name), want, "{name}");
    }
    let images: serde_json::Value = serde_json::from_str(&value(&red, "images")).unwrap();
    assert_eq!((&images[0]["digest"], &images[0]["pushed"]), (&serde_json::Value::Null, &false.into()));
    assert_eq!(value(&run(Vec::new(), Ending::Cancelled), "result"), "cancelled");
    assert_eq!(value(&run(Vec::new(), Ending::TimedOut), "result"), "failure");
    assert_eq!(value(&run(Vec::new(), Ending::TimedOut), "images"), "[]");
}

#[test]
fn every_declared_output_is_written() {
    let names: Vec<&str> = outputs(&run(Vec::new(), Ending::Success), None).iter().map(|(name, _)| *name).collect();
    assert_eq!(names, OUTPUTS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}
