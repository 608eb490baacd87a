//! `action.yml`, the documentation, the command line and the code agree.
//!
//! `UPDATE=1 cargo test --test contract generated` regenerates the sections between markers.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod examples;
mod links;
mod messages;
mod reference;

use std::{fmt::Write as _, fs, path::PathBuf};

use build_deploy::{
    inputs::{
        cli, moved,
        spec::{self, Fallback, INPUTS, InputSpec},
    },
    report::outputs::OUTPUTS,
    run::post_stage,
    yaml::{self, Node},
};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Compares the part of a file between two markers with what it should be; with `UPDATE=1`, makes it so.
#[track_caller]
fn check_section(file: &str, start: &str, end: &str, want: &str) {
    let text = fs::read_to_string(path(file)).unwrap();
    let (before, rest) = text.split_once(start).unwrap_or_else(|| panic!("{file} has no `{start}`"));
    let (found, after) = rest.split_once(end).unwrap_or_else(|| panic!("{file} has no `{end}`"));
    let want = format!("\n{want}{}", " ".repeat(before.len() - before.trim_end_matches(' ').len()));
    if found == want {
        return;
    }
    // Only then: other tests read these files meanwhile.
    assert!(
        std::env::var_os("UPDATE").is_some(),
        "{file} is out of date: run UPDATE=1 cargo test --test contract generated"
    );
    fs::write(path(file), format!("{before}{start}{want}{end}{after}")).unwrap();
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// What `action.yml` says of an input.
fn description(spec: &InputSpec) -> String {
    let mut text = spec.help.to_owned();
    if let Fallback::Described(words) = spec.default {
        write!(text, " Default: {words}.").unwrap();
    }
    text
}

/// The inputs that most workflows need: the short table of the README.
const COMMON: &[&str] = &[
    "compose-file",
    "services",
    "build-args",
    "secrets",
    "platforms",
    "registry",
    "username",
    "password",
    "image-name",
    "tags",
    "push",
    "cache",
    "discord-webhook",
    "notify-on",
    "deploy",
    "ssh-key",
    "ssh-known-hosts",
    "timeout",
];

/// The default of an input, as a table's cell.
fn default_cell(spec: &InputSpec) -> String {
    match spec.default {
        Fallback::None => "–".to_owned(),
        Fallback::Literal(text) | Fallback::Expression(text) => format!("`{text}`"),
        Fallback::Described(words) => words.to_owned(),
    }
}

/// The short table of the README, in the order of [`COMMON`].
fn common_table() -> String {
    let mut table = "\n| Input | Default | Meaning |\n|---|---|---|\n".to_owned();
    for name in COMMON {
        let spec = spec::find(name).unwrap_or_else(|| panic!("there is no input `{name}`"));
        writeln!(table, "| `{name}` | {} | {} |", default_cell(spec), spec.help).unwrap();
    }
    table.push('\n');
    table
}

#[test]
fn generated_sections_are_up_to_date() {
    let mut inputs = String::new();
    let mut table = String::new();
    let mut group = None;
    for spec in INPUTS {
        writeln!(inputs, "  {}:\n    description: {}\n    required: false", spec.name, quoted(&description(spec)))
            .unwrap();
        if let Some(default) = spec.default.in_action() {
            writeln!(inputs, "    default: {}", quoted(default)).unwrap();
        }
        if group.replace(spec.group) != Some(spec.group) {
            write!(table, "\n### {}\n\n| Input | Type | Default | Meaning |\n|---|---|---|---|\n", spec.group.title())
                .unwrap();
        }
        let default = default_cell(spec);
        let row = format!("| `{}` | {} | {default} | {} |", spec.name, spec.kind.word(), spec.help);
        assert_eq!(row.matches('|').count(), 5, "a cell of `{}` holds a `|`", spec.name);
        writeln!(table, "{row}").unwrap();
    }
    table.push('\n');
    let mut outputs = String::new();
    let mut output_table = "\n| Output | Value |\n|---|---|\n".to_owned();
    for (name, value) in OUTPUTS {
        writeln!(outputs, "  {name}:\n    description: {}", quoted(value)).unwrap();
        writeln!(output_table, "| `{name}` | {value} |").unwrap();
    }
    output_table.push('\n');
    check_section("action.yml", "# inputs:start", "# inputs:end", &inputs);
    check_section("action.yml", "# outputs:start", "# outputs:end", &outputs);
    check_section("README.md", "<!-- common:start -->", "<!-- common:end -->", &common_table());
    check_section("docs/inputs.md", "<!-- inputs:start -->", "<!-- inputs:end -->", &table);
    check_section("docs/inputs.md", "<!-- outputs:start -->", "<!-- outputs:end -->", &output_table);
}

fn map(node: &Node) -> Vec<(String, Node)> {
    node.entries().unwrap().iter().map(|(key, value)| (key.text.clone(), value.clone())).collect()
}

fn texts(node: &Node) -> Vec<(String, String)> {
    map(node).into_iter().map(|(key, value)| (key, value.written().unwrap().into_owned())).collect()
}

fn action() -> Vec<(String, Node)> {
    map(&yaml::parse_one("action.yml", &fs::read_to_string(path("action.yml")).unwrap()).unwrap())
}

fn entry(entries: &mut Vec<(String, Node)>, key: &str) -> Node {
    let index = entries.iter().position(|(name, _)| name == key).unwrap_or_else(|| panic!("action.yml has no {key}"));
    entries.remove(index).1
}

#[test]
fn action_yml_agrees_with_the_command_line() {
    let mut action = action();
    let command = cli::command();
    let flags: Vec<_> = command.get_arguments().filter(|arg| INPUTS.iter().any(|s| s.name == arg.get_id())).collect();
    let inputs = map(&entry(&mut action, "inputs"));
    let names: Vec<&str> = inputs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, flags.iter().map(|arg| arg.get_id().as_str()).collect::<Vec<_>>());
    for ((name, node), flag) in inputs.into_iter().zip(flags) {
        let keys = texts(&node);
        let key = |wanted: &str| keys.iter().find(|(key, _)| key == wanted).map(|(_, text)| text.as_str());
        let help = flag.get_help().unwrap().to_string();
        assert!(key("description").unwrap().starts_with(&help), "{name}");
        assert_eq!(key("required"), Some("false"), "{name}");
        let in_action = key("default").filter(|default| !default.starts_with("${{"));
        let on_command_line = flag.get_default_values().first().map(|default| default.to_str().unwrap());
        assert_eq!(in_action, on_command_line, "{name}");
    }
    let outputs = map(&entry(&mut action, "outputs"));
    let written: Vec<&str> = OUTPUTS.iter().map(|(name, _)| *name).collect();
    assert_eq!(outputs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), written);
}

#[test]
fn action_yml_holds_what_the_runner_needs() {
    let mut action = action();
    let runs = texts(&entry(&mut action, "runs"));
    let owned = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        runs,
        [
            owned("using", "docker"),
            owned("image", "Dockerfile"),
            owned("entrypoint", "/build-deploy"),
            owned("post-entrypoint", "/build-deploy-post"),
            owned("post-if", &format!("env.{} != '{}'", post_stage::VARIABLE, post_stage::NOT_NEEDED)),
        ]
    );
    let branding = texts(&entry(&mut action, "branding"));
    assert_eq!(branding, [owned("icon", "package"), owned("color", "green")]);
    let keys: Vec<&str> = action.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["name", "description", "author", "inputs", "outputs"]);
}

/// The cells of the tables in a text, row by row, without their headings.
fn rows(text: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let lines: Vec<&str> = text.lines().collect();
    let heading = |index: usize| lines.get(index + 1).is_some_and(|next| next.starts_with("|---"));
    let row = |(index, line): &(usize, &&str)| line.starts_with("| ") && !heading(*index);
    lines.iter().enumerate().filter(row).map(|(_, line)| cells(line)).collect()
}

/// What stands between backticks.
fn codes(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Inputs of the actions that `docs/migrating.md` is about, by its headings.
const THEIRS: &[(&str, &str)] = &[
    (
        "docker/metadata-action",
        "context images tags flavor labels annotations sep-tags sep-labels sep-annotations bake-target github-token",
    ),
    (
        "docker/build-push-action",
        "add-hosts allow annotations attests build-args build-contexts builder cache-from cache-to call \
         cgroup-parent context file labels load network no-cache no-cache-filters outputs platforms provenance pull \
         push sbom secrets secret-envs secret-files shm-size ssh tags target ulimit github-token",
    ),
    (
        "docker/bake-action",
        "builder files source targets set vars push load no-cache pull provenance sbom allow call github-token",
    ),
    ("docker/login-action", "registry username password ecr scope logout registry-auth"),
    (
        "docker/setup-buildx-action",
        "version driver driver-opts buildkitd-flags buildkitd-config buildkitd-config-inline endpoint append \
         platforms name use keep-state cleanup cache-binary",
    ),
];

#[test]
fn the_migration_guide_names_every_input_of_theirs_and_only_inputs_of_ours() {
    let guide = fs::read_to_string(path("docs/migrating.md")).unwrap();
    for (action, inputs) in THEIRS {
        let (_, section) = guide.split_once(&format!("## {action}\n")).unwrap_or_else(|| panic!("{action}"));
        // The first table is that of the inputs.
        let table: Vec<&str> = section
            .lines()
            .skip_while(|line| !line.starts_with('|'))
            .take_while(|line| line.starts_with('|'))
            .collect();
        let mut named = Vec::new();
        for row in rows(&table.join("\n")) {
            named.extend(codes(&row[0]));
            for ours in codes(&row[1]) {
                assert!(INPUTS.iter().any(|spec| spec.name == ours), "{action}: there is no input `{ours}`");
            }
            assert!(!codes(&row[1]).is_empty() || row[1] == "–", "{action}: {row:?}");
        }
        named.sort_unstable();
        let mut inputs: Vec<&str> = inputs.split_whitespace().collect();
        inputs.sort_unstable();
        assert_eq!(named, inputs, "{action}");
        for theirs in inputs {
            let ours = INPUTS.iter().any(|spec| spec.name == theirs);
            assert_ne!(
                ours,
                moved::instead_of(theirs).is_some(),
                "{theirs}: an input of ours, or a word on what to write"
            );
        }
    }
}
