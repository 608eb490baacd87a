//! Tests of the differences from `docker compose`: errors, tolerance and limits. `tests/compose_oracle.rs` compares
//! everything else with `docker compose` itself.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{ComposeError, Files, Project, Request, SecretSource, load};

/// Files in memory.
struct Given<'a>(&'a [(&'a str, &'a str)]);

impl Files for Given<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        if self.is_directory(path) {
            return Err("it is a directory".to_owned());
        }
        Ok(self.0.iter().find(|(name, _)| *name == path).map(|(_, text)| text.as_bytes().to_vec()))
    }

    fn is_directory(&self, path: &str) -> bool {
        self.0.iter().any(|(name, _)| name.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    }
}

fn read(files: &[(&str, &str)]) -> Result<Project, ComposeError> {
    load(&Request { default_name: "demo".into(), ..Request::default() }, &Given(files))
}

#[track_caller]
fn rejected(text: &str, want: &str) {
    let files = [("compose.yaml", text), ("other.yaml", "services:\n  base:\n    image: x\n")];
    let error = read(&files).unwrap_err();
    assert_eq!(format!("{error}: {}", error.hint().unwrap_or_default()), want, "for\n{text}");
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
fn errors_name_the_position_and_have_a_hint() {
    for (text, want) in [
        (
            "services:\n  web:\n   - a\n  b: [",
            "compose.yaml:5:1: invalid YAML (while parsing a node, did not find expected node content): check indentation, quotes and brackets up to this position",
        ),
        ("services:\n  web: {}\n  web: {}\n", "compose.yaml:3:3: duplicate key `web`: remove one of the entries"),
        (
            "services:\n  my web: {}\n",
            "compose.yaml:2:3: `services.my web` is not a valid service name: use letters, digits, `.`, `_` and `-`",
        ),
        (
            "- a\n",
            "compose.yaml:1:1: a compose file must be a mapping, but this is a list: begin the file with `services:`",
        ),
        ("services: [web]\n", "compose.yaml:1:11: `services` is a list: use a mapping of names"),
        (
            "services:\n  web: nginx\n",
            "compose.yaml:2:8: `services.web` is a string: use a mapping such as `image: nginx`",
        ),
        (
            "services:\n  web:\n    build: 3\n",
            "compose.yaml:3:12: `services.web.build` is a number: use a path, or a mapping with `context`",
        ),
        (
            "services:\n  web:\n    build:\n      context: .\n      args:\n        - A\n        - [B]\n",
            "compose.yaml:7:11: `services.web.build.args[1]` is a list: use a string such as `KEY=value`",
        ),
        (
            "services:\n  web:\n    build: {target: {a: b}}\n",
            "compose.yaml:3:21: `services.web.build.target` is a mapping: use a string",
        ),
        (
            "services:\n  web:\n    build: {pull: maybe}\n",
            "compose.yaml:3:19: `services.web.build.pull` is not a boolean: use `true` or `false`",
        ),
        (
            "services:\n  web:\n    build: {\n  target: [a],\n}\n",
            "compose.yaml:4:11: `services.web.build.target` is a list: use a string",
        ),
        (
            "services:\n  web:\n    build: {shm_size: lots}\n",
            "compose.yaml:3:23: `services.web.build.shm_size` is not a size: use a number of bytes, or add a unit, such as `64m` or `2gb`",
        ),
        (
            "services:\n  web:\n    build: {secrets: [token]}\n",
            "compose.yaml:3:23: `services.web.build.secrets[0]` names the secret `token`, which is not defined: define it under the top-level `secrets`",
        ),
        (
            "services:\n  web:\n    image: ${TAG:?say which}\n",
            "compose.yaml:3:12: `services.web.image` requires the variable `TAG` (say which): set it in the step's `env:` or in the env file",
        ),
        (
            "services:\n  web:\n    image: ${TAG\n",
            "compose.yaml:3:12: `services.web.image` has a malformed `${…}`: write `${NAME}` or `${NAME:-default}`, or `$$` for a dollar sign",
        ),
        (
            "services:\n  django: {}\n  web:\n    extends: djnago\n",
            "compose.yaml:4:14: `services.web.extends` names the service `djnago`, which does not exist in compose.yaml: did you mean `django`?",
        ),
        (
            "services:\n  web:\n    extends: {file: other.yaml, service: bse}\n",
            "compose.yaml:3:42: `services.web.extends` names the service `bse`, which does not exist in other.yaml: did you mean `base`?",
        ),
        (
            "services:\n  web:\n    extends: {file: gone.yaml, service: base}\n",
            "compose.yaml:3:21 (`services.web.extends.file`): file `gone.yaml` does not exist: correct the path, or add the file to the repository",
        ),
        (
            "services:\n  a: {extends: b}\n  b: {extends: a}\n",
            "compose.yaml:2:16: `services.a.extends` is circular (a in compose.yaml -> b in compose.yaml -> a in compose.yaml): remove one of these `extends`",
        ),
        (
            "include: [compose.yaml]\n",
            "compose.yaml:1:11: `include[0]` is circular (compose.yaml -> compose.yaml): remove one of these includes",
        ),
        (
            "include: ['oci://example.com/x']\n",
            "compose.yaml:1:11: `include[0]` is `oci://example.com/x`, which is not a file of this repository: copy the file into the repository",
        ),
        (
            "a: &a [*a]\n",
            "compose.yaml:1:8: an alias refers to the anchor that contains it: remove the alias or the anchor",
        ),
        (
            "x: &x {a: 1}\ny:\n  <<: *x\n  <<: *x\n",
            "compose.yaml:4:3: duplicate key `<<`: combine them, as in `<<: [*a, *b]`",
        ),
        (
            "y: {<<: 3}\n",
            "compose.yaml:1:9: `<<` is neither a mapping nor a list of mappings: use an alias, as in `<<: *name`",
        ),
    ] {
        rejected(text, want);
    }
}

#[test]
fn a_missing_project_says_what_was_looked_for() {
    let error = read(&[]).unwrap_err();
    let want = "no compose file and no Dockerfile found (looked for compose.yaml, compose.yml, ";
    assert!(error.to_string().starts_with(want), "{error}");
    assert!(error.hint().unwrap().starts_with("check out the repository"));
}

#[test]
fn bombs_are_rejected() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..9 {
        let items = vec![format!("*a{}", i - 1); 10].join(", ");
        bomb = format!("{bomb}a{i}: &a{i} [{items}]\n");
    }
    assert!(
        read(&[("compose.yaml", &bomb)]).unwrap_err().to_string().contains("the document has more than 100000 values")
    );
    let deep = |levels: usize| {
        let text = format!("x: {}{}", "[".repeat(levels), "]".repeat(levels));
        read(&[("compose.yaml", &text)]).unwrap_err().to_string()
    };
    assert!(deep(150).contains("nested more than 100 levels deep"), "{}", deep(150));
    // At this depth the parser itself fails.
    assert!(deep(100_000).starts_with("compose.yaml:1:"), "{}", deep(100_000));
}

#[test]
fn keys_that_a_build_does_not_need_are_ignored() {
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
fn unset_variables_are_reported_once() {
    let text = "services:\n  a: {image: '${NOPE}'}\n  b: {image: '$NOPE'}\n";
    let project = read(&[("compose.yml", text)]).unwrap();
    assert_eq!(project.warnings.len(), 1);
    assert!(project.warnings[0].contains("`NOPE` is not set"), "{:?}", project.warnings);
    let text = "services:\n  a: {image: '$A $B'}\n  b: {image: '$C $A'}\n";
    let project = read(&[("compose.yml", text)]).unwrap();
    assert_eq!(
        project.warnings,
        [
            "compose.yml: the variables `A`, `B`, `C` are not set and default to an empty string; set values in the step's \
             `env:` or in the env file, or write a default such as `${A:-default}`"
        ]
    );
}

#[test]
fn a_project_is_named_after_the_directory_of_its_first_file() {
    let text = "services: {a: {image: '${COMPOSE_PROJECT_NAME}'}}";
    for (file, want) in
        [("compose.yaml", "demo"), ("deploy/site/compose.yaml", "site"), ("../other/compose.yaml", "other")]
    {
        let request = Request { files: vec![file.into()], default_name: "demo".into(), ..Request::default() };
        let project = load(&request, &Given(&[(file, text)])).unwrap();
        assert_eq!((project.name.as_str(), project.services[0].image.as_deref()), (want, Some(want)));
    }
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
fn unknown_keys_of_a_build_are_mistakes() {
    for (text, want) in [
        (
            "services:\n  web:\n    build:\n      args: [5]\n",
            "compose.yaml:4:14: `services.web.build.args[0]` is a number: use a string such as `KEY=value`",
        ),
        (
            "services:\n  web:\n    build:\n      dockerfiles: x\n",
            "compose.yaml:4:7: `services.web.build.dockerfiles` is not a key of `build`: did you mean `dockerfile`?",
        ),
        (
            "services:\n  web:\n    build: {x-own: 1, whatever: 2}\n",
            "compose.yaml:3:23: `services.web.build.whatever` is not a key of `build`: remove it; keys of your own begin with `x-`",
        ),
    ] {
        rejected(text, want);
    }
}

#[test]
fn an_empty_profile_is_active_by_default() {
    let text = "services:\n  a: {image: x, profiles: ['', p]}\n  b: {image: x, profiles: [q]}\n";
    for (variable, want) in [(None, "a"), (Some("p"), "a"), (Some("q"), "b"), (Some("q, p"), "a b")] {
        let env = variable.map(|text: &str| ("COMPOSE_PROFILES".to_owned(), text.to_owned())).into_iter().collect();
        let project = load(&Request { env, ..Request::default() }, &Given(&[("compose.yml", text)])).unwrap();
        let names: Vec<&str> = project.services.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names.join(" "), want, "{variable:?}");
    }
}

#[test]
fn a_directory_of_env_files_is_no_env_file() {
    let files = [("compose.yml", "services: {a: {image: 'x:${TAG-none}'}}"), (".env/dev", "TAG=1")];
    assert_eq!(read(&files).unwrap().services[0].image.as_deref(), Some("x:none"));
    let request = Request { env_files: Some(vec![".env".into()]), ..Request::default() };
    let error = load(&request, &Given(&files)).unwrap_err().to_string();
    assert_eq!(error, "cannot read `.env`: it is a directory");
}

#[test]
fn the_variable_compose_file_selects_files() {
    let service = |name: &str| format!("services: {{{name}: {{image: '${{FROM-none}}'}}}}");
    let (a, b, other) = (service("a"), service("b"), service("other"));
    let files = |env_file: &'static str| {
        [
            ("compose.yaml", &*other),
            ("a.yml", &*a),
            ("deploy/b.yml", &*b),
            (".env", env_file),
            ("deploy/.env", "FROM=deploy"),
        ]
    };
    for (env_file, variables, want) in [
        ("", vec![("COMPOSE_FILE", "a.yml:deploy/b.yml")], "a=none b=none"),
        ("COMPOSE_FILE=a.yml", vec![], "a=none"),
        ("COMPOSE_FILE=a.yml", vec![("COMPOSE_FILE", "deploy/b.yml")], "b=deploy"),
        ("COMPOSE_FILE=./deploy/b.yml,a.yml\nCOMPOSE_PATH_SEPARATOR=,\nFROM=here", vec![], "b=here a=here"),
        ("COMPOSE_FILE=", vec![], "other=none"),
    ] {
        let env = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let project = load(&Request { env, ..Request::default() }, &Given(&files(env_file))).unwrap();
        let shown: Vec<String> = project
            .services
            .iter()
            .map(|service| format!("{}={}", service.name, service.image.as_deref().unwrap_or_default()))
            .collect();
        assert_eq!(shown.join(" "), want, "{env_file} {variables:?}");
        assert_eq!(project.notices.len(), usize::from(want != "other=none"));
    }
    let request = Request { files: vec!["compose.yaml".into()], ..Request::default() };
    let project = load(&request, &Given(&files("COMPOSE_FILE=a.yml"))).unwrap();
    assert_eq!((project.services[0].name.as_str(), project.notices.len()), ("other", 0), "the input takes precedence");
    let error = read(&[(".env", "COMPOSE_FILE=x.yml")]).unwrap_err().to_string();
    assert_eq!(error, "the variable `COMPOSE_FILE`: file `x.yml` does not exist");
}

#[test]
fn env_files_of_the_input_must_exist() {
    let request = Request { env_files: Some(vec!["prod.env".into()]), ..Request::default() };
    let files = [("compose.yml", "services: {}"), (".env", "NOT=read")];
    let error = load(&request, &Given(&files)).unwrap_err().to_string();
    assert!(error.starts_with("the input `env-file`: file `prod.env` does not exist"), "{error}");
    let broken = [("compose.yml", "services: {}"), (".env", "A=1\nB C=secret")];
    let error = read(&broken).unwrap_err();
    assert_eq!(error.to_string(), ".env:2: a variable's name contains a space");
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
