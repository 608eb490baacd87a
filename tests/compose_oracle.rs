//! Compares what we read in compose files with what the real `docker compose config` and `docker buildx bake --print`
//! say of the same files. Neither needs a daemon.
//!
//! Every difference stands in [`DIFFERENCES`] with its reason; one that is no longer there fails the test too.

#![expect(clippy::unwrap_used, reason = "a test may panic wherever it likes")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use build_deploy::{
    compose::{Build, ContextSource, Project, Request, SecretSource, Ulimit, load, normalize},
    compose_files::Directory,
};
use serde_json::{Map, Value, json};

/// A directory in `tests/fixtures/compose`.
struct Case {
    name: &'static str,
    /// Compose files; none means that they are looked for.
    files: &'static [&'static str],
    /// The environment, beside `HOME`.
    env: &'static [(&'static str, &'static str)],
    env_files: &'static [&'static str],
    /// The profiles for compose and us. Bake always switches on all.
    profiles: &'static [&'static str],
    /// Where in the fixture the project lies.
    directory: &'static str,
}

const fn case(name: &'static str) -> Case {
    Case { name, files: &[], env: &[], env_files: &[], profiles: &[], directory: "." }
}

fn cases() -> Vec<Case> {
    vec![
        Case { files: &["docker-compose.production.yml"], ..case("cookiecutter-production") },
        Case { files: &["docker-compose.local.yml", "docker-compose.docs.yml"], ..case("cookiecutter-local") },
        case("anchors"),
        case("args"),
        case("args-environment"),
        case("bom"),
        case("bom-dotenv"),
        case("brackets"),
        case("build-short"),
        case("context-git"),
        Case { directory: "project", ..case("context-parent") },
        case("contexts"),
        case("crlf"),
        case("date"),
        case("documents"),
        Case {
            env: &[("FROM_PROCESS", "process"), ("OVERRIDDEN", "process"), ("INHERITED", "inherited")],
            ..case("dotenv")
        },
        case("env-file-broken"),
        case("env-file-missing"),
        Case { env_files: &["one.env", "two.env"], ..case("env-files") },
        case("extends-other-file"),
        case("extends-same-file"),
        case("flags"),
        case("hosts"),
        case("include-extends"),
        case("include-long"),
        case("include-nested"),
        case("include-nested-secret"),
        case("include-override"),
        Case { env: &[("TAG", "process")], ..case("include-short") },
        case("inline"),
        Case {
            env: &[
                ("SET", "set"),
                ("EMPTY", ""),
                ("DOLLAR", "$SET"),
                ("FILE", "App.Dockerfile"),
                ("NUMBER", "010"),
                ("FLAG", "true"),
                ("SIZE", "32m"),
            ],
            ..case("interpolation")
        },
        case("json"),
        case("labels"),
        case("limits"),
        case("no-cache-filter"),
        case("non-ascii"),
        case("number-as-string"),
        Case {
            files: &["compose.yaml", "override.yaml", "third.yaml"],
            env: &[("A", "environment")],
            ..case("override-merge")
        },
        case("override-file"),
        case("platforms"),
        Case { profiles: &["debug"], ..case("profiles") },
        case("profiles-variable"),
        Case { env: &[("SUFFIX", "Project")], ..case("project-name") },
        case("reset-extends"),
        Case { files: &["compose.yaml", "override.yaml"], ..case("reset-override") },
        Case { files: &["compose.yaml", "override.yaml"], ..case("reset-list-item") },
        case("runtime-variable"),
        case("scalars"),
        case("secret-external"),
        case("secret-target"),
        case("secrets"),
        case("ssh"),
        case("ssh-key"),
        Case { files: &["docker/compose.yaml"], ..case("subdirectory") },
        case("unknown-keys"),
        Case { files: &["compose.yaml", "override.yaml"], ..case("x-bake") },
        case("bad-anchor"),
        case("bad-args"),
        case("bad-build"),
        case("bad-build-empty"),
        case("bad-dotenv"),
        case("bad-duplicate"),
        case("bad-extends"),
        case("bad-extends-circle"),
        case("bad-extends-empty"),
        case("bad-extends-file"),
        case("bad-flag"),
        case("bad-hosts"),
        case("bad-include"),
        case("bad-include-circle"),
        case("bad-required"),
        case("bad-secret"),
        case("bad-size"),
        case("bad-ssh"),
        case("bad-tab"),
        case("bad-two-dockerfiles"),
        case("bad-variable"),
        case("bad-yaml"),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tool {
    Compose,
    Bake,
}
use Tool::{Bake, Compose};

/// What may differ: fixture, tool, service (`*` any), field (`*` any), why. The field `(refused)` says that only the
/// tool refuses the project, `(accepted)` that only we do, `(absent)` that only we have the service.
const DIFFERENCES: &[(&str, Tool, &str, &str, &str)] = &[
    (
        "args-environment",
        Bake,
        "web",
        "args",
        "bake looks into the service's `environment` for an argument without a value; Compose and we do not, since it describes the run",
    ),
    ("bom-dotenv", Bake, "*", "(refused)", "bake takes no byte order mark in `.env`; Compose does"),
    (
        "date",
        Compose,
        "*",
        "(refused)",
        "Compose takes an unquoted date for a time and refuses it; it can only be meant as text",
    ),
    ("date", Bake, "*", "(refused)", "as Compose"),
    ("env-file-broken", Compose, "*", "(refused)", "a build does not read the service's `env_file`"),
    ("env-file-broken", Bake, "*", "(refused)", "a build does not read the service's `env_file`"),
    (
        "env-file-missing",
        Compose,
        "*",
        "(refused)",
        "a build does not need the service's `env_file`, which is rarely in a checkout",
    ),
    (
        "env-file-missing",
        Bake,
        "*",
        "(refused)",
        "a build does not need the service's `env_file`, which is rarely in a checkout",
    ),
    ("env-files", Bake, "web", "args", "bake has no `--env-file`"),
    (
        "flags",
        Bake,
        "*",
        "entitlements",
        "bake ignores `privileged` and `entitlements`, and takes `network: host` for one; our plan adds that",
    ),
    ("include-extends", Compose, "*", "(refused)", "newer than this Compose: a service may extend an included one"),
    ("include-extends", Bake, "*", "(refused)", "as Compose"),
    (
        "include-nested",
        Bake,
        "b",
        "context",
        "bake puts the directory of a nested include before a path twice; Compose once",
    ),
    (
        "include-override",
        Compose,
        "*",
        "(refused)",
        "newer than this Compose: the own service is laid over the included one",
    ),
    ("include-override", Bake, "*", "(refused)", "as Compose"),
    (
        "include-nested-secret",
        Bake,
        "*",
        "(refused)",
        "bake puts the directory of a nested include before a secret's path twice; Compose once",
    ),
    ("limits", Bake, "*", "shm_size", "bake prints sizes rounded to four digits"),
    ("limits", Bake, "ulimits", "ulimits", "bake loses limits that are a single number"),
    (
        "override-file",
        Compose,
        "web",
        "target",
        "`compose.override.yaml` is for somebody's own machine; the input `compose-file` can name it, and bake leaves it out too",
    ),
    ("override-merge", Bake, "web", "ulimits", "bake loses limits that are a single number"),
    ("no-cache-filter", Compose, "*", "(refused)", "newer than this Compose"),
    ("no-cache-filter", Bake, "*", "(refused)", "newer than this bake"),
    (
        "number-as-string",
        Compose,
        "*",
        "(refused)",
        "Compose refuses an unquoted number where a string is due; we take it as it is written",
    ),
    ("number-as-string", Bake, "*", "(refused)", "as Compose"),
    ("project-name", Bake, "web", "args", "bake does not bring the project's name into Compose's form"),
    ("project-name", Bake, "web", "tags", "bake does not bring the project's name into Compose's form"),
    (
        "reset-list-item",
        Compose,
        "web",
        "args",
        "Compose cannot reset an argument that was given in a list; we see no difference to a mapping",
    ),
    ("reset-list-item", Bake, "web", "args", "as Compose"),
    ("runtime-variable", Compose, "*", "(refused)", "a build does not need the variables of `environment`"),
    ("runtime-variable", Bake, "*", "(refused)", "a build does not need the variables of `environment`"),
    ("secret-external", Bake, "*", "(refused)", "the input `secrets` may bring an external secret's value"),
    ("secret-target", Bake, "web", "secrets", "bake ignores `target`, the id that the Dockerfile uses"),
    ("ssh-key", Compose, "*", "(refused)", "Compose fails to print a key with a path as JSON (invalid character ':')"),
    ("subdirectory", Bake, "*", "args", "bake reads `.env` in the current directory, Compose beside the first file"),
    (
        "subdirectory",
        Bake,
        "*",
        "context",
        "bake takes paths from the current directory, Compose from the first file's",
    ),
    ("x-bake", Compose, "*", "*", "Compose leaves `x-bake` to bake"),
];

/// A service's build, field by field; empty fields are left out.
type Definition = BTreeMap<&'static str, Value>;
type Definitions = BTreeMap<String, Definition>;

fn tool(tool: Tool) -> PathBuf {
    let lab = std::env::var("BUILD_DEPLOY_LAB").unwrap_or_else(|_| "/var/tmp/build-deploy-lab".to_owned());
    let name = match tool {
        Compose => "docker-compose",
        Bake => "docker-buildx",
    };
    let path = Path::new(&lab).join("docker-config/cli-plugins").join(name);
    assert!(path.exists(), "{} is not there: run `scripts/lab.sh tools`", path.display());
    path
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Runs a tool on a case. `Err` is what it complains of.
fn ask(which: Tool, case: &Case, directory: &Path) -> Result<Value, String> {
    let mut command = Command::new(tool(which));
    command.current_dir(directory).env_clear().env("HOME", "/nonexistent").env("BUILDX_CONFIG", directory);
    command.env("SSH_AUTH_SOCK", directory.join("agent.sock"));
    command.envs(case.env.iter().copied());
    match which {
        Compose => {
            for file in case.files {
                command.args(["-f", file]);
            }
            for profile in case.profiles {
                command.args(["--profile", profile]);
            }
            for file in case.env_files {
                command.args(["--env-file", file]);
            }
            command.args(["config", "--format", "json"]);
        }
        Bake => {
            command.args(["bake", "--print", "--progress", "quiet"]);
            for file in case.files {
                command.args(["-f", file]);
            }
        }
    }
    let output = command.output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(complaint);
    }
    let answer = serde_json::from_slice(&output.stdout).map_err(|error| format!("{error}: {complaint}"))?;
    // Both print what they could read again: Compose doubles every `$`, bake those before a brace.
    Ok(unescaped(&answer, if which == Compose { ("$$", "$") } else { ("$${", "${") }))
}

fn unescaped(value: &Value, (from, to): (&str, &str)) -> Value {
    match value {
        Value::String(text) => json!(text.replace(from, to)),
        Value::Array(items) => items.iter().map(|item| unescaped(item, (from, to))).collect(),
        Value::Object(entries) => {
            entries.iter().map(|(key, item)| (key.replace(from, to), unescaped(item, (from, to)))).collect()
        }
        other => other.clone(),
    }
}

/// A path as seen from `directory`; anything else stays.
fn relative(text: &str, directory: &Path) -> String {
    if text.contains("://") || text.starts_with("git@") || text.starts_with("github.com/") || text.contains("service:")
    {
        return text.to_owned();
    }
    let Ok(path) = Path::new(text).strip_prefix("/") else { return normalize(text) };
    let mut base = directory.strip_prefix("/").unwrap();
    let mut up = String::new();
    loop {
        if let Ok(rest) = path.strip_prefix(base) {
            // A path that has nothing in common with the project is absolute in all three.
            let outside = base.components().count() < 2;
            return if outside { text.to_owned() } else { normalize(&format!("{up}{}", rest.display())) };
        }
        base = base.parent().unwrap();
        up.push_str("../");
    }
}

/// Leaves out what is as good as absent.
fn tidy(fields: Vec<(&'static str, Value)>) -> Definition {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::Number(_) => false,
    };
    fields.into_iter().filter(|(_, value)| !empty(value)).collect()
}

fn sorted(items: impl IntoIterator<Item = String>) -> Value {
    Value::from(items.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>())
}

fn map(pairs: &[(String, String)]) -> Value {
    Value::Object(pairs.iter().map(|(key, value)| (key.clone(), json!(value))).collect())
}

fn ours(project: &Project, which: Tool) -> Definitions {
    let services = match which {
        Compose => project.services.iter().collect::<Vec<_>>(),
        Bake => project.services.iter().chain(&project.disabled).collect(),
    };
    services
        .into_iter()
        .filter_map(|service| {
            Some((service.name.clone(), definition(service.build.as_ref()?, service.image.as_ref(), which)))
        })
        .collect()
}

fn definition(build: &Build, image: Option<&String>, which: Tool) -> Definition {
    let context = |source: &ContextSource| match source {
        ContextSource::Path(text) | ContextSource::Remote(text) => text.clone(),
        ContextSource::Service(name) => format!("service:{name}"),
    };
    let secret = |id: &str, source: &SecretSource| match source {
        SecretSource::File(path) => format!("{id} file {path}"),
        SecretSource::Environment(variable) => format!("{id} env {variable}"),
        SecretSource::External => format!("{id} external"),
    };
    let limit = |limit: &Ulimit| format!("{}={}:{}", limit.name, limit.soft, limit.hard);
    let tags = match which {
        Bake if build.tags.is_empty() => image.into_iter().cloned().collect(),
        _ => build.tags.clone(),
    };
    let dockerfile = match (&build.dockerfile, &build.dockerfile_inline) {
        (None, None) => Some("Dockerfile".to_owned()),
        (dockerfile, _) => dockerfile.clone(),
    };
    let contexts =
        build.additional_contexts.iter().map(|(name, source)| (name.clone(), context(source))).collect::<Vec<_>>();
    tidy(vec![
        ("context", json!(build.context)),
        ("dockerfile", json!(dockerfile)),
        ("dockerfile_inline", json!(build.dockerfile_inline)),
        ("args", map(&build.args)),
        ("target", json!(build.target)),
        ("contexts", map(&contexts)),
        ("labels", map(&build.labels)),
        ("tags", sorted(tags)),
        ("platforms", sorted(build.platforms.clone())),
        ("cache_from", sorted(build.cache_from.iter().map(|text| cache(text)))),
        ("cache_to", sorted(build.cache_to.iter().map(|text| cache(text)))),
        ("network", json!(build.network)),
        ("shm_size", json!(build.shm_size)),
        ("ulimits", sorted(build.ulimits.iter().map(limit))),
        ("extra_hosts", sorted(build.extra_hosts.iter().map(|(host, ip)| format!("{host}={ip}")))),
        ("secrets", sorted(build.secrets.iter().map(|s| secret(&s.id, &s.source)))),
        ("ssh", sorted(build.ssh.iter().map(|k| format!("{} {}", k.id, k.path.as_deref().unwrap_or_default())))),
        ("no_cache", json!(build.no_cache)),
        ("no_cache_filter", sorted(build.no_cache_filter.clone())),
        ("pull", json!(build.pull)),
        ("entitlements", sorted(build.entitlements.clone())),
    ])
}

/// A cache in one spelling: a bare reference written out, attributes sorted.
fn cache(text: &str) -> String {
    if !text.contains('=') {
        return cache(&format!("type=registry,ref={text}"));
    }
    text.split(',').collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(",")
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|item| item.as_str().unwrap().to_owned()).collect()
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn paths(value: &Value, directory: &Path) -> Value {
    let context = |text: &str| relative(text, directory).replace("target:", "service:");
    Value::Object(object(value).into_iter().map(|(k, v)| (k, json!(context(v.as_str().unwrap())))).collect())
}

fn composes(answer: &Value, directory: &Path) -> Definitions {
    let secret = |item: &Value| {
        let source = item["source"].as_str().unwrap();
        let id = item["target"].as_str().unwrap_or(source);
        let definition = &answer["secrets"][source];
        match (definition["file"].as_str(), definition["environment"].as_str()) {
            (Some(path), _) => format!("{id} file {}", relative(path, directory)),
            (_, Some(variable)) => format!("{id} env {variable}"),
            _ => format!("{id} external"),
        }
    };
    let limit = |(name, value): (String, Value)| match &value {
        Value::Object(limits) => format!("{name}={}:{}", limits["soft"], limits["hard"]),
        limit => format!("{name}={limit}:{limit}"),
    };
    let build = |build: &Value| {
        let mut entitlements = strings(&build["entitlements"]);
        if build["privileged"] == json!(true) {
            entitlements.push("security.insecure".to_owned());
        }
        tidy(vec![
            ("context", json!(relative(build["context"].as_str().unwrap(), directory))),
            ("dockerfile", build["dockerfile"].clone()),
            ("dockerfile_inline", build["dockerfile_inline"].clone()),
            ("args", build["args"].clone()),
            ("target", build["target"].clone()),
            ("contexts", paths(&build["additional_contexts"], directory)),
            ("labels", build["labels"].clone()),
            ("tags", sorted(strings(&build["tags"]))),
            ("platforms", sorted(strings(&build["platforms"]))),
            ("cache_from", sorted(strings(&build["cache_from"]).iter().map(|text| cache(text)))),
            ("cache_to", sorted(strings(&build["cache_to"]).iter().map(|text| cache(text)))),
            ("network", build["network"].clone()),
            ("shm_size", json!(build["shm_size"].as_str().map(|text| text.parse::<u64>().unwrap()))),
            ("ulimits", sorted(object(&build["ulimits"]).into_iter().map(limit))),
            ("extra_hosts", sorted(strings(&build["extra_hosts"]))),
            ("secrets", sorted(build["secrets"].as_array().into_iter().flatten().map(secret))),
            ("ssh", sorted(strings(&build["ssh"]).iter().map(|id| format!("{id} ")))),
            ("no_cache", build["no_cache"].clone()),
            ("no_cache_filter", sorted(strings(&build["no_cache_filter"]))),
            ("pull", build["pull"].clone()),
            ("entitlements", sorted(entitlements)),
        ])
    };
    object(&answer["services"])
        .into_iter()
        .filter(|(_, service)| !service["build"].is_null())
        .map(|(name, service)| (name, build(&service["build"])))
        .collect()
}

fn bakes(answer: &Value, directory: &Path) -> Definitions {
    let entry = |item: &Value| match item {
        Value::String(text) => cache(text),
        item => {
            let fields = object(item).into_iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap()));
            cache(&fields.collect::<Vec<_>>().join(","))
        }
    };
    let caches = |value: &Value| sorted(value.as_array().into_iter().flatten().map(entry));
    let secret = |item: &Value| {
        let id = item["id"].as_str().unwrap();
        match (item["src"].as_str(), item["env"].as_str()) {
            (Some(path), _) => format!("{id} file {}", relative(path, directory)),
            (_, Some(variable)) => format!("{id} env {variable}"),
            _ => format!("{id} external"),
        }
    };
    let ssh = |item: &Value| {
        let path = strings(&item["paths"]).first().map(|path| relative(path, directory));
        format!("{} {}", item["id"].as_str().unwrap(), path.unwrap_or_default())
    };
    let hosts = |value: &Value| {
        let each = |(host, ips): (String, Value)| {
            let ips = ips.as_str().unwrap().split(',').map(|ip| format!("{host}={ip}")).collect::<Vec<_>>();
            ips.into_iter()
        };
        sorted(object(value).into_iter().flat_map(each))
    };
    let target = |target: &Value| {
        tidy(vec![
            ("context", json!(relative(target["context"].as_str().unwrap(), directory))),
            (
                "dockerfile",
                if target["dockerfile-inline"].is_null() { target["dockerfile"].clone() } else { Value::Null },
            ),
            ("dockerfile_inline", target["dockerfile-inline"].clone()),
            ("args", target["args"].clone()),
            ("target", target["target"].clone()),
            ("contexts", paths(&target["contexts"], directory)),
            ("labels", target["labels"].clone()),
            ("tags", sorted(strings(&target["tags"]))),
            ("platforms", sorted(strings(&target["platforms"]))),
            ("cache_from", caches(&target["cache-from"])),
            ("cache_to", caches(&target["cache-to"])),
            ("network", target["network"].clone()),
            ("shm_size", json!(target["shm-size"].as_str().map(|text| build_deploy::compose::bytes(text).unwrap()))),
            ("ulimits", sorted(strings(&target["ulimits"]))),
            ("extra_hosts", hosts(&target["extra-hosts"])),
            ("secrets", sorted(target["secret"].as_array().into_iter().flatten().map(secret))),
            ("ssh", sorted(target["ssh"].as_array().into_iter().flatten().map(ssh))),
            ("no_cache", target["no-cache"].clone()),
            ("no_cache_filter", sorted(strings(&target["no-cache-filter"]))),
            ("pull", target["pull"].clone()),
            ("entitlements", sorted(strings(&target["entitlements"]))),
        ])
    };
    object(&answer["target"]).into_iter().map(|(name, value)| (name, target(&value))).collect()
}

/// What differs in one case, as service, field, and both sides.
fn compare(ours: &Definitions, theirs: &Definitions) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    for name in names {
        let (Some(ours), Some(theirs)) = (ours.get(name), theirs.get(name)) else {
            let field = if theirs.contains_key(name) { "(missing)" } else { "(absent)" };
            found.push((name.clone(), field.to_owned(), String::new()));
            continue;
        };
        let fields: BTreeSet<&&str> = ours.keys().chain(theirs.keys()).collect();
        for field in fields {
            if ours.get(*field) != theirs.get(*field) {
                let side = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
                let sides = format!("ours {}, theirs {}", side(ours.get(*field)), side(theirs.get(*field)));
                found.push((name.clone(), (*field).to_string(), sides));
            }
        }
    }
    found
}

#[test]
fn reads_compose_files_as_docker_does() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compose");
    let there: BTreeSet<String> =
        fs::read_dir(&fixtures).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let known: BTreeSet<String> = cases().iter().map(|case| case.name.to_owned()).collect();
    assert_eq!(there, known, "every fixture has a case and the other way round");

    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().canonicalize().unwrap();
    let mut used = vec![false; DIFFERENCES.len()];
    let mut surprises = Vec::new();
    for case in cases() {
        copy(&fixtures.join(case.name), &root.join(case.name));
        let directory = root.join(case.name).join(case.directory);
        // Bake wants to see an agent where `ssh: default` is used.
        let _agent = std::os::unix::net::UnixListener::bind(directory.join("agent.sock")).unwrap();
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let request = Request {
            files: owned(case.files),
            env: case.env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            withheld: BTreeSet::new(),
            env_files: Some(owned(case.env_files)).filter(|files| !files.is_empty()),
            profiles: owned(case.profiles),
            default_name: directory.file_name().unwrap().to_str().unwrap().to_owned(),
        };
        let project = load(&request, &Directory::new(&directory));
        for which in [Compose, Bake] {
            let found = match (&project, ask(which, &case, &directory)) {
                (Ok(project), Ok(answer)) => {
                    let theirs = match which {
                        Compose => composes(&answer, &directory),
                        Bake => bakes(&answer, &directory),
                    };
                    compare(&ours(project, which), &theirs)
                }
                (Ok(_), Err(complaint)) => vec![("*".to_owned(), "(refused)".to_owned(), complaint)],
                (Err(error), Ok(_)) => vec![("*".to_owned(), "(accepted)".to_owned(), error.to_string())],
                (Err(_), Err(_)) => Vec::new(),
            };
            assert!(project.is_err() == case.name.starts_with("bad-"), "{}: {:?}", case.name, project.err());
            for (service, field, sides) in found {
                let row = DIFFERENCES.iter().position(|(c, t, s, f, _)| {
                    *c == case.name && *t == which && (*s == "*" || *s == service) && (*f == "*" || *f == field)
                });
                match row {
                    Some(row) => used[row] = true,
                    None => surprises.push(format!("{} {which:?} {service} {field}: {}", case.name, sides.trim())),
                }
            }
        }
    }
    assert!(surprises.is_empty(), "differences without a reason:\n{}", surprises.join("\n"));
    let stale: Vec<_> = DIFFERENCES.iter().zip(used).filter(|(_, used)| !used).map(|(row, _)| row).collect();
    assert!(stale.is_empty(), "differences that are no more: {stale:#?}");
}
