//! What `docker compose` cannot be asked: our own errors, leniencies and limits. All else is compared with the real
//! thing in `tests/compose_oracle.rs`.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{ComposeError, Files, Project, Request, SecretSource, load};

/// Files in memory.
struct Given<'a>(&'a [(&'a str, &'a str)]);

impl Files for Given<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.iter().find(|(name, _)| *name == path).map(|(_, text)| text.as_bytes().to_vec()))
    }
}

fn read(files: &[(&str, &str)]) -> Result<Project, ComposeError> {
    load(&Request { default_name: "demo".into(), ..Request::default() }, &Given(files))
}

#[track_caller]
fn refused(text: &str, want: &str) {
    let files = [("compose.yaml", text), ("other.yaml", "services:\n  base:\n    image: x\n")];
    assert_eq!(read(&files).map_err(|e| e.to_string()).unwrap_err(), want, "for\n{text}");
}

#[test]
fn a_secret_of_bake_without_a_source_is_the_variable_of_its_name_or_else_the_file() {
    let text = "services: {web: {build: {context: ., x-bake: {secret: [id=SET, id=other, 'id=x,src=f']}}}}";
    let env = [("SET".to_owned(), String::new())].into();
    let project = load(&Request { env, ..Request::default() }, &Given(&[("compose.yaml", text)])).unwrap();
    let build = project.services[0].build.as_ref().unwrap();
    let sources: Vec<_> = build.secrets.iter().map(|secret| secret.source.clone()).collect();
    let file = |name: &str| SecretSource::File(name.to_owned());
    assert_eq!(sources, [SecretSource::Environment("SET".into()), file("other"), file("f")]);
}

#[test]
fn mistakes_name_file_line_column_and_the_way_out() {
    for (text, want) in [
        (
            "services:\n  web:\n   - a\n  b: [",
            "compose.yaml:5:1: no valid YAML (while parsing a node, did not find expected node content): check indentation, quotes and brackets up to here",
        ),
        (
            "services:\n  web: {}\n  web: {}\n",
            "compose.yaml:3:3: the mapping has the key `web` twice: remove one of them",
        ),
        (
            "services:\n  my web: {}\n",
            "compose.yaml:2:3: `services.my web` is no name for a service: use letters, digits, `.`, `_`, `-`",
        ),
        ("- a\n", "compose.yaml:1:1: a compose file is a mapping, but this is a list: begin with `services:`"),
        ("services: [web]\n", "compose.yaml:1:11: `services` is a list: write a mapping of names"),
        (
            "services:\n  web: nginx\n",
            "compose.yaml:2:8: `services.web` is a string: write a mapping such as `image: nginx`",
        ),
        (
            "services:\n  web:\n    build: 3\n",
            "compose.yaml:3:12: `services.web.build` is a number: write a path, or a mapping with `context:`",
        ),
        (
            "services:\n  web:\n    build:\n      context: .\n      args:\n        - A\n        - [B]\n",
            "compose.yaml:7:11: `services.web.build.args[1]` is a list: write a string",
        ),
        (
            "services:\n  web:\n    build: {target: {a: b}}\n",
            "compose.yaml:3:21: `services.web.build.target` is a mapping: write a string",
        ),
        (
            "services:\n  web:\n    build: {pull: maybe}\n",
            "compose.yaml:3:19: `services.web.build.pull` is no truth value: write `true` or `false`",
        ),
        (
            "services:\n  web:\n    build: {\n  target: [a],\n}\n",
            "compose.yaml:4:11: `services.web.build.target` is a list: write a string",
        ),
        (
            "services:\n  web:\n    build: {shm_size: lots}\n",
            "compose.yaml:3:23: `services.web.build.shm_size` is no size: write bytes, or such as `64m` or `2gb`",
        ),
        (
            "services:\n  web:\n    build: {secrets: [token]}\n",
            "compose.yaml:3:23: `services.web.build.secrets[0]` names the secret `token`: define it under the top-level `secrets`",
        ),
        (
            "services:\n  web:\n    image: ${TAG:?say which}\n",
            "compose.yaml:3:12: `services.web.image` needs the variable `TAG` (say which): set it in the step's `env:` or in the env file",
        ),
        (
            "services:\n  web:\n    image: ${TAG\n",
            "compose.yaml:3:12: `services.web.image` has a malformed `${…}`: write `${NAME}` or `${NAME:-default}`, or `$$` for a dollar sign",
        ),
        (
            "services:\n  django: {}\n  web:\n    extends: djnago\n",
            "compose.yaml:4:14: `services.web.extends` names the service `djnago`, which is not in compose.yaml (did you mean `django`?)",
        ),
        (
            "services:\n  web:\n    extends: {file: other.yaml, service: bse}\n",
            "compose.yaml:3:42: `services.web.extends` names the service `bse`, which is not in other.yaml (did you mean `base`?)",
        ),
        (
            "services:\n  web:\n    extends: {file: gone.yaml, service: base}\n",
            "compose.yaml:3:21 (`services.web.extends.file`): file `gone.yaml` does not exist: correct the path or add the file to the repository",
        ),
        (
            "services:\n  a: {extends: b}\n  b: {extends: a}\n",
            "compose.yaml:2:16: `services.a.extends` goes in a circle (a in compose.yaml -> b in compose.yaml -> a in compose.yaml): remove one of these `extends`",
        ),
        (
            "include: [compose.yaml]\n",
            "compose.yaml:1:11: `include[0]` goes in a circle (compose.yaml -> compose.yaml): remove one of these includes",
        ),
        (
            "include: ['oci://example.com/x']\n",
            "compose.yaml:1:11: `include[0]` is `oci://example.com/x`, which is not in this repository: copy the file into it",
        ),
        ("a: &a [*a]\n", "compose.yaml:1:8: an alias stands within its own anchor: remove one of the two"),
        (
            "x: &x {a: 1}\ny:\n  <<: *x\n  <<: *x\n",
            "compose.yaml:4:3: the mapping has a second `<<`: write `<<: [*a, *b]`",
        ),
        ("y: {<<: 3}\n", "compose.yaml:1:9: `<<` needs a mapping or a list of mappings, such as `<<: *name`"),
    ] {
        refused(text, want);
    }
}

#[test]
fn a_missing_project_says_what_was_looked_for() {
    let error = read(&[]).unwrap_err().to_string();
    assert!(error.starts_with("found no compose file (looked for compose.yaml, compose.yml, "), "{error}");
    assert!(error.contains("check out the repository"), "{error}");
}

#[test]
fn bombs_are_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..9 {
        let items = vec![format!("*a{}", i - 1); 10].join(", ");
        bomb = format!("{bomb}a{i}: &a{i} [{items}]\n");
    }
    assert!(
        read(&[("compose.yaml", &bomb)])
            .unwrap_err()
            .to_string()
            .contains("more than 100000 values: shorten it, or use fewer aliases")
    );
    let deep = |levels: usize| {
        let text = format!("x: {}{}", "[".repeat(levels), "]".repeat(levels));
        read(&[("compose.yaml", &text)]).unwrap_err().to_string()
    };
    assert!(deep(150).contains("nested more than 100 deep"), "{}", deep(150));
    // From here on the parser itself gives up.
    assert!(deep(100_000).starts_with("compose.yaml:1:"), "{}", deep(100_000));
}

#[test]
fn what_a_build_does_not_need_is_no_error() {
    let text = "\
services:
  web:
    build: .
    env_file: [.envs/.production/.django]
    environment: {A: '${NEEDED:?at run time}', B: 3, C: [wrong]}
    ports: {also: wrong}
    labels: ['host=${DOMAIN:?}']
    unknown_key: 1
volumes: [wrong]
";
    let project = read(&[("production.yml", text)]).unwrap();
    assert_eq!(project.name, "demo");
    assert_eq!(project.warnings, Vec::<String>::new());
    assert_eq!(project.services[0].build.as_ref().map(|b| b.context.as_str()), Some("."));
}

#[test]
fn an_external_secret_is_left_to_the_inputs() {
    let text = "services:\n  a:\n    build:\n      secrets: [t]\nsecrets:\n  t: {external: true}\n";
    let project = read(&[("compose.yml", text)]).unwrap();
    let secrets = &project.services[0].build.as_ref().unwrap().secrets;
    assert_eq!(secrets[0].source, SecretSource::External);
}

#[test]
fn unset_variables_are_told_of_once() {
    let text = "services:\n  a: {image: '${NOPE}'}\n  b: {image: '$NOPE'}\n";
    let project = read(&[("compose.yml", text)]).unwrap();
    assert_eq!(project.warnings.len(), 1);
    assert!(project.warnings[0].contains("`NOPE` is not set"), "{:?}", project.warnings);
}

#[test]
fn profiles_switch_services_on() {
    let text = "services:\n  a: {image: x}\n  b: {image: x, profiles: [p]}\n  c: {image: x, profiles: [q]}\n";
    for (profiles, want) in [(vec![], "a"), (vec!["p"], "a b"), (vec!["*"], "a b c")] {
        let profiles = profiles.into_iter().map(str::to_owned).collect();
        let request = Request { profiles, ..Request::default() };
        let project = load(&request, &Given(&[("compose.yml", text)])).unwrap();
        let names: Vec<&str> = project.services.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names.join(" "), want);
    }
}

#[test]
fn env_files_that_are_asked_for_must_be_there() {
    let request = Request { env_files: Some(vec!["prod.env".into()]), ..Request::default() };
    let files = [("compose.yml", "services: {}"), (".env", "NOT=read")];
    let error = load(&request, &Given(&files)).unwrap_err().to_string();
    assert!(error.starts_with("the input `env-file`: file `prod.env` does not exist"), "{error}");
    let broken = [("compose.yml", "services: {}"), (".env", "A=1\nB C=secret")];
    let error = read(&broken).unwrap_err();
    assert_eq!(error.to_string(), ".env:2: a variable's name cannot contain a space: write `NAME=value`");
    assert_eq!(error.place().map(|p| (p.file, p.line)), Some((".env".into(), 2)));
}

proptest! {
    #[test]
    fn arbitrary_yaml_never_panics(text in "(a|b|services|web|build|args|extends|include|<<|: |- |\n|  |\\[|\\]|\\{|\\}|,|&x |\\*x|!reset |!override |'|\"|\\||>|#|\\?|\\$\\{A\\}|é|\t|\r){0,60}|\\PC{0,80}") {
        let env = BTreeMap::from([("A".to_owned(), "a".to_owned())]);
        let request = Request { env, ..Request::default() };
        let _ = load(&request, &Given(&[("compose.yaml", &text), ("a", &text), ("b", "services: {a: {image: x}}")]));
    }

    #[test]
    fn arbitrary_services_never_panic(key in "build|image|profiles|platform|extends", inner in "(context|args|ssh|secrets|labels|ulimits|extra_hosts|shm_size|x-bake|tags|no_cache)", value in "(\\[|\\{|\\}|\\]|,|: | |a|=|1|-|~|true|'|service:a)*") {
        let text = format!("services:\n  a:\n    {key}:\n      {inner}: {value}\n  b:\n    {key}: {value}\n");
        let _ = read(&[("compose.yaml", &text)]);
    }
}

#[test]
fn a_context_that_a_variable_leaves_empty_is_the_projects_directory() {
    for build in ["{context: '${NOPE}'}", "'${NOPE}'", "{context: ''}", "{dockerfile: D}"] {
        let text = format!("services:\n  web:\n    build: {build}\n");
        let project = read(&[("compose.yaml", &text)]).unwrap();
        assert_eq!(project.services[0].build.as_ref().unwrap().context, ".", "{build}");
    }
}
