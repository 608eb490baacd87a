//! Tags, labels and annotations are those that docker/metadata-action itself made of the same events and rules
//! (`tests/fixtures/metadata`), exactly in `tag-compat` mode, and with known differences without it.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use build_deploy::{
    inputs::{cli::RawInputs, context::GitEvent, parse::parse, payload::Payload, runner::RunnerEnv, typed::Inputs},
    plan::{
        labels,
        tags::{Facts, Subject, Tag, tags_for},
    },
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// An event as the runner hands it over.
#[derive(Deserialize)]
struct EventCase {
    env: BTreeMap<String, String>,
    payload: Option<Value>,
    /// What GitHub's API says of the commit.
    commit_date: Option<String>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    event: String,
    #[serde(default)]
    tags: String,
    #[serde(default)]
    flavor: String,
    #[serde(default)]
    labels: String,
    #[serde(default)]
    annotations: String,
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// The time of the run.
    now: DateTime<Utc>,
    want: Want,
}

/// What docker/metadata-action made of it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Want {
    Error { error: String },
    Made { tags: Vec<String>, labels: Option<Vec<String>>, annotations: Option<Vec<String>> },
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/tests/fixtures/metadata/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

struct Made {
    tags: Vec<String>,
    labels: Vec<String>,
    annotations: Vec<String>,
}

fn inputs(case: &Case, env: &RunnerEnv, compat: &str) -> Result<Inputs, String> {
    let mut raw = RawInputs::default();
    for (name, value) in [
        ("tags", case.tags.as_str()),
        ("flavor", &case.flavor),
        ("labels", &case.labels),
        ("annotations", &case.annotations),
        ("tag-compat", compat),
    ] {
        raw.set(name, value).unwrap();
    }
    parse(&raw, env).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// What we make of a case.
fn made(case: &Case, event: &EventCase, compat: &str) -> Result<Made, String> {
    let server = [("GITHUB_SERVER_URL", "https://github.com"), ("GITHUB_REPOSITORY", "acme/shop")];
    let variables = event.env.iter().chain(&case.env).map(|(key, value)| (key.as_str(), value.as_str()));
    let env = RunnerEnv::new(variables.chain(server));
    let payload =
        event.payload.as_ref().map_or_else(Payload::default, |payload| Payload::read(&payload.to_string()).unwrap());
    let inputs = inputs(case, &env, compat)?;
    let mut git = GitEvent::new(&env, &payload, None);
    if git.default_branch.is_none() {
        git.default_branch = Some("master".into());
        git.description = Some("A shop".into());
        git.license = Some("MIT".into());
    }
    git.commit_time = git.commit_time.or_else(|| event.commit_date.clone());

    let facts = Facts::new(&git, &inputs.names.tags, case.now);
    let subject = Subject { event: &git, facts: &facts, git_tags: None };
    let tagged = tags_for(&inputs.names.tags, &subject).map_err(|error| error.to_string())?;
    let version = tagged.tags.first().map(Tag::as_str).unwrap_or_default();
    let standard = labels::standard(&git, &facts, version);
    let mut all = standard.clone();
    all.extend(labels::rendered(&inputs.names.labels, &facts).map_err(|error| error.to_string())?);
    let names = &inputs.names;
    let annotations = labels::annotations(&standard, &names.annotations, &names.annotation_levels, &facts)
        .map_err(|error| error.to_string())?;
    let shown = |all: BTreeMap<String, String>| all.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    Ok(Made {
        tags: tagged.tags.iter().map(ToString::to_string).collect(),
        labels: shown(all),
        annotations: shown(annotations),
    })
}

/// Without the label that tells the time of the build there and of the commit here.
fn without_created(mut lines: Vec<String>) -> Vec<String> {
    lines.retain(|line| !line.contains("org.opencontainers.image.created="));
    lines.sort();
    lines
}

fn exactly(file: &str) {
    let events: BTreeMap<String, EventCase> = read("events");
    let cases: Vec<Case> = read(file);
    let mut wrong = Vec::new();
    for case in &cases {
        let got = made(case, &events[&case.event], "true");
        let told = |what: &str, want: &dyn std::fmt::Debug, got: &dyn std::fmt::Debug| {
            format!(
                "{} {}: {what}\n tags {:?} flavor {:?}\n want {want:?}\n  got {got:?}",
                case.id, case.event, case.tags, case.flavor
            )
        };
        match (&case.want, got) {
            (Want::Error { .. }, Err(_)) => {}
            (Want::Error { error }, Ok(made)) => wrong.push(told("error", error, &made.tags)),
            (Want::Made { tags, .. }, Err(error)) => wrong.push(told("tags", tags, &error)),
            (Want::Made { tags, .. }, Ok(made)) if *tags != made.tags => wrong.push(told("tags", tags, &made.tags)),
            (Want::Made { labels, annotations, .. }, Ok(made)) => {
                for (what, want, got) in
                    [("labels", labels, made.labels), ("annotations", annotations, made.annotations)]
                {
                    let Some(want) = want else { continue };
                    let (want, got) = (without_created(want.clone()), without_created(got));
                    if want != got {
                        wrong.push(told(what, &want, &got));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn published_cases_are_exact_in_compat_mode() {
    exactly("published");
}

#[test]
fn random_cases_are_exact_in_compat_mode() {
    exactly("random");
}
