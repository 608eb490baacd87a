//! Tests projects that are designed to overload a machine. Each must be loaded quickly, or rejected quickly with an
//! error that names the limit.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

use super::{ComposeError, Files, Project, Request, load};

/// Files in memory.
struct Given(BTreeMap<String, String>);

impl Files for Given {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.get(path).map(|text| text.clone().into_bytes()))
    }
}

/// Each case takes about 10 ms. The limit allows for slow machines and builds without optimization.
const QUICKLY: Duration = Duration::from_secs(10);

#[track_caller]
fn read(files: impl IntoIterator<Item = (String, String)>) -> Result<Project, ComposeError> {
    let files = Given(files.into_iter().collect());
    let began = Instant::now();
    let project = load(&Request::default(), &files);
    assert!(began.elapsed() < QUICKLY, "took {:?}", began.elapsed());
    project
}

#[track_caller]
fn one(text: impl Into<String>) -> Result<Project, ComposeError> {
    read([("compose.yaml".to_owned(), text.into())])
}

#[track_caller]
fn with_env(text: &str, env: String) -> Result<Project, ComposeError> {
    read([("compose.yaml".to_owned(), text.to_owned()), (".env".to_owned(), env)])
}

#[track_caller]
fn rejected(project: Result<Project, ComposeError>, want: &str) {
    let error = project.unwrap_err().to_string();
    assert!(error.contains(want), "{}", error.chars().take(500).collect::<String>());
}

fn repeated(count: usize, mut line: impl FnMut(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut text, i| {
        let _ = write!(text, "{}", line(i));
        text
    })
}

/// Returns thirty files, each of which includes the next in the given form.
fn chain(include: impl Fn(usize) -> String) -> Vec<(String, String)> {
    let name = |i: usize| if i == 0 { "compose.yaml".to_owned() } else { format!("f{i}.yaml") };
    let last = (name(30), "services: {web: {build: .}}".to_owned());
    (0..30).map(|i| (name(i), format!("include: [{}]", include(i + 1)))).chain([last]).collect()
}

#[test]
fn files_that_include_each_other_doubled_are_read_once() {
    let project = read(chain(|i| format!("f{i}.yaml, f{i}.yaml"))).unwrap();
    assert_eq!(project.services.len(), 1);
    // The file is included in two ways, and its lists must not be merged with themselves.
    let text = "include: [b.yaml, c.yaml]\n";
    let last = "services: {web: {build: {context: ., cache_from: [x]}}}";
    let project = read([
        ("compose.yaml".to_owned(), text.to_owned()),
        ("b.yaml".to_owned(), "include: [d.yaml]".to_owned()),
        ("c.yaml".to_owned(), "include: [d.yaml]".to_owned()),
        ("d.yaml".to_owned(), last.to_owned()),
    ])
    .unwrap();
    assert_eq!(project.services[0].build.as_ref().unwrap().cache_from, ["x"]);
}

#[test]
fn includes_that_differ_each_time_are_counted() {
    let mut files = chain(|i| format!("{{path: f{i}.yaml, env_file: a}}, {{path: f{i}.yaml, env_file: b}}"));
    files.extend([("a".to_owned(), "A=1".to_owned()), ("b".to_owned(), "B=1".to_owned())]);
    rejected(read(files), "the project uses more than 1000 files");
}

#[test]
fn includes_are_not_nested_without_end() {
    let name = |i: usize| if i == 0 { "compose.yaml".to_owned() } else { format!("f{i}.yaml") };
    let files = (0..10_000).map(|i| (name(i), format!("include: [{}]", name(i + 1))));
    rejected(read(files), "f64.yaml:1:11: `include[0]` is nested more than 64 includes deep");
}

#[test]
fn variables_that_double_each_other_are_rejected() {
    let doubled = format!("A=xxxxxxxx\n{}", "A=$A$A\n".repeat(100));
    rejected(
        with_env("services: {}", doubled),
        ".env:19: the value is longer than 1024 KiB after its variables are replaced",
    );
    let copies = format!("A={}\n{}", "x".repeat(500_000), repeated(10_000, |i| format!("A{i}=$A\n")));
    rejected(with_env("services: {}", copies), ".env:9: the values are longer than 4 MiB in total");
    let text = format!("services: {{web: {{image: '{}'}}}}", "$A".repeat(100_000));
    rejected(with_env(&text, format!("A={}", "x".repeat(500_000))), "`services.web.image` is longer than 1024 KiB");
    let text = format!("services: {{{}}}", repeated(1000, |i| format!("s{i}: {{image: '$A'}}, ")));
    rejected(with_env(&text, format!("A={}", "x".repeat(500_000))), "compose.yaml: the project has more than 32 MiB");
    let text = format!("services: {{{}}}", repeated(500, |i| format!("s{i}: {{build: {{args: [A]}}}}, ")));
    rejected(with_env(&text, format!("A={}", "x".repeat(500_000))), "compose.yaml: the project has more than 32 MiB");
}

#[test]
fn a_line_of_many_variables_is_read_once() {
    let text = format!("services: {{web: {{image: 'x{}'}}}}", "${A:+}".repeat(150_000));
    let project = with_env(&text, format!("A={}", "x".repeat(500_000))).unwrap();
    assert_eq!(project.services[0].image.as_deref(), Some("x"));
}

#[test]
fn chains_of_extends_are_bounded() {
    let service = |i: usize| format!("  s{i}: {{extends: s{}, build: {{args: [A{i}]}}}}\n", i + 1);
    for count in [101, 4000] {
        let text = format!("services:\n{}  s{count}: {{}}\n", repeated(count, service));
        rejected(one(text), "more than 100 services that extend each other");
        // In the opposite order, each service finds the previous one already resolved.
        let service = |i: usize| format!("  s{}: {{extends: s{i}}}\n", i + 1);
        rejected(one(format!("services:\n  s0: {{}}\n{}", repeated(count, service))), "more than 100 services");
    }
    let text = format!("services:\n{}  s100: {{}}\n", repeated(100, service));
    assert_eq!(one(text).unwrap().services.len(), 101);
}

#[test]
fn what_is_extended_by_many_is_counted() {
    let args = repeated(2000, |i| format!("A{i}, "));
    let many = repeated(2000, |i| format!("  s{i}: {{extends: base}}\n"));
    let text = format!("services:\n  base: {{build: {{args: [{args}]}}}}\n{many}");
    rejected(one(text), "compose.yaml: the project has more than 300000 values");
    let many = repeated(2000, |i| format!("  s{i}: {{extends: {{file: other.yaml, service: base}}}}\n"));
    let project = read([
        ("compose.yaml".to_owned(), format!("services:\n{many}")),
        ("other.yaml".to_owned(), "services: {base: {image: x}}".to_owned()),
    ]);
    assert_eq!(project.unwrap().services.len(), 2000, "one file");
}

#[test]
fn lines_that_have_to_be_moved_are_bounded() {
    for text in [
        format!("services:\n  web:\n    x: [\n{}]\n", "a,\n".repeat(30_000)),
        format!("services:\n  web:\n{}", repeated(10_000, |i| format!("    x{i}: [\n]\n"))),
        format!("services:\n  web:\n{}", repeated(10_000, |i| format!("    x{i}: \"a\nb\"\n"))),
        format!("services:\n  web:\n    y: |\n{}a\n    x: [\n{}]\n", " ".repeat(100_000), "a,\n".repeat(900)),
    ] {
        rejected(one(text), "too many lines inside brackets or quotes are indented less");
    }
    let list = "'a]',\n\"]\", # ]\n[b,\n{\nc: d's\n}\n],\n".repeat(100);
    let usual = format!("services:\n  web:\n    x: [\n{list}]\n    build: .\n  other:\n    x: [\n]\n    build: .\n");
    assert_eq!(one(usual).unwrap().services.len(), 2);
}

#[test]
fn anchors_are_copied_only_so_often() {
    let text = format!("x: {}{}{}", repeated(98, |i| format!("&a{i} [")), "x,".repeat(20_000), "]".repeat(98));
    rejected(one(text), "more than 100000 values");
    let text = format!("x: [&a \"{}\", {}]", "y".repeat(100_000), "*a,".repeat(10_000));
    rejected(one(text), "more than 8 MiB of text");
}

#[test]
fn large_lists_and_mappings_are_rejected() {
    let services = repeated(5000, |i| format!("  a{i}: {{build: .}}\n"));
    rejected(one(format!("services:\n{services}")), "compose.yaml:2:3: `services` has more than 4096 entries");
    let services = repeated(501, |i| format!("  a{i}: {{build: .}}\n"));
    rejected(
        one(format!("services:\n{services}")),
        "compose.yaml:502:3: `services.a500` exceeds the limit of 500 services with `build`",
    );
    for key in ["args", "tags", "labels", "cache_from", "secrets"] {
        let list = repeated(5000, |i| format!("a{i}, "));
        let text = format!("services: {{web: {{build: {{{key}: [{list}]}}}}}}");
        rejected(one(text), &format!("`services.web.build.{key}` has more than 4096 entries"));
    }
    let file = |from: usize| {
        let args = repeated(3000, |i| format!("A{}, ", from + i));
        format!("services: {{web: {{build: {{args: [{args}]}}}}}}")
    };
    let files =
        [("compose.yaml".to_owned(), format!("include: [b.yaml]\n{}", file(0))), ("b.yaml".to_owned(), file(3000))];
    rejected(read(files), "`services.web.build.args` has more than 4096 entries");
    let list = format!("services: {{web: {{build: {{args: [{}]}}}}}}", repeated(4000, |i| format!("A{i}=, ")));
    assert_eq!(one(list).unwrap().services[0].build.as_ref().unwrap().args.len(), 4000);
}

#[test]
fn long_names_are_rejected() {
    rejected(one(format!("? {}\n: x\n", "k".repeat(2000))), "compose.yaml:1:3: a key is longer than 1024 bytes");
    let long = "d".repeat(5000);
    let text = format!("include: [{{path: a.yaml, project_directory: {long}}}]");
    rejected(one(text), "`include[0]` has a path of more than 4096 bytes");
    let text = format!("services: {{web: {{build: {{secrets: [s]}}}}}}\nsecrets: {{s: {{file: {long}}}}}");
    rejected(one(text), "`secrets.s.file` is longer than 4096 bytes");
}

#[test]
fn no_more_unset_variables_are_listed_than_a_person_reads() {
    let text = format!("services: {{web: {{image: '{}'}}}}", repeated(10_000, |i| format!("$V{i} ")));
    let warnings = one(text).unwrap().warnings;
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0].contains("`V49` are not set") && !warnings[0].contains("`V50`"), "{}", warnings[0]);
    assert!(warnings[1].contains("more than 50 variables are not set"), "{}", warnings[1]);
}
