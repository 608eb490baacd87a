//! The tables and command lines of the documentation name exactly what the program has: keys, results, exit statuses,
//! commands, permissions and variables.

use std::{collections::BTreeSet, fs, time::Duration};

use build_deploy::{
    commands::exit,
    domain::deploy::{DeployReport, DeployResult},
    inputs::{
        cli::{self, RawInputs},
        parse,
        runner::RunnerEnv,
        spec,
    },
    report::outputs::OUTPUTS,
    signals::Ended,
};
use clap::Command;

use super::{codes, examples::documents, messages::source, path, rows};

/// The part of a document below a heading.
fn section(document: &str, heading: &str) -> String {
    let text = fs::read_to_string(path(document)).unwrap();
    let (_, below) = text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("{document}: {heading}"));
    let mut lines = below.lines();
    let level = heading.split(' ').next().unwrap_or_default().len();
    let is_end = |line: &&str| line.starts_with('#') && line.find(' ').is_some_and(|marks| marks <= level);
    lines.by_ref().take_while(|line| !is_end(line)).map(|line| line.to_owned() + "\n").collect()
}

/// The code in the first cells of the tables below a heading.
fn first_cells(document: &str, heading: &str) -> BTreeSet<String> {
    rows(&section(document, heading)).iter().flat_map(|row| codes(&row[0])).collect()
}

/// The names after a word in the description of an input.
fn after(input: &str, word: &str) -> BTreeSet<String> {
    let help = spec::find(input).unwrap().help;
    let (_, names) = help.split_once(word).unwrap_or_else(|| panic!("{input}: {word}"));
    let (names, _) = names.split_once(". ").unwrap_or((names, ""));
    codes(names).into_iter().collect()
}

/// The keys of a YAML input, as the error for an unknown key lists them.
fn keys_of(input: &str) -> BTreeSet<String> {
    let mut raw = RawInputs::default();
    raw.set(input, "zzzzzzzzzz: 1").unwrap();
    let mistakes = parse::parse(&raw, &RunnerEnv::default()).unwrap_err();
    let list = mistakes.iter().find_map(|mistake| mistake.hint.strip_prefix("use one of "));
    list.unwrap_or_else(|| panic!("{input}: {mistakes:?}")).split(", ").map(str::to_owned).collect()
}

fn set(names: impl IntoIterator<Item = impl Into<String>>) -> BTreeSet<String> {
    names.into_iter().map(Into::into).collect()
}

#[test]
fn the_keys_of_yaml_inputs_are_documented() {
    let of_targets = keys_of("deploy");
    assert!(of_targets.contains("compose"), "{of_targets:?}");
    assert_eq!(first_cells("docs/deploying.md", "## Keys of a target"), of_targets);
    assert_eq!(after("deploy", "Keys: "), of_targets);
    let of_images = keys_of("images");
    assert_eq!(first_cells("docs/recipes/builds.md", "## List the images"), of_images);
    assert_eq!(after("images", "a list of maps with "), of_images);
}

/// Every result of a deployment that a target with Docker Compose can have.
fn results() -> Vec<DeployResult> {
    let next = |result| match result {
        DeployResult::Unchanged => Some(DeployResult::Deployed),
        DeployResult::Deployed => Some(DeployResult::FailedRolledBack),
        DeployResult::FailedRolledBack => Some(DeployResult::FailedNotRolledBack),
        DeployResult::FailedNotRolledBack => Some(DeployResult::Superseded),
        DeployResult::Superseded => Some(DeployResult::MigrationFailed),
        DeployResult::MigrationFailed => Some(DeployResult::Locked),
        DeployResult::Locked => Some(DeployResult::Cancelled),
        DeployResult::Cancelled => Some(DeployResult::Skipped),
        DeployResult::Skipped => None,
    };
    std::iter::successors(Some(DeployResult::Unchanged), |result| next(*result)).collect()
}

#[test]
fn the_results_of_deployments_are_documented() {
    let written = |result: &DeployResult| serde_json::to_value(result).unwrap().as_str().unwrap().to_owned();
    let results: BTreeSet<String> = results().iter().map(written).collect();
    assert_eq!(first_cells("docs/deploying.md", "## Results"), results);
    let (_, text) = OUTPUTS.iter().find(|(name, _)| *name == "deploy-result").unwrap();
    let report = DeployReport {
        name: String::new(),
        kind: "compose",
        result: DeployResult::Deployed,
        services: std::collections::BTreeMap::new(),
        url: None,
        duration: Duration::ZERO,
        reason: None,
        by_hand: Vec::new(),
        hint: None,
        was_switched: false,
        failed_service: None,
        log: Vec::new(),
    };
    let keys = serde_json::to_value(report).unwrap().as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let named = set(codes(text));
    let of_services = set(["image", "digest", "previous"]);
    assert_eq!(named, keys.union(&results).cloned().collect::<BTreeSet<_>>().union(&of_services).cloned().collect());
}

#[test]
fn the_exit_statuses_are_documented() {
    let statuses = [exit::SUCCESS, exit::FAILED, exit::WRONG_INPUT, exit::BAD_RELEASE];
    let of_signals = [Ended::Interrupt, Ended::Terminate].map(Ended::exit_code);
    let table = rows(&section("docs/inputs.md", "## Exit status"));
    let documented = table.iter().flat_map(|row| row[0].split(", ").map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(documented.collect::<BTreeSet<_>>(), set(statuses.iter().chain(&of_signals).map(u8::to_string)));
}

#[test]
fn the_commands_are_documented() {
    let command = cli::command();
    let commands = set(command.get_subcommands().map(Command::get_name));
    assert_eq!(first_cells("docs/inputs.md", "## Commands"), commands);
    let section = section("docs/inputs.md", "## Commands");
    for own in command.get_subcommands().flat_map(Command::get_arguments) {
        let flag = format!("build-deploy plan --{}", own.get_id());
        assert!(section.contains(&flag), "`{flag}` is not documented");
    }
}

#[test]
fn the_command_lines_in_the_documentation_are_valid() {
    let mut count = 0;
    for document in documents() {
        let text = fs::read_to_string(path(&document)).unwrap();
        let fenced = text.lines().filter(|line| line.starts_with("build-deploy ")).map(str::to_owned);
        let inline = text.lines().flat_map(codes).filter(|code| code.starts_with("build-deploy "));
        for line in fenced.chain(inline) {
            let words = line.split_whitespace().map(Into::into);
            if let Err(error) = cli::invocation(words, &RunnerEnv::default()) {
                assert!(!error.use_stderr(), "{document}: `{line}`: {error}");
            }
            count += 1;
        }
    }
    assert!(count > 8, "only {count} command lines were found");
}

#[test]
fn the_permissions_for_files_are_documented() {
    let table = rows(&section("SECURITY.md", "## What is refused"));
    let with_permission = table.iter().take_while(|row| !row[0].contains("/proc"));
    let granted: BTreeSet<String> = with_permission.flat_map(|row| codes(&row[1]).into_iter().take(1)).collect();
    assert_eq!(granted, after("allow", "files of the checkout: "));
    for permission in &granted {
        let mut raw = RawInputs::default();
        raw.set("allow", permission).unwrap();
        assert!(parse::parse(&raw, &RunnerEnv::default()).is_ok(), "{permission}");
    }
}

/// Variables that libraries read: HTTP clients and TLS.
const OF_LIBRARIES: [&str; 6] = ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_DIR", "SSL_CERT_FILE"];
/// Prefixes of the variables that GitHub's runner sets.
const OF_THE_RUNNER: [&str; 4] = ["ACTIONS_", "GITHUB_", "INPUT_", "RUNNER_"];
/// Those with such a prefix that a user sets.
const OF_USERS: [&str; 2] = ["GITHUB_DEFAULT_BRANCH", "GITHUB_TOKEN"];
/// Names in the code that are not variables of the action, or that it sets itself.
const NOT_READ: [&str; 6] = [
    "BUILDKIT_INLINE_CACHE",
    "BUILD_DEPLOY_ENVIRONMENT",
    "BUILD_DEPLOY_POST",
    "CARGO_PKG_VERSION",
    "DOCKER_AUTH_CONFIG",
    "GH_ENTERPRISE_TOKEN",
];

#[test]
fn the_variables_are_documented() {
    let is_variable = |text: &&str| {
        text.contains('_') && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    let source = source();
    let in_code = source.split('"').filter(is_variable).filter(|name| !name.ends_with('_') && name.len() > 4);
    let is_of_runner = |name: &str| OF_THE_RUNNER.iter().any(|prefix| name.starts_with(prefix));
    let read: BTreeSet<String> = in_code
        .filter(|name| OF_USERS.contains(name) || !(is_of_runner(name) || NOT_READ.contains(name)))
        .chain(OF_LIBRARIES)
        .map(str::to_owned)
        .collect();
    assert_eq!(first_cells("docs/inputs.md", "## Environment variables"), read);
}
