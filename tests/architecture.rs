//! The shape of the code: who may import whom, what is pure, how long a file gets.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;

/// Whether a module may touch the world.
#[derive(Clone, Copy, PartialEq)]
enum Nature {
    /// No files, network, processes, environment, runtime.
    Pure,
    /// May do anything.
    Worldly,
}
use Nature::{Pure, Worldly};

/// One line for each module or part of a module: path under `src` without `.rs`, its nature, and what else of the crate it
/// may import: a top-level module (`domain`) or a part of one (`domain::digest`). The longest path that fits a file holds
/// for it.
const RULES: &[(&str, Nature, &[&str])] = &[
    ("domain", Pure, &[]),
    ("events", Worldly, &["domain"]),
    ("tags", Pure, &["domain"]),
    ("inputs", Pure, &["domain", "tags", "yaml"]),
    ("yaml", Pure, &[]),
    ("compose", Pure, &["domain", "yaml"]),
    ("boundary", Worldly, &[]),
    ("environ", Worldly, &["inputs"]),
    ("compose_files", Worldly, &["boundary", "compose", "regular_file"]),
    ("plan", Pure, &["domain", "inputs", "compose", "tags"]),
    ("http", Worldly, &["domain"]),
    ("aws", Worldly, &["domain", "http", "retry"]),
    ("aws/endpoint", Pure, &[]),
    ("aws/error", Pure, &[]),
    ("publish", Worldly, &["domain", "events", "plan", "builder", "registry", "retry", "cancel", "github"]),
    ("publish/board", Pure, &["domain", "plan"]),
    ("deploy", Worldly, &["domain", "cancel", "http", "retry", "ssh"]),
    ("deploy/compose/archive", Pure, &[]),
    ("deploy/compose/commands", Pure, &[]),
    ("deploy/compose/inspect", Pure, &["domain"]),
    ("deploy/compose/probe", Pure, &[]),
    ("deploy/compose/project", Pure, &[]),
    ("deploy/compose/records", Pure, &["domain"]),
    ("deploy/compose/settings", Pure, &["domain", "ssh"]),
    ("deploy/end", Pure, &["domain"]),
    ("deploy/judge", Pure, &["domain"]),
    ("deploy/outcome", Pure, &["domain"]),
    ("deploy/plan", Pure, &["domain"]),
    // Where a run's events and GitHub come in.
    ("deploy/stage", Worldly, &["domain", "cancel", "events", "github"]),
    ("deploy/release", Pure, &["domain"]),
    ("retry", Worldly, &[]),
    ("beside", Worldly, &[]),
    ("cancel", Worldly, &[]),
    (
        "preflight",
        Worldly,
        &[
            "domain",
            "events",
            "inputs",
            "plan",
            "http",
            "builder",
            "buildkit",
            "compose",
            "registry",
            "regular_file",
            "context",
        ],
    ),
    ("context", Worldly, &["domain", "inputs", "builder", "buildkit", "deploy", "publish"]),
    ("laptop", Worldly, &["inputs"]),
    // Could be a crate of its own: it knows nothing of this action's inputs, plans and events.
    ("buildkit", Worldly, CLIENT),
    ("buildkit/build", Pure, &[]),
    ("buildkit/caches", Pure, &[]),
    ("buildkit/error", Pure, &[]),
    ("buildkit/filesync/filter", Pure, &[]),
    ("buildkit/filesync/glob", Pure, &[]),
    ("buildkit/filesync/pattern", Pure, &[]),
    ("buildkit/filesync/regexp", Pure, &[]),
    ("buildkit/filesync/table", Pure, &[]),
    ("buildkit/request", Pure, &[]),
    ("buildkit/steps", Pure, &[]),
    ("buildkit/version", Pure, &[]),
    ("buildkit/ssh/agent", Pure, &[]),
    ("buildkit/ssh/protocol", Pure, &[]),
    (
        "builder",
        Worldly,
        &["buildkit", "domain", "inputs", "compose", "plan", "events", "registry", "regular_file", "retry"],
    ),
    ("builder/capabilities", Pure, &["buildkit", "plan"]),
    ("builder/buildkitd", Pure, &["domain"]),
    ("builder/caches", Pure, &["buildkit", "domain", "inputs"]),
    ("builder/diagnose", Pure, &["buildkit", "domain", "registry"]),
    ("builder/explain", Pure, &["buildkit", "domain", "registry"]),
    ("builder/lines", Pure, &["domain"]),
    ("builder/support", Pure, &["buildkit", "domain"]),
    ("registry", Worldly, &["domain", "http", "retry"]),
    ("registry/challenge", Pure, &[]),
    ("registry/docker_config", Pure, &["domain"]),
    ("registry/index", Pure, &["domain"]),
    ("registry/plain", Pure, &[]),
    ("registry/manifest", Pure, &[]),
    ("registry/permissions", Pure, &["domain"]),
    ("notify", Worldly, &["domain", "http", "retry"]),
    ("notify/message", Pure, &["domain"]),
    ("notify/text", Pure, &["domain"]),
    ("notify/color", Pure, &[]),
    ("notify/discord", Pure, &["domain"]),
    ("notify/policy", Pure, &["domain"]),
    ("notify/final_message", Pure, &["domain"]),
    ("notify/report", Pure, &[]),
    ("notify/service", Pure, &["domain"]),
    ("notify/slack", Pure, &["domain"]),
    ("notify/teams", Pure, &["domain"]),
    ("github", Worldly, &["domain", "http", "retry"]),
    ("github/commands", Pure, &["domain"]),
    ("regular_file", Worldly, &[]),
    ("reporter", Worldly, &["domain"]),
    ("signals", Worldly, &[]),
    // Could be a crate of its own, too.
    ("ssh", Worldly, &["domain::secret"]),
    ("ssh/command", Pure, &[]),
    ("ssh/key", Pure, &["domain::secret"]),
    ("ssh/known_hosts", Pure, &[]),
    ("github/untrusted", Pure, &["domain"]),
    ("report", Pure, &["domain", "github"]),
    ("pipeline", Worldly, &["*"]),
    ("run", Worldly, &["*"]),
    ("commands", Worldly, &["*"]),
    ("lib", Worldly, &["*"]),
    ("main", Worldly, &["*"]),
];

/// All that the BuildKit client may import.
const CLIENT: &[&str] =
    &["domain::credentials", "domain::digest", "domain::platform", "domain::secret", "regular_file"];

const LONGEST_FILE: usize = 400;

struct Source {
    /// Directory of its crate's sources.
    root: String,
    /// Path under it without `.rs` and `/mod`.
    module: String,
    /// All of it.
    text: String,
    /// Without tests and comments.
    code: String,
}

/// The product's.
fn sources() -> Vec<Source> {
    sources_in("src")
}

/// Those of the product and of the stand-ins.
fn all_sources() -> Vec<Source> {
    let mut sources = sources();
    sources.extend(sources_in(STAND_INS));
    sources
}

const STAND_INS: &str = "crates/stand-ins/src";

fn sources_in(top: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(top);
    let mut sources = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let module = path.strip_prefix(&root).unwrap().with_extension("").to_str().unwrap().to_owned();
                let is_test = |part: &str| part == "tests" || part.ends_with("_tests");
                if module.split('/').any(is_test) {
                    continue;
                }
                let text = fs::read_to_string(&path).unwrap();
                let before_tests = text.split("\n#[cfg(test)]\nmod ").next().unwrap();
                let code = before_tests.lines().map(without_comment).collect::<Vec<_>>().join("\n");
                let module = module.trim_end_matches("/mod").to_owned();
                sources.push(Source { root: top.to_owned(), module, text, code });
            }
        }
    }
    assert!(sources.len() > 10);
    sources
}

fn without_comment(line: &str) -> &str {
    let trimmed = line.trim_start();
    if trimmed.starts_with("//") { "" } else { line.split(" // ").next().unwrap_or(line) }
}

fn rule(module: &str) -> (Nature, &'static [&'static str]) {
    let fits = |path: &str| module == path || module.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    let best = RULES.iter().filter(|(path, ..)| fits(path)).max_by_key(|(path, ..)| path.len());
    best.map_or_else(|| panic!("no rule for src/{module}"), |(_, nature, imports)| (*nature, *imports))
}

/// What the code names of this crate, as paths such as `domain::event::Event`.
fn imports(code: &str) -> BTreeSet<String> {
    let token = Regex::new(r"^(\w+|::|[{},]|\s+)").unwrap();
    let mut found = BTreeSet::new();
    for (start, before) in code.match_indices("crate::") {
        let mut rest = &code[start + before.len()..];
        // The paths in front of the braces that are open, and the path that is being read.
        let (mut above, mut path): (Vec<String>, Option<String>) = (Vec::new(), None);
        let mut joins = true;
        while let Some(token) = token.find(rest).map(|token| token.as_str()) {
            rest = &rest[token.len()..];
            let prefix = || path.as_ref().or(above.last()).filter(|path| !path.is_empty());
            match token {
                "::" => joins = true,
                "{" => above.push(path.take().unwrap_or_default()),
                "," | "}" => {
                    found.extend(path.take());
                    joins = true;
                    if token == "}" {
                        above.pop();
                    }
                }
                blank if blank.trim().is_empty() => {}
                "self" => path = prefix().cloned(),
                word if joins => {
                    path = Some(prefix().map_or_else(|| word.to_owned(), |prefix| format!("{prefix}::{word}")));
                    joins = false;
                }
                // The new name in `a as b`.
                _ => {}
            }
            if above.is_empty() && token != "::" && !rest.starts_with("::") {
                break;
            }
        }
        found.extend(path);
    }
    found
}

/// Whether a path is a module or lies in it.
fn is_within(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[test]
fn modules_import_only_downwards() {
    for source in sources() {
        let own = source.module.split('/').next().unwrap().to_owned();
        let (_, allowed) = rule(&source.module);
        for import in imports(&source.code) {
            let fine = is_within(&import, &own) || allowed.iter().any(|one| *one == "*" || is_within(&import, one));
            assert!(fine, "src/{}.rs may not import {import}", source.module);
        }
    }
}

#[test]
fn pure_modules_touch_nothing() {
    let crates = Regex::new(r"\b(tokio|tokio_stream|reqwest|bollard|tonic|octocrab|hyper|axum|rand)::").unwrap();
    let std = Regex::new(r"\bstd::(\{[^;]*\b)?(fs|env|process|net)\b").unwrap();
    let clock = Regex::new(r"\b(Utc|Instant|SystemTime|Local)::now\b").unwrap();
    for source in sources().iter().filter(|source| rule(&source.module).0 == Pure) {
        for forbidden in [&crates, &std, &clock] {
            let found = forbidden.find(&source.code).map(|found| found.as_str());
            assert_eq!(found, None, "src/{}.rs is pure", source.module);
        }
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    for source in all_sources() {
        assert!(source.text.starts_with("//! "), "{}/{}.rs has no //! on top", source.root, source.module);
    }
}

#[test]
fn no_file_is_too_long() {
    for source in all_sources() {
        let lines = source.code.lines().count();
        assert!(lines <= LONGEST_FILE, "{}/{}.rs has {lines} lines without its tests", source.root, source.module);
    }
}

#[test]
fn the_product_and_the_stand_ins_share_no_code() {
    let outside = Regex::new(r#"(#\[path = |include(_str|_bytes)?!\()"(\.\./)+(src|crates)/"#).unwrap();
    for source in all_sources() {
        let other = if source.root == STAND_INS { "build_deploy" } else { "stand_ins" };
        let found = source.code.contains(other) || outside.is_match(&source.code);
        assert!(!found, "{}/{}.rs uses {other}", source.root, source.module);
    }
    for source in sources() {
        assert!(!source.code.contains("cfg(feature"), "src/{}.rs depends on a feature", source.module);
    }
}

#[test]
fn the_checks_see_what_they_look_for() {
    let code = "use crate::{domain::{a, b::{self, C}}, plan::c,\n github as g};\nlet x = crate::build::y(x, z);";
    let want = ["build::y", "domain::a", "domain::b", "domain::b::C", "github", "plan::c"].map(String::from);
    assert_eq!(imports(code), BTreeSet::from(want));
    assert!(is_within("domain::b::C", "domain::b") && !is_within("domain::bc", "domain::b"));
}
