//! The workflows in the documentation are complete and can be copied: their inputs exist and have valid values, and
//! every job grants the permissions that it needs and no others.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use build_deploy::{
    inputs::{cli::RawInputs, parse, runner::RunnerEnv, spec},
    report::outputs::OUTPUTS,
    yaml::{self, Key, Node},
};

use super::{codes, description, path};

/// The action, as workflows name it.
const ACTION: &str = "izhan/build-deploy";
const VERSION: &str = "izhan/build-deploy@v1";

/// The names of permissions and whether a token can have them for writing
/// (<https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#permissions>).
const PERMISSIONS: &[&str] =
    &["actions", "attestations", "contents", "deployments", "id-token", "packages", "pull-requests"];

/// Permissions that other actions need.
const OF_OTHERS: &[(&str, &str, &str)] = &[
    ("actions/attest", "attestations", "write"),
    ("actions/attest", "id-token", "write"),
    ("actions/checkout", "contents", "read"),
    ("azure/login", "id-token", "write"),
    ("google-github-actions/auth", "id-token", "write"),
    ("sigstore/cosign-installer", "id-token", "write"),
];

/// Permissions by name: `read` or `write`.
type Permissions = BTreeMap<String, String>;

/// A fenced block of YAML in a document.
struct Block {
    /// File and line, for messages.
    place: String,
    text: String,
}

fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key)?.written().map(Cow::into_owned)
}

fn entries(node: Option<&Node>) -> &[(Key, Node)] {
    node.and_then(Node::entries).unwrap_or_default()
}

/// The documents that users read.
pub(crate) fn documents() -> Vec<String> {
    fn below(directory: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap().path();
            if entry.is_dir() {
                below(&entry, found);
            } else if entry.extension().is_some_and(|extension| extension == "md") {
                found.push(entry.strip_prefix(path(".")).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found: Vec<String> =
        ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(str::to_owned).into();
    below(&path("./docs"), &mut found);
    found.sort();
    found
}

/// The blocks of YAML that use the action.
fn blocks(document: &str) -> Vec<Block> {
    let text = fs::read_to_string(path(document)).unwrap();
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if line.trim() == "```yaml" {
            let body: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```").collect();
            blocks.push(Block { place: format!("{document}:{}", index + 1), text: body.join("\n") });
        }
    }
    blocks.retain(|block| block.text.contains(ACTION));
    blocks
}

/// A text with a value in place of every `${{ … }}`: a JSON map for the output `digests`, otherwise a word.
fn evaluated(text: &str) -> String {
    let mut parts = text.split("${{");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        let (expression, rest) = part.split_once("}}").unwrap_or((part, ""));
        let value = if expression.trim_end().ends_with(".outputs.digests") { "{}" } else { "value" };
        all + value + rest
    })
}

/// The permissions that the text of an input's description names in the form `name: write`.
fn named_permissions(description: &str) -> Vec<(String, String)> {
    let pair = |code: String| {
        let (name, level) = code.trim_start_matches("permissions: ").split_once(": ")?;
        PERMISSIONS.contains(&name).then(|| (name.to_owned(), level.to_owned()))
    };
    codes(description).into_iter().filter_map(pair).collect()
}

/// Checks a step of the action, and returns the permissions that it needs and those that it can use.
fn check_step(step: &Node, place: &str) -> (Permissions, Permissions) {
    assert_eq!(text(step, "uses").as_deref(), Some(VERSION), "{place}");
    let mut raw = RawInputs::default();
    let (mut needed, mut usable) = (Permissions::new(), Permissions::new());
    for (name, value) in entries(step.get("with")) {
        let name = &name.text;
        let spec = spec::find(name).unwrap_or_else(|| panic!("{place}: there is no input `{name}`"));
        assert!(!spec.is_hidden(), "{place}: `{name}` cannot be used");
        let value = value.written().unwrap_or_else(|| panic!("{place}: `{name}` is not a text"));
        raw.set(name, &evaluated(&value)).unwrap();
        needed.extend(named_permissions(&description(spec)));
    }
    let env = RunnerEnv::new([("GITHUB_ACTOR", "ada"), ("GITHUB_ACTIONS", "true")]);
    if let Err(mistakes) = parse::parse(&raw, &env) {
        let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        panic!("{place}: {}", mistakes.join("; "));
    }
    if raw.get("notify-on") == Some("change") || raw.get("mention-on") == Some("first-failure") {
        needed.insert("actions".to_owned(), "read".to_owned());
    }
    usable.insert("actions".to_owned(), "read".to_owned());
    let names = raw.written("image-name").unwrap_or("{registry}");
    let to_ghcr =
        names.contains("ghcr.io/") || (names.contains("{registry}") && raw.get("registry") == Some("ghcr.io"));
    // A server pulls with the login of the job.
    if matches!(raw.get("command"), Some("run" | "deploy" | "rollback")) && to_ghcr {
        usable.insert("packages".to_owned(), "read".to_owned());
        if raw.get("command") == Some("run") && raw.get("push") != Some("false") {
            needed.insert("packages".to_owned(), "write".to_owned());
        }
    }
    (needed, usable)
}

/// Checks that the outputs of the step `id` that a workflow names exist.
fn check_outputs(workflow: &str, id: &str, place: &str) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    for named in workflow.split(&format!("steps.{id}.outputs.")).skip(1) {
        let name = named.split(|c| !is_name(c)).next().unwrap_or_default();
        assert!(OUTPUTS.iter().any(|(known, _)| *known == name), "{place}: there is no output `{name}`");
    }
}

/// Checks a job, and the steps of the action in it.
fn check_job(job: &Node, of_workflow: Option<&Node>, only_pull_requests: bool, place: &str) {
    assert!(text(job, "runs-on").is_some(), "{place}: no `runs-on`");
    let steps = job.get("steps").and_then(Node::items).unwrap_or_else(|| panic!("{place}: no `steps`"));
    let (mut needed, mut usable) = (Permissions::new(), Permissions::new());
    let mut found = false;
    for step in steps {
        let uses = text(step, "uses").unwrap_or_default();
        for (_, name, level) in OF_OTHERS.iter().filter(|(action, ..)| uses.starts_with(&format!("{action}@"))) {
            needed.insert((*name).to_owned(), (*level).to_owned());
        }
        if uses.starts_with("docker/login-action@") {
            // A step of the job's own may push.
            usable.insert("packages".to_owned(), "write".to_owned());
        }
        if uses.starts_with(ACTION) {
            found = true;
            let (more, possible) = check_step(step, place);
            needed.extend(more);
            usable.extend(possible);
            // Nothing is pushed then.
            if only_pull_requests && step.get("with").and_then(|with| text(with, "push")).is_none() {
                needed.remove("packages");
            }
        }
    }
    if !found {
        return;
    }
    let granted = job.get("permissions").or(of_workflow);
    let granted: Permissions = entries(granted)
        .iter()
        .map(|(name, level)| {
            let name = name.text.clone();
            let level = level.written().unwrap_or_else(|| panic!("{place}: `permissions: {name}` is not a text"));
            (name, level.into_owned())
        })
        .collect();
    for (name, level) in &granted {
        assert!(PERMISSIONS.contains(&name.as_str()), "{place}: unknown permission `{name}`");
        let useful = needed.get(name) == Some(level) || (!needed.contains_key(name) && usable.get(name) == Some(level));
        assert!(useful, "{place}: `{name}: {level}` is not needed");
    }
    let missing: BTreeSet<_> = needed.iter().filter(|(name, level)| granted.get(*name) != Some(*level)).collect();
    assert!(missing.is_empty(), "{place}: missing permissions {missing:?}");
}

#[test]
fn workflows_in_the_documentation_are_complete_and_valid() {
    let mut count = 0;
    for block in documents().iter().flat_map(|document| blocks(document)) {
        let place = &block.place;
        let workflow = yaml::parse_one(place, &block.text).unwrap_or_else(|error| panic!("{error}"));
        let on = workflow.get("on").unwrap_or_else(|| panic!("{place}: no `on`"));
        let only_pull_requests = on.written().as_deref() == Some("pull_request");
        let jobs = entries(workflow.get("jobs"));
        assert!(!jobs.is_empty(), "{place}: no `jobs`");
        for (_, job) in jobs {
            let Some(steps) = job.get("steps").and_then(Node::items) else { continue };
            for step in steps.iter().filter(|step| text(step, "uses").as_deref() == Some(VERSION)) {
                if let Some(id) = text(step, "id") {
                    check_outputs(&block.text, &id, place);
                }
            }
            check_job(job, workflow.get("permissions"), only_pull_requests, place);
        }
        count += 1;
    }
    assert!(count > 20, "only {count} examples were found");
}
