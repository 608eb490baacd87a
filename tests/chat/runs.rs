//! The states of sample runs, event by event.

use std::{collections::BTreeMap, time::Duration};

use build_deploy::{
    deploy::outcome::{Verdict, verdict},
    domain::{
        deploy::{DeployReport, DeployResult, DeployStep, DeployedService},
        destinations::Destinations,
        diagnostic::{Diagnostic, Place, Severity},
        digest::Digest,
        event::{Event, ImageEvent, ImageResult, StepOutcome},
        failure::{Blame, Failure, Subject},
        order::Order,
        outcome::RunOutcome,
        publication::{Publication, TagResult, TagState},
        repository::Repository,
        run::{ImageState, ImageStatus, RunInfo, RunState, TargetState},
        stage::Stage,
        tag::Tag,
    },
    notify::message::{Message, Phase},
};
use chrono::{DateTime, TimeDelta, Utc};

pub(crate) const SHA: &str = "3f2c1ab90d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a";

pub(crate) fn info() -> RunInfo {
    RunInfo {
        repository: "acme/shop".into(),
        workflow: "Deploy".into(),
        actor: "ada".into(),
        event_name: "push".into(),
        ref_name: "main".into(),
        sha: SHA.into(),
        subject: "Fix the checkout total for carts with a voucher".into(),
        run_url: "https://github.com/acme/shop/actions/runs/1234567890/attempts/1".into(),
        job_url: "https://github.com/acme/shop/actions/runs/1234567890/job/4567".into(),
        commit_url: format!("https://github.com/acme/shop/commit/{SHA}"),
    }
}

/// The repository of an image, whose name need not be a valid path.
fn repository(name: &str) -> Repository {
    let named = Repository::parse(&format!("ghcr.io/acme/shop/{name}"));
    named.or_else(|_| Repository::parse("ghcr.io/acme/shop/web")).expect("a repository")
}

pub(crate) fn image(name: &str, services: &[&str]) -> ImageState {
    ImageState {
        name: name.into(),
        services: services.iter().map(|s| (*s).to_owned()).collect(),
        destinations: Destinations {
            repository: repository(name),
            copies: Vec::new(),
            tags: ["main", "sha-3f2c1ab", "latest"].map(Tag::repaired).into(),
        },
        status: ImageStatus::Waiting,
        publishes: true,
        steps: Vec::new(),
        pushing: None,
        ended: None,
        previous: None,
        publication: None,
    }
}

/// The digest of an image.
fn digest(image: &str) -> Digest {
    let part = if image == "docs" { "5c6d7e8f90a1b2c3" } else { "0a1b2c3d4e5f6071" };
    format!("sha256:{}", part.repeat(4)).parse().expect("a digest")
}

/// What the build of django came to.
pub(crate) fn result(size: u64, seconds: u64, cached: usize, steps: usize) -> ImageResult {
    ImageResult {
        digest: Some(digest("django")),
        size: Some(size),
        uploaded: true,
        pushed: false,
        loaded: Vec::new(),
        changed: None,
        platforms: vec![],
        steps,
        cached,
        duration: Duration::from_secs(seconds),
    }
}

fn docs() -> ImageResult {
    ImageResult { digest: Some(digest("docs")), ..result(61_240_112, 41, 3, 5) }
}

fn published(name: &str) -> ImageEvent {
    let destinations = image(name, &[]).destinations;
    let tags = destinations.names().map(|(repository, tag)| TagResult {
        repository: repository.to_string(),
        tag: tag.to_string(),
        state: TagState::Moved,
    });
    ImageEvent::Published(Box::new(Publication {
        digest: Some(digest(name)),
        changed: Some(true),
        size: None,
        tags: tags.collect(),
    }))
}

pub(crate) fn failure() -> Failure {
    let log = "\
Collecting django-allauth==65.3.0
  Downloading django_allauth-65.3.0.tar.gz (1.5 MB)
Collecting argon2-cffi==23.1.0
  Downloading argon2_cffi-23.1.0-py3-none-any.whl (15 kB)
ERROR: Could not find a version that satisfies the requirement psycopg-c==3.2.33 (from versions: 3.0, 3.1, 3.2.3)
ERROR: No matching distribution found for psycopg-c==3.2.33";
    Failure {
        blame: Blame::World,
        stage: Stage::Build,
        subject: Subject::Image("django".into()),
        headline: "pip could not find psycopg-c==3.2.33".into(),
        hint: Some("check the version in requirements/production.txt".into()),
        place: Some(Place { file: "compose/production/django/Dockerfile".into(), line: 23, end_line: 24 }),
        instruction: Some("RUN pip wheel --wheel-dir /usr/src/app/wheels \\\n    -r production.txt".into()),
        exit_code: Some(1),
        log: log.lines().map(str::to_owned).collect(),
    }
}

/// The outcome of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Green,
    Red,
    Cancelled,
    TimedOut,
    Deployed,
    RolledBack,
    NotRolledBack,
}

/// The name of the target.
const TARGET: &str = "production";

/// The deployment of a release: it keeps running, or the previous one is put back, or that fails too.
fn deployment(result: DeployResult) -> Vec<Event> {
    let release = digest("django");
    let previous = format!("sha256:{}", "7f6e5d4c3b2a1908".repeat(4)).parse().expect("a digest");
    let service = DeployedService { image: "django".into(), digest: release, previous: Some(previous) };
    let services: BTreeMap<_, _> =
        ["celerybeat", "celeryworker", "django", "flower"].map(|name| (name.to_owned(), service.clone())).into();
    let mut steps = vec![
        DeployStep::Planned(services.clone()),
        DeployStep::Preparing,
        DeployStep::Migrating { service: "django".into(), command: "python manage.py migrate --noinput".into() },
        DeployStep::Switching,
        DeployStep::Watching,
    ];
    let reason = "django: keeps crashing (restarted 3 times)".to_owned();
    let is_bad = result != DeployResult::Deployed;
    if is_bad {
        steps.extend([DeployStep::RollingBack { reason: reason.clone() }, DeployStep::WatchingPrevious]);
    }
    let log = "\
  File \"/app/config/wsgi.py\", line 21, in <module>
    application = get_wsgi_application()
django.core.exceptions.ImproperlyConfigured: Set the DJANGO_ADMIN_URL environment variable";
    let by_hand = [
        "ssh deploy@shop.example",
        "cd /srv/shop",
        "docker compose -f docker-compose.yml -f .build-deploy/restore-41-1.yml up -d --no-build --pull never celerybeat \
         celeryworker django flower",
    ];
    let report = DeployReport {
        name: TARGET.into(),
        kind: "compose",
        result,
        services,
        url: Some("https://shop.example".into()),
        duration: Duration::from_secs(31),
        reason: is_bad.then_some(reason),
        by_hand: if result == DeployResult::FailedNotRolledBack {
            by_hand.map(String::from).into()
        } else {
            Vec::new()
        },
        hint: None,
        was_switched: true,
        failed_service: is_bad.then(|| "django".to_owned()),
        log: if is_bad { log.lines().map(str::to_owned).collect() } else { Vec::new() },
    };
    let outcome = match verdict(std::slice::from_ref(&report)).0 {
        Verdict::Failed(failure) => RunOutcome::Failure(failure),
        _ => RunOutcome::Success,
    };
    steps.push(DeployStep::Finished(Box::new(report)));
    let steps = steps.into_iter().map(|step| Event::Deploy { target: TARGET.into(), step });
    std::iter::once(Event::StageStarted(Stage::Deploy)).chain(steps).chain([Event::Finished(outcome)]).collect()
}

/// The states of a run of two images, one after each event, the first before any.
pub(crate) fn run(end: End) -> Vec<RunState> {
    run_from(end, Utc::now() - TimeDelta::seconds(92))
}

/// A message for each phase of a run: its name, the message, and texts that every service shows.
pub(crate) fn states() -> Vec<(&'static str, Message, &'static [&'static str])> {
    let green = run(End::Green);
    let ends = |end| run(end).pop().expect("an end");
    vec![
        ("started", Message::of(&green[0]), &["starting…", "ada", "Fix the checkout total"]),
        ("building", Message::of(&green[13]), &["building…", "step 4/6 (build)", "RUN pip wheel"]),
        ("green", Message::of(&ends(End::Green)), &["succeeded in", "183.4 MB", "sha256:0a1b2c3d4e5f", "celerybeat"]),
        (
            "red",
            Message::of(&ends(End::Red)),
            &["exit code 1", "No matching distribution", "job/4567", "Dockerfile:23"],
        ),
        ("cancelled", Message::of(&ends(End::Cancelled)), &["cancelled after", "Cancelled by someone"]),
        ("timed-out", Message::of(&ends(End::TimedOut)), &["timed out after"]),
        ("interrupted", Message::at(&green[0], Phase::Interrupted), &["interrupted"]),
        ("deployed", Message::of(&ends(End::Deployed)), &["succeeded in", "production", "deployed"]),
        ("rolled-back", Message::of(&ends(End::RolledBack)), &["rolled back", "keeps crashing", "DJANGO_ADMIN_URL"]),
        ("rollback-failed", Message::of(&ends(End::NotRolledBack)), &["rollback failed", "NOT rolled back", "up -d"]),
        ("external", Message::external_job(&green[0]), &["running…"]),
    ]
}

pub(crate) fn run_from(end: End, started: DateTime<Utc>) -> Vec<RunState> {
    let image_event = |image: &str, event| Event::Image { image: image.into(), event };
    let step = |step, name: &str| ImageEvent::StepStarted { step, name: name.into() };
    let done = |step, outcome| ImageEvent::StepFinished { step, outcome, duration: Duration::from_secs(2) };
    let mut events = vec![
        Event::StageStarted(Stage::Preflight),
        Event::StageStarted(Stage::Build),
        image_event("django", ImageEvent::Started),
        image_event("docs", ImageEvent::Started),
        image_event("django", step(0, "[internal] load build definition from Dockerfile")),
        image_event("django", done(0, StepOutcome::Done)),
        image_event("django", step(1, "[build 1/6] FROM docker.io/library/python:3.13-slim")),
        image_event("django", done(1, StepOutcome::Cached)),
        image_event("django", step(2, "[build 4/6] RUN pip wheel --wheel-dir /usr/src/app/wheels -r production.txt")),
        image_event("docs", step(0, "[2/5] RUN apt-get update && apt-get install --no-install-recommends -y make")),
        Event::Diagnostic(Diagnostic {
            severity: Severity::Warning,
            title: "JSONArgsRecommended: use a JSON array for CMD".into(),
            message: "signals do not reach a shell".into(),
            place: Some(Place { file: "compose/production/django/Dockerfile".into(), line: 40, end_line: 40 }),
        }),
        image_event("docs", done(0, StepOutcome::Done)),
    ];
    events.extend(match end {
        End::Green | End::Deployed | End::RolledBack | End::NotRolledBack => vec![
            image_event("docs", ImageEvent::Pushing),
            image_event("docs", ImageEvent::Finished(Box::new(docs()))),
            image_event("django", done(2, StepOutcome::Done)),
            image_event("django", ImageEvent::Pushing),
            image_event("django", ImageEvent::Finished(Box::new(result(183_456_789, 84, 9, 14)))),
            Event::StageStarted(Stage::Publish),
            image_event("django", published("django")),
            image_event("docs", published("docs")),
        ],
        End::Red => vec![
            image_event("django", done(2, StepOutcome::Failed("exit code: 1".into()))),
            image_event("django", ImageEvent::Failed(Box::new(failure()))),
            image_event("docs", ImageEvent::Cancelled),
            Event::Finished(RunOutcome::Failure(Box::new(failure()))),
        ],
        End::Cancelled | End::TimedOut => vec![
            image_event("docs", ImageEvent::Finished(Box::new(docs()))),
            image_event("django", ImageEvent::Cancelled),
            Event::Finished(if end == End::Cancelled { RunOutcome::Cancelled } else { RunOutcome::TimedOut }),
        ],
    });
    events.extend(match end {
        End::Green => vec![Event::Finished(RunOutcome::Success)],
        End::Deployed => deployment(DeployResult::Deployed),
        End::RolledBack => deployment(DeployResult::FailedRolledBack),
        End::NotRolledBack => deployment(DeployResult::FailedNotRolledBack),
        End::Red | End::Cancelled | End::TimedOut => Vec::new(),
    });
    let mut order = Order::default();
    for event in &events {
        order.check(event).expect("an order that a run has");
    }
    let mut state = RunState::new(info(), started);
    let mut states = vec![state.clone()];
    state.images = vec![image("django", &["django", "celeryworker", "celerybeat", "flower"]), image("docs", &["docs"])];
    if matches!(end, End::Deployed | End::RolledBack | End::NotRolledBack) {
        state.targets = vec![TargetState::new(TARGET)];
    }
    for (second, event) in events.iter().enumerate() {
        let elapsed = i64::try_from(second).expect("few events") * 5;
        state.apply(event, started + TimeDelta::seconds(elapsed));
        states.push(state.clone());
    }
    states
}
