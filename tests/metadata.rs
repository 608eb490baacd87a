//! Tags, labels and annotations are those that docker/metadata-action itself made of the same events and rules
//! (`tests/fixtures/metadata`), exactly in `tag-compat` mode, and with known differences without it.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use build_deploy::{
    domain::tag::Tag,
    inputs::{cli::RawInputs, event::git_event, parse::parse, payload::Payload, runner::RunnerEnv, typed::Inputs},
    plan::labels,
    tags::{GitTags, Subject, names::Facts, tags_for},
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
    Error {
        error: String,
    },
    Made {
        tags: Vec<String>,
        labels: Option<Vec<String>>,
        annotations: Option<Vec<String>>,
        /// The same with values that are not escaped for HTML, where that is something else.
        unescaped: Option<Unescaped>,
    },
}

#[derive(Deserialize)]
struct Unescaped {
    tags: Vec<String>,
    labels: Option<Vec<String>>,
    annotations: Option<Vec<String>>,
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
    let env = RunnerEnv::new(server.into_iter().chain(variables));
    let payload =
        event.payload.as_ref().map_or_else(Payload::default, |payload| Payload::read(&payload.to_string()).unwrap());
    let inputs = inputs(case, &env, compat)?;
    let mut git = git_event(&env, &payload, None);
    if git.default_branch.is_none() {
        git.default_branch = Some("master".into());
        git.description = Some("A shop".into());
        git.license = Some("MIT".into());
    }
    git.commit_time = git.commit_time.or_else(|| event.commit_date.clone());

    let facts = Facts::new(&git, &inputs.names.tags, case.now);
    let subject = Subject { event: &git, facts: &facts, git_tags: GitTags::Unasked };
    let tagged = tags_for(&inputs.names.tags, &subject).map_err(|error| error.to_string())?;
    let version = tagged.tags.first().map(Tag::as_str).unwrap_or_default();
    let standard = labels::standard(&git, &facts, version);
    let mut all = standard.clone();
    for written in &inputs.names.labels {
        all.extend(labels::line(written, &facts).map_err(|error| error.to_string())?);
    }
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

/// Why we make something else of a case where docker/metadata-action is not followed exactly. `docs/migrating.md`
/// tells users of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// Without rules our own default tags hold, which `tests/events.rs` tests.
    DefaultTags,
    /// A mistake in a rule is told although this event does not use it.
    MistakeTold,
    /// A label or annotation without `=` is a mistake.
    NoValue,
    /// Values are not escaped for HTML: a tag is no web page.
    NotEscaped,
    /// A tag that registries refuse is made valid, or stood there twice.
    Repaired,
}

/// What we should make of a case, and why that is something else.
fn difference(case: &Case, got: &Result<Made, String>) -> Result<Option<Difference>, String> {
    let Want::Made { tags, unescaped, .. } = &case.want else {
        return if got.is_err() { Ok(None) } else { Err("no error".into()) };
    };
    let made = match got {
        Ok(made) => made,
        // Told before any event is looked at: the same without one.
        Err(error) => {
            let told = inputs(case, &RunnerEnv::new(&case.env), "false");
            return match told {
                Ok(_) => Err(error.clone()),
                Err(told) if told.contains("is not of the form `name=value`") => Ok(Some(Difference::NoValue)),
                Err(_) => Ok(Some(Difference::MistakeTold)),
            };
        }
    };
    if case.tags.is_empty() {
        return Ok(Some(Difference::DefaultTags));
    }
    let plain = unescaped.as_ref().map_or(tags, |unescaped| &unescaped.tags);
    let mut repaired: Vec<String> = Vec::new();
    for tag in plain.iter().map(|tag| Tag::repaired(tag).to_string()) {
        if !repaired.contains(&tag) {
            repaired.push(tag);
        }
    }
    let without_hashes = |tags: &[String]| tags.iter().map(|tag| without_hash(tag).to_owned()).collect::<Vec<_>>();
    if made.tags != repaired && without_hashes(&made.tags) != without_hashes(&repaired) {
        return Err(format!("tags {:?}", made.tags));
    }
    labels_agree(case, made)?;
    Ok(match (made.tags == *tags, plain == tags) {
        (true, _) => None,
        (false, true) => Some(Difference::Repaired),
        (false, false) => Some(Difference::NotEscaped),
    })
}

/// A tag without the hash of the text that was too long for it, which is not in the data.
fn without_hash(tag: &str) -> &str {
    let (kept, hash) = tag.split_at(tag.len().saturating_sub(12));
    if hash.len() == 12 && hash.bytes().all(|b| b.is_ascii_hexdigit()) { kept } else { tag }
}

/// Compares labels and annotations. Empty ones say nothing and are left out here, as is white space around names and
/// values; the revision of a pull request is its own commit, not the merge commit that no one can look up later; the
/// version is the first tag.
fn labels_agree(case: &Case, made: &Made) -> Result<(), String> {
    let Want::Made { labels, annotations, unescaped, .. } = &case.want else { return Ok(()) };
    let unescaped = unescaped.as_ref();
    let comparable = |lines: &[String]| -> Vec<String> {
        let lines = without_created(lines.to_vec());
        let differ = ["revision", "version"].map(|key| format!("org.opencontainers.image.{key}"));
        let pairs = lines.iter().filter_map(|line| line.split_once('=')).map(|(key, value)| (key.trim(), value.trim()));
        let telling = pairs.filter(|(key, value)| {
            !key.ends_with(':')
                && !value.is_empty()
                && !key.is_empty()
                && !differ.iter().any(|other| key.ends_with(other))
        });
        telling.map(|(key, value)| format!("{key}={value}")).collect()
    };
    for (what, want, got) in [
        ("labels", unescaped.and_then(|unescaped| unescaped.labels.as_ref()).or(labels.as_ref()), &made.labels),
        (
            "annotations",
            unescaped.and_then(|unescaped| unescaped.annotations.as_ref()).or(annotations.as_ref()),
            &made.annotations,
        ),
    ] {
        let Some(want) = want else { continue };
        if comparable(want) != comparable(got) {
            return Err(format!("{what} {got:?}\n want {want:?}"));
        }
    }
    Ok(())
}

/// How often each difference occurs in a file.
fn differences(file: &str) -> BTreeMap<Difference, usize> {
    let events: BTreeMap<String, EventCase> = read("events");
    let cases: Vec<Case> = read(file);
    let mut counts = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in &cases {
        let event = &events[&case.event];
        match difference(case, &made(case, event, "false")) {
            Ok(None) => {}
            Ok(Some(difference)) => *counts.entry(difference).or_default() += 1,
            Err(got) => wrong.push(format!("{} {}: {:?} {:?}: got {got}", case.id, case.event, case.tags, case.flavor)),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    counts
}

#[test]
fn every_difference_without_compat_mode_has_its_reason() {
    use Difference::{DefaultTags, MistakeTold, NoValue, NotEscaped, Repaired};
    let published = [(DefaultTags, 15), (NoValue, 4)];
    assert_eq!(differences("published"), published.into());
    let random = [(DefaultTags, 35), (MistakeTold, 35), (NoValue, 23), (NotEscaped, 9), (Repaired, 43)];
    assert_eq!(differences("random"), random.into());
}
