//! Tags move last, together, and what is said of them is true: against a registry in memory.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod registry;

use std::{cell::RefCell, collections::HashMap, time::Duration};

use build_deploy::{
    builder::{Builder, Built, Content},
    cancel::{self, Stop},
    domain::{
        credentials::Credentials,
        digest::Digest,
        event::{Event, ImageEvent},
        publication::Publication,
        redact::Redactor,
        secret::Secret,
    },
    events::Events,
    github::client::Client,
    inputs::{cli::RawInputs, parse, runner::RunnerEnv},
    plan::Plan,
    publish::{self, Branch, Move, Release, Survey, Unpublished},
    registry::registries::Registries,
    run::{job, planning},
    tags::GitTags,
};
use http::Method;
use serde_json::json;
use stand_ins::fixed::Fixed;

use registry::{Fault, Registry, Seen};

const NEW: &str =
    r#"{"schemaVersion":2,"config":{"digest":"sha256:a","size":1},"layers":[],"annotations":{"a":"new"}}"#;
const OLD: &str =
    r#"{"schemaVersion":2,"config":{"digest":"sha256:a","size":1},"layers":[],"annotations":{"a":"old"}}"#;
const TAGS: [&str; 4] = ["main", "latest", "v1", "sha-1f3ac7b"];
const SHA: &str = "1f3ac7bd2e9d4c8a95b60e7f1a2b3c4d5e6f7081";
const IMAGES: [&str; 2] = ["acme/shop/web", "acme/shop/docs"];

const KEPT: &str = "kept at a newer image";

/// A plan for two images with three tags each.
fn plan(host: &str) -> Plan {
    let project = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(project.path().join(name), text).unwrap();
    write("compose.yaml", "services:\n  web: {build: {dockerfile: W}}\n  docs: {build: {dockerfile: D}}\n");
    write("W", "FROM scratch\n");
    write("D", "FROM scratch\n");
    let env = RunnerEnv::new([
        ("GITHUB_WORKSPACE", project.path().to_str().unwrap()),
        ("GITHUB_REPOSITORY", "acme/shop"),
        ("GITHUB_EVENT_NAME", "push"),
        ("GITHUB_REF", "refs/heads/main"),
        ("GITHUB_SHA", SHA),
    ]);
    let mut raw = RawInputs::default();
    raw.set("registry", host).unwrap();
    raw.set("tags", "type=raw,value=main\ntype=raw,value=latest\ntype=raw,value=v1\ntype=sha").unwrap();
    let inputs = parse::parse(&raw, &env).unwrap();
    planning::plan(&inputs, &env, &job::context(&inputs, &env), GitTags::Unasked).unwrap()
}

/// What came of publishing both images.
struct Outcome {
    result: Result<Vec<Release>, Unpublished>,
    /// By image.
    publications: HashMap<String, Publication>,
    /// Attempts that were announced.
    retries: usize,
    warnings: Vec<String>,
    superseded: Option<String>,
    journal: Vec<Move>,
}

impl Outcome {
    /// The states of an image's tags, in order.
    fn states(&self, image: &str) -> Vec<&'static str> {
        self.publications[image].tags.iter().map(|tag| tag.state.label()).collect()
    }

    fn failure(&self) -> &build_deploy::domain::failure::Failure {
        match &self.result {
            Err(Unpublished::Failed(failure)) => failure,
            other => panic!("no failure: {other:?}"),
        }
    }
}

/// Publishes two images that were uploaded. `stop` is asked for after this time.
async fn publish(registry: &Registry, stop: Option<Duration>) -> Outcome {
    Box::pin(publish_of(registry, stop, None)).await
}

/// The same for a commit of this branch.
async fn publish_of(registry: &Registry, stop: Option<Duration>, branch: Option<&Branch>) -> Outcome {
    Box::pin(publish_given(registry, Given { stop, branch, ..Given::default() })).await
}

/// What publishing meets.
struct Given<'a> {
    /// After this time, a stop is asked for.
    stop: Option<Duration>,
    branch: Option<&'a Branch>,
    /// What happens while the images are built.
    during: &'a dyn Fn(),
    /// How long that takes.
    idle: Duration,
}

impl Default for Given<'_> {
    fn default() -> Self {
        Self { stop: None, branch: None, during: &|| {}, idle: Duration::ZERO }
    }
}

async fn publish_given(registry: &Registry, given: Given<'_>) -> Outcome {
    let Given { stop, branch, during, idle } = given;
    let plan = plan(&registry.host);
    let digest = IMAGES.map(|image| registry.upload(image, NEW))[0].clone();
    let builder = Builder {
        nodes: Vec::new(),
        engine: None,
        registries: Registries::new(Credentials::default()),
        secrets: HashMap::new(),
        ssh: HashMap::new(),
    };
    let built = ["web", "docs"].map(|image| Built {
        image: image.to_owned(),
        content: Content::Uploaded { digest: digest.clone(), manifest: None },
    });
    let (events, mut receiver) = Events::channel(Redactor::default());
    let (canceller, cancel) = cancel::channel();
    let journal = RefCell::new(Vec::new());
    let survey = Survey::default();
    let work = async {
        survey.take(&plan, &builder, branch, &events).await;
        during();
        if !idle.is_zero() {
            tokio::time::sleep(idle).await;
        }
        if stop == Some(Duration::ZERO) {
            canceller.stop(Stop::Signal);
        }
        let write = |moves: &[Move]| journal.borrow_mut().extend(moves.to_vec());
        let cx = publish::Context {
            plan: &plan,
            builder: &builder,
            specs: &[],
            branch,
            survey: &survey,
            events: &events,
            cancel: &cancel,
            journal: &write,
        };
        publish::all(cx, &built).await
    };
    let stopping = async {
        match stop {
            Some(after) if !after.is_zero() => {
                tokio::time::sleep(after).await;
                canceller.stop(Stop::Signal);
            }
            _ => std::future::pending().await,
        }
    };
    let result = async {
        tokio::pin!(work);
        tokio::select! {
            result = &mut work => result,
            () = stopping => work.await,
        }
    };
    let result = tokio::time::timeout(Duration::from_mins(2), result).await.unwrap();
    drop(events);
    let mut outcome = Outcome {
        result: result.map(|published| published.releases),
        publications: HashMap::new(),
        retries: 0,
        warnings: Vec::new(),
        superseded: None,
        journal: journal.into_inner(),
    };
    while let Some(event) = receiver.recv().await {
        match event {
            Event::Image { image, event: ImageEvent::Published(publication) } => {
                outcome.publications.insert(image, *publication);
            }
            Event::Image { event: ImageEvent::Retrying { .. }, .. } => outcome.retries += 1,
            Event::Superseded(head) => outcome.superseded = Some(head),
            Event::Diagnostic(diagnostic) => outcome.warnings.push(diagnostic.message),
            _ => {}
        }
    }
    outcome
}

/// Points `main` and `latest` of both images to an old one; `v1` does not exist.
fn before(registry: &Registry) -> Digest {
    let old = IMAGES.map(|image| registry.upload(image, OLD))[0].clone();
    for image in IMAGES {
        registry.tag(image, "main", &old);
        registry.tag(image, "latest", &old);
    }
    old
}

fn puts(reference: &'static str) -> impl Fn(&Seen) -> bool + Clone {
    move |seen: &Seen| seen.method == Method::PUT && seen.reference == reference
}

#[tokio::test]
async fn all_tags_move_together_and_what_is_there_already_is_not_sent_again() {
    let registry = Registry::start().await;
    let old = before(&registry);
    let outcome = publish(&registry, None).await;
    let releases = outcome.result.as_ref().unwrap();
    let new = Digest::of(NEW.as_bytes());
    for (release, name) in releases.iter().zip(["web", "docs"]) {
        assert_eq!((release.image.as_str(), &release.digest, &release.previous), (name, &new, &Some(old.clone())));
    }
    assert_eq!(outcome.states("web"), ["moved"; 4]);
    assert_eq!((outcome.publications["web"].changed, outcome.journal.len()), (Some(true), 8));
    for image in IMAGES {
        for tag in TAGS {
            assert_eq!(registry.tagged(image, tag).as_ref(), Some(&new), "{image}:{tag}");
        }
    }
    assert_eq!(registry.count(&Method::PUT), 8);

    let again = publish(&registry, None).await;
    assert_eq!((again.states("docs"), again.publications["web"].changed), (vec!["already up to date"; 4], Some(false)));
    assert_eq!((registry.count(&Method::PUT), again.result.is_ok()), (8, true));
}

#[tokio::test(start_paused = true)]
async fn a_refused_tag_moves_the_others_back() {
    // The third of six tags.
    let registry =
        Registry::with(|seen, _| (puts("v1")(seen) && seen.repository == IMAGES[0]).then_some(Fault::Status(403)))
            .await;
    let old = before(&registry);
    let outcome = publish(&registry, None).await;
    assert_eq!(outcome.failure().image(), Some("web"));
    assert!(outcome.failure().headline.contains("refuses the push"), "{:?}", outcome.failure());
    assert_eq!(outcome.states("web"), ["restored", "restored", "not moved", "moved"]);
    assert_eq!(outcome.states("docs"), ["restored", "restored", "moved", "moved"], "a tag that did not exist stays");
    for image in IMAGES {
        assert_eq!(registry.tagged(image, "main").as_ref(), Some(&old));
        assert_eq!(registry.tagged(image, "latest").as_ref(), Some(&old));
    }
    assert_eq!(registry.tagged(IMAGES[0], "v1"), None);
    assert!(registry.tagged(IMAGES[1], "v1").is_some());
    assert_eq!(outcome.retries, 0, "a refusal is final");
}

#[tokio::test(start_paused = true)]
async fn faults_that_pass_cost_nothing_but_time() {
    for fault in [Fault::Status(500), Fault::Status(502), Fault::Status(503), Fault::Busy(429, 3), Fault::Lost(500)] {
        let registry = Registry::with(move |seen, before| (puts("latest")(seen) && before == 0).then_some(fault)).await;
        before(&registry);
        let outcome = publish(&registry, None).await;
        assert!(outcome.result.is_ok(), "{fault:?}: {:?}", outcome.result);
        assert_eq!((outcome.states("web"), outcome.retries), (vec!["moved"; 4], 2), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn faults_that_stay_are_told_as_what_they_are() {
    for (fault, states) in [
        (Fault::Status(503), ["restored", "not moved", "moved", "moved"]),
        // The registry stores the manifest and never says so: reading back tells the truth.
        (Fault::Lost(500), ["moved"; 4]),
        (Fault::Silent, ["moved"; 4]),
    ] {
        let registry = Registry::with(move |seen, _| puts("latest")(seen).then_some(fault)).await;
        before(&registry);
        let outcome = publish(&registry, None).await;
        assert_eq!(outcome.result.is_ok(), states[1] == "moved", "{fault:?}: {:?}", outcome.result);
        assert_eq!(outcome.states("web"), states, "{fault:?}");
        let tagged = registry.tagged(IMAGES[0], "latest").unwrap();
        assert_eq!(tagged == Digest::of(NEW.as_bytes()), states[1] == "moved", "{fault:?}");
    }
}

#[tokio::test]
async fn a_tag_that_serves_another_image_fails_the_run() {
    let other = r#"{"schemaVersion":2,"annotations":{"a":"of another run"}}"#;
    for (fault, hint, absent) in [
        // Another run moved it right after us.
        (Fault::Other(other), "`concurrency:`", "proxies"),
        // The headers lie, the bytes do not.
        (Fault::Lie, "proxies and mirrors", "concurrency"),
    ] {
        let registry = Registry::with(move |seen, before| match (&seen.method, seen.reference.as_str()) {
            (&Method::PUT, "latest") => Some(Fault::Silent),
            (&Method::HEAD, "latest") if before > 0 => Some(fault),
            (&Method::GET, "latest") => Some(fault),
            _ => None,
        })
        .await;
        before(&registry);
        let outcome = publish(&registry, None).await;
        let failure = outcome.failure();
        let served = if fault == Fault::Lie { Digest::of(b"another image") } else { Digest::of(other.as_bytes()) };
        for words in [Digest::of(NEW.as_bytes()).as_str(), served.as_str(), ":latest "] {
            assert!(failure.headline.contains(words), "{words} is not in {}", failure.headline);
        }
        let told = failure.hint.clone().unwrap();
        assert!(told.contains(hint) && !told.contains(absent), "{fault:?}: {told}");
        assert_eq!(outcome.states("web")[1], "unknown", "{fault:?}");
    }
}

/// Only the answer to the request names another digest.
#[tokio::test]
async fn an_answer_with_a_wrong_digest_is_checked_before_it_is_believed() {
    let registry = Registry::with(|seen, _| puts("latest")(seen).then_some(Fault::Lie)).await;
    before(&registry);
    let outcome = publish(&registry, None).await;
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    assert_eq!(outcome.states("web"), ["moved"; 4]);
}

/// The upload went through, so that the login is not what is wrong.
#[tokio::test]
async fn a_tag_that_is_refused_after_the_upload_is_not_blamed_on_the_login() {
    let registry = Registry::with(|seen, _| puts("v1")(seen).then_some(Fault::Status(403))).await;
    before(&registry);
    let hint = publish(&registry, None).await.failure().hint.clone().unwrap();
    assert!(hint.contains("protects it") && hint.contains(":v1, ") && !hint.contains("`username`"), "{hint}");
}

#[tokio::test]
async fn a_read_back_that_never_comes_costs_seconds() {
    let registry = Registry::with(|seen, before| match seen.method {
        Method::PUT => Some(Fault::Silent),
        Method::HEAD if before > 0 => Some(Fault::Stall),
        _ => None,
    })
    .await;
    before(&registry);
    let began = std::time::Instant::now();
    let outcome = publish(&registry, None).await;
    assert_eq!((outcome.states("web"), outcome.warnings.len()), (vec!["moved"; 4], 8));
    assert!(outcome.warnings[0].contains("no answer within 5 s"), "{:?}", outcome.warnings);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

/// The tag was put, the answer got lost, and nobody tells where it points.
#[tokio::test]
async fn a_tag_of_which_nothing_is_known_is_not_said_to_be_where_it_was() {
    let registry = Registry::with(|seen, before| match (&seen.method, seen.reference.as_str()) {
        (&Method::PUT, "latest") => Some(Fault::Lost(500)),
        (&Method::HEAD, "latest") if before > 0 => Some(Fault::Status(403)),
        _ => None,
    })
    .await;
    before(&registry);
    tokio::time::pause();
    let outcome = publish(&registry, None).await;
    assert_eq!(outcome.states("web")[1], "unknown");
}

/// Damaged on the way, once.
#[tokio::test]
async fn damaged_bytes_are_asked_for_again() {
    let registry = Registry::with(|seen, before| match (&seen.method, seen.reference.as_str()) {
        (&Method::PUT, "v1") => Some(Fault::Status(403)),
        (&Method::GET, _) if before == 0 => Some(Fault::Damaged),
        _ => None,
    })
    .await;
    let old = before(&registry);
    let outcome = publish(&registry, None).await;
    assert_eq!(outcome.states("web"), ["restored", "restored", "not moved", "moved"]);
    assert_eq!(registry.tagged(IMAGES[0], "main"), Some(old));
}

#[tokio::test(start_paused = true)]
async fn a_read_back_that_fails_is_no_refused_push() {
    let registry = Registry::with(|seen, before| match seen.method {
        Method::PUT => Some(Fault::Silent),
        Method::HEAD if before > 0 => Some(Fault::Status(500)),
        _ => None,
    })
    .await;
    before(&registry);
    let outcome = publish(&registry, None).await;
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    assert_eq!((outcome.states("web"), outcome.warnings.len()), (vec!["moved"; 4], 8));
}

#[tokio::test]
async fn a_stop_before_the_tags_move_moves_none() {
    let registry = Registry::with(|seen, _| (seen.method == Method::GET).then_some(Fault::Stall)).await;
    let old = before(&registry);
    let outcome = publish(&registry, Some(Duration::from_millis(300))).await;
    assert_eq!(outcome.result, Err(Unpublished::Stopped(Stop::Signal)));
    assert_eq!(outcome.states("web"), ["not moved"; 4]);
    assert_eq!(registry.tagged(IMAGES[0], "main"), Some(old));
}

#[tokio::test]
async fn a_stop_in_the_middle_moves_back_what_moved() {
    let registry = Registry::with(|seen, _| puts("latest")(seen).then_some(Fault::Stall)).await;
    let old = before(&registry);
    let outcome = publish(&registry, Some(Duration::from_millis(300))).await;
    assert_eq!(outcome.result, Err(Unpublished::Stopped(Stop::Signal)));
    assert_eq!(outcome.states("web"), ["restored", "unknown", "moved", "moved"]);
    for tag in ["main", "latest"] {
        assert_eq!(registry.tagged(IMAGES[0], tag).as_ref(), Some(&old), "{tag}");
    }
}

#[tokio::test]
async fn after_a_kill_half_moved_tags_are_moved_back() {
    let registry = Registry::start().await;
    let old = before(&registry);
    let new = registry.upload(IMAGES[0], NEW);
    let moves = ["main", "latest"].map(|tag| Move {
        repository: format!("{}/{}", registry.host, IMAGES[0]),
        tag: tag.to_owned(),
        digest: Some(new.clone()),
        previous: Some(old.clone()),
    });
    let registries = Registries::new(Credentials::default());
    let repaired = async || {
        let tags = publish::after_kill(&registries, &moves).await;
        tags.iter().map(|one| one.tag.state.label()).collect::<Vec<_>>()
    };
    assert_eq!(repaired().await, ["not moved"; 2]);
    registry.tag(IMAGES[0], "main", &new);
    assert_eq!(repaired().await, ["restored", "not moved"]);
    assert_eq!(registry.tagged(IMAGES[0], "main"), Some(old));
    registry.tag(IMAGES[0], "main", &new);
    registry.tag(IMAGES[0], "latest", &new);
    assert_eq!(repaired().await, ["moved"; 2], "everything had moved: it stays");
}

/// An engine with the classic store names the digest only after the upload: until then a kill leaves a tag that may have
/// moved.
#[tokio::test]
async fn after_a_kill_a_tag_that_an_engine_was_uploading_is_named() {
    let registry = Registry::start().await;
    let old = before(&registry);
    let new = registry.upload(IMAGES[0], NEW);
    let to = |tag: &str, digest, previous| Move {
        repository: format!("{}/{}", registry.host, IMAGES[0]),
        tag: tag.to_owned(),
        digest,
        previous,
    };
    let moves = [
        to("main", None, Some(old.clone())),
        to("fresh", None, None),
        to("latest", Some(new.clone()), Some(old.clone())),
    ];
    let registries = Registries::new(Credentials::default());
    let repaired = async || publish::after_kill(&registries, &moves).await;
    let states = |repaired: &[publish::Repaired]| repaired.iter().map(|one| one.tag.state.label()).collect::<Vec<_>>();
    assert_eq!(states(&repaired().await), ["not moved"; 3], "the upload had not come to its tag");
    for tag in ["main", "fresh", "latest"] {
        registry.tag(IMAGES[0], tag, &new);
    }
    let after = repaired().await;
    assert_eq!(states(&after), ["unknown", "unknown", "restored"], "more tags were to follow");
    let problems: Vec<&str> = after.iter().filter_map(|one| one.problem.as_deref()).collect();
    let command = format!("docker buildx imagetools create --tag {0}:main {0}@{old}", moves[0].repository);
    assert!(problems.len() == 2 && problems.iter().all(|one| one.contains("uploading an image")), "{problems:?}");
    assert!(problems[0].contains(&command) && !problems[1].contains("imagetools"), "{problems:?}");
    assert_eq!(registry.tagged(IMAGES[0], "latest"), Some(old));
}

/// GitHub, as far as the head of `main` goes; `None` is an outage. It ends with the second value.
async fn github(head: Option<&'static str>) -> (Branch, Fixed) {
    github_with(head, "").await
}

/// The same; `status` is what [`MIDDLE`] is to our commit, if GitHub tells.
async fn github_with(head: Option<&'static str>, status: &str) -> (Branch, Fixed) {
    let compared = json!({"status": status, "ahead_by": 1}).to_string();
    let compare = (if status.is_empty() { 502 } else { 200 }, compared.as_str());
    let (status, body) = match head {
        Some(head) => {
            let object = json!({"type": "commit", "sha": head, "url": "https://x"});
            (200, json!({"ref": "refs/heads/main", "object": object}).to_string())
        }
        None => (502, String::new()),
    };
    let path = "/repos/acme/shop/git/ref/heads/main";
    let commits = format!("/repos/acme/shop/compare/{SHA}...{MIDDLE}");
    let answers = [(path, status, body.as_str()), (commits.as_str(), compare.0, compare.1)];
    let api = Fixed::with("127.0.0.1:0".parse().unwrap(), &answers).await.unwrap();
    let client = Client::new(&api.url(), &Secret::new("token"), "acme", "shop").unwrap();
    (Branch { client, name: "main".into(), sha: SHA.into() }, api)
}

/// A commit between ours and the newest.
const MIDDLE: &str = "0246813579ace0246813579ace0246813579ace0";
const NEWER: &str = "fedcba9876543210fedcba9876543210fedcba98";

#[tokio::test]
async fn the_older_of_two_runs_that_ends_last_takes_no_tag_back() {
    // The newer commit's run is over: its images have the tags that move, and one of their own.
    let registry = Registry::start().await;
    let newer = before(&registry);
    let (branch, _github) = github(Some(NEWER)).await;
    for image in IMAGES {
        registry.tag(image, "sha-fedcba9", &newer);
    }
    let outcome = publish_of(&registry, None, Some(&branch)).await;
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    // `v1` did not exist, so it takes nothing back.
    assert_eq!(outcome.states("web"), [KEPT, KEPT, "moved", "moved"]);
    assert_eq!(outcome.superseded.as_deref(), Some(NEWER));
    for image in IMAGES {
        for tag in ["main", "latest"] {
            assert_eq!(registry.tagged(image, tag).as_ref(), Some(&newer), "{image}:{tag}");
        }
        assert!(registry.tagged(image, "sha-1f3ac7b").is_some(), "its own tag");
    }
    assert!(outcome.journal.iter().all(|one| !["main", "latest"].contains(&one.tag.as_str())));
}

#[tokio::test]
async fn the_older_of_two_runs_that_ends_first_moves_its_tags() {
    for head in [Some(NEWER), Some(SHA), None] {
        let registry = Registry::start().await;
        before(&registry);
        let (branch, _github) = github(head).await;
        let outcome = publish_of(&registry, None, Some(&branch)).await;
        assert_eq!(outcome.states("web"), ["moved"; 4], "{head:?}: the newer image is not there");
        assert_eq!((outcome.superseded, outcome.warnings.len()), (None, usize::from(head.is_none())), "{head:?}");
    }
}

/// Three commits: ours, one that is published, and the newest, which still builds.
#[tokio::test]
async fn the_oldest_of_three_runs_takes_no_tag_back_from_the_second() {
    for (status, revision, kept) in [
        ("ahead", MIDDLE, true),
        ("behind", MIDDLE, false),
        ("diverged", MIDDLE, false),
        // GitHub does not answer: the published image may be newer.
        ("", MIDDLE, true),
        // Nobody needs to be asked about these.
        ("ahead", SHA, false),
        ("ahead", "no commit", false),
    ] {
        let registry = Registry::start().await;
        let published = IMAGES.map(|image| {
            let config = json!({"config": {"Labels": {"org.opencontainers.image.revision": revision}}}).to_string();
            let config = registry.upload(image, &config).to_string();
            let manifest =
                json!({"schemaVersion": 2, "config": {"digest": config, "size": 1}, "layers": []}).to_string();
            let digest = registry.upload(image, &manifest);
            registry.tag(image, "main", &digest);
            registry.tag(image, "latest", &digest);
            digest
        });
        let (branch, _api) = github_with(Some(NEWER), status).await;
        let outcome = publish_of(&registry, None, Some(&branch)).await;
        assert!(outcome.result.is_ok(), "{status}: {:?}", outcome.result);
        let want = if kept { [KEPT, KEPT, "moved", "moved"] } else { ["moved"; 4] };
        assert_eq!(outcome.states("web"), want, "{status} {revision}: {:?}", outcome.warnings);
        assert_eq!(outcome.superseded.as_deref(), kept.then_some(MIDDLE), "{status} {revision}");
        let new = Digest::of(NEW.as_bytes());
        for (image, published) in IMAGES.iter().zip(published) {
            let want = if kept { published } else { new.clone() };
            assert_eq!(registry.tagged(image, "main"), Some(want), "{status} {revision}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_a_tag_that_was_moved_back_is_what_the_registry_serves() {
    let new = Digest::of(NEW.as_bytes());
    for (fault, state, why) in [
        // The tag was moved back, and the answer got lost.
        (Fault::Lost(500), "restored", ""),
        (Fault::Silent, "restored", ""),
        (Fault::Lie, "restored", ""),
        (Fault::Status(500), "restore failed", "500 Internal Server Error"),
        (Fault::Status(403), "restore failed", "403 Forbidden"),
    ] {
        let registry = Registry::with(move |seen, before| match seen.reference.as_str() {
            "v1" if seen.method == Method::PUT => Some(Fault::Status(403)),
            // The second time that it is put, it is put back.
            "main" if seen.method == Method::PUT && before > 0 => Some(fault),
            _ => None,
        })
        .await;
        let old = before(&registry);
        let outcome = publish(&registry, None).await;
        assert_eq!(outcome.states("web")[..3], [state, "restored", "not moved"], "{fault:?}");
        let served = registry.tagged(IMAGES[0], "main").unwrap();
        assert_eq!(served, if state == "restored" { old.clone() } else { new.clone() }, "{fault:?}");
        // A warning names the tag, the reason and the way back.
        let named: Vec<&String> = outcome.warnings.iter().filter(|one| one.contains("web:main could not be")).collect();
        assert_eq!(named.len(), usize::from(state == "restore failed"), "{fault:?}: {:?}", outcome.warnings);
        let command = format!("imagetools create --tag {0}/acme/shop/web:main {0}/acme/shop/web@{old}", registry.host);
        assert!(named.iter().all(|one| one.contains(why) && one.contains(&command)), "{named:?}");
        let listed = outcome.publications["web"].published().any(|tag| tag.tag == "main");
        assert_eq!(
            (listed, outcome.publications["web"].is_complete()),
            (state == "restore failed", false),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_newer_run_that_ends_during_the_build_keeps_its_tags() {
    // When the build begins, nobody has published the newer commit; when it ends, somebody has.
    for had_main in [true, false] {
        let registry = Registry::start().await;
        let newer = registry.upload(IMAGES[0], r#"{"schemaVersion":2,"annotations":{"a":"newer"}}"#);
        if had_main {
            before(&registry);
        }
        let (branch, _github) = github(Some(NEWER)).await;
        let during = || {
            for tag in ["main", "latest", "sha-fedcba9"] {
                registry.tag(IMAGES[0], tag, &newer);
            }
        };
        let outcome =
            Box::pin(publish_given(&registry, Given { branch: Some(&branch), during: &during, ..Given::default() }))
                .await;
        assert_eq!(outcome.states("web")[..2], [KEPT, KEPT], "{had_main}");
        assert_eq!(registry.tagged(IMAGES[0], "main").as_ref(), Some(&newer), "{had_main}");
        assert_eq!(outcome.publications["web"].digest, Some(Digest::of(NEW.as_bytes())), "what its own tag points to");
    }
}

#[tokio::test]
async fn a_stop_before_the_first_tag_moves_moves_none() {
    let registry = Registry::start().await;
    let old = before(&registry);
    let outcome = publish_of(&registry, Some(Duration::ZERO), None).await;
    assert_eq!(outcome.result, Err(Unpublished::Stopped(Stop::Signal)));
    assert_eq!((outcome.states("web"), registry.count(&Method::PUT)), (vec!["not moved"; 4], 0));
    assert_eq!(registry.tagged(IMAGES[0], "main"), Some(old));
}

#[tokio::test]
async fn a_registry_that_says_nothing_does_not_undo_what_others_have() {
    let registry = Registry::start().await;
    let old = before(&registry);
    let new = registry.upload(IMAGES[0], NEW);
    registry.tag(IMAGES[0], "main", &new);
    let silent = Registry::with(|_, _| Some(Fault::Stall)).await;
    let to = |host: &str| Move {
        repository: format!("{host}/{}", IMAGES[0]),
        tag: "main".into(),
        digest: Some(new.clone()),
        previous: Some(old.clone()),
    };
    let (registries, moves) = (Registries::new(Credentials::default()), [to(&registry.host), to(&silent.host)]);
    let tags = publish::after_kill(&registries, &moves).await;
    let states: Vec<_> = tags.iter().map(|one| one.tag.state.label()).collect();
    assert_eq!((states, registry.tagged(IMAGES[0], "main")), (vec!["moved", "unknown"], Some(new)));
}

#[tokio::test]
async fn a_registry_that_never_answers_a_restore_is_named() {
    let registry = Registry::with(|seen, before| match (&seen.method, seen.reference.as_str()) {
        (&Method::PUT, "v1") => Some(Fault::Status(403)),
        (&Method::PUT, "main") if before > 0 => Some(Fault::Stall),
        _ => None,
    })
    .await;
    before(&registry);
    tokio::time::pause();
    let outcome = publish(&registry, None).await;
    assert_eq!(outcome.states("web")[..2], ["unknown", "restored"]);
    let named = outcome.warnings.iter().filter(|one| one.contains(":main could not be restored: ")).count();
    assert_eq!(named, 2, "one for each image: {:?}", outcome.warnings);
}

#[tokio::test]
async fn after_a_kill_a_restore_that_fails_is_told_with_its_reason() {
    for (fault, state, why) in [
        (Fault::Status(500), "restore failed", "500 Internal Server Error"),
        (Fault::Status(403), "restore failed", "403 Forbidden"),
        (Fault::Stall, "unknown", "no answer within 2.5 s"),
    ] {
        let registry = Registry::with(move |seen, _| puts("main")(seen).then_some(fault)).await;
        let old = before(&registry);
        let new = registry.upload(IMAGES[0], NEW);
        registry.tag(IMAGES[0], "main", &new);
        let moves = ["main", "latest"].map(|tag| Move {
            repository: format!("{}/{}", registry.host, IMAGES[0]),
            tag: tag.to_owned(),
            digest: Some(new.clone()),
            previous: Some(old.clone()),
        });
        let began = std::time::Instant::now();
        let repaired = publish::after_kill(&Registries::new(Credentials::default()), &moves).await;
        let [main, latest] = &repaired[..] else { panic!("{repaired:?}") };
        assert_eq!((main.tag.state.label(), latest.tag.state.label()), (state, "not moved"), "{fault:?}");
        assert!(main.problem.as_ref().is_some_and(|problem| problem.contains(why)), "{fault:?}: {main:?}");
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{fault:?}: the post stage has no more: {:?}",
            began.elapsed()
        );
    }
}

/// A long build: what the tags pointed to when it began is asked again, and the answer does not come.
#[tokio::test]
async fn a_tag_whose_place_cannot_be_asked_again_is_not_moved_back_to_an_old_one() {
    for fault in [Fault::Status(500), Fault::Stall] {
        let registry = Registry::with(move |seen, before| match (&seen.method, seen.reference.as_str()) {
            (&Method::HEAD, "main") if before == 1 => Some(fault),
            (&Method::PUT, "v1") => Some(Fault::Status(403)),
            _ => None,
        })
        .await;
        let old = before(&registry);
        tokio::time::pause();
        let given = Given { idle: Duration::from_secs(40), ..Given::default() };
        let outcome = Box::pin(publish_given(&registry, given)).await;
        tokio::time::resume();
        // A registry that does not answer is left to the builder, of which there is none here.
        assert!(outcome.result.is_err() || fault == Fault::Stall, "{fault:?}");
        assert_eq!(outcome.publications["web"].changed, None, "{fault:?}: what it was before is unknown");
        let state = outcome.states("web")[0];
        assert_ne!(state, "restored", "{fault:?}");
        assert_eq!(registry.tagged(IMAGES[0], "main").unwrap() == old, state != "moved", "{fault:?}: {state}");
    }
}

#[tokio::test]
async fn a_tag_that_another_run_took_meanwhile_is_left_to_it() {
    let registry = Registry::with(|seen, before| match (&seen.method, seen.reference.as_str()) {
        (&Method::PUT, "v1") => Some(Fault::Status(403)),
        // When it is to be moved back, it points to another image.
        (&Method::HEAD, "main") if before > 0 => Some(Fault::Lie),
        _ => None,
    })
    .await;
    before(&registry);
    let outcome = publish(&registry, None).await;
    assert_eq!(outcome.states("web"), ["unknown", "restored", "not moved", "moved"]);
    assert!(outcome.publications["web"].published().all(|tag| tag.tag != "main"));
}
