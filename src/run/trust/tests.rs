//! Attacks by a checkout, on disk: each could be in a pull request, and is tested under every event that runs one.

use std::{fs, os::unix::fs::symlink, path::Path};

use tempfile::TempDir;

use crate::{commands::dispatch, inputs::runner::RunnerEnv};

pub(super) const CANARY: &str = "canary-of-the-runner-5f1d";

/// A runner's directories: a checkout, and the directories next to it.
pub(super) struct World {
    base: TempDir,
}

impl World {
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let world = Self { base: tempfile::tempdir().unwrap() };
        for (path, text) in [
            ("workspace/Dockerfile", "FROM scratch\n"),
            ("workspace/secret.txt", "mine"),
            ("runner_temp/key", CANARY),
            ("runner_temp/compose.yaml", "services: {web: {build: /}}"),
            ("runner_temp/.env", "A=canary-of-the-runner-5f1d\n"),
            ("runner_temp/Dockerfile", CANARY),
            ("file_commands/output", ""),
            ("workflow/event.json", "{}"),
            ("lib/lib.txt", CANARY),
        ] {
            world.write(path, text);
        }
        for (path, text) in files {
            match text.strip_prefix("-> ") {
                Some(target) => {
                    let link = world.path(&format!("workspace/{path}"));
                    fs::create_dir_all(link.parent().unwrap()).unwrap();
                    symlink(target.replace("BASE", world.path("").to_str().unwrap()), link).unwrap();
                }
                None => world.write(&format!("workspace/{path}"), text),
            }
        }
        world
    }

    pub(super) fn path(&self, path: &str) -> std::path::PathBuf {
        self.base.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replace("BASE", self.base.path().to_str().unwrap())).unwrap();
    }

    /// Runs the command `plan`: returns its exit status and its output.
    pub(super) fn plan(&self, event: &str, env: &[(&str, &str)]) -> (u8, String) {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/events");
        let of_event = fs::read_to_string(fixtures.join(format!("{event}.env"))).unwrap();
        let path = |path: &str| self.path(path).to_str().unwrap().to_owned();
        let mut vars: Vec<(String, String)> = of_event
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        for (name, file) in [
            ("GITHUB_WORKSPACE", "workspace"),
            ("RUNNER_TEMP", "runner_temp"),
            ("GITHUB_OUTPUT", "file_commands/output"),
            ("GITHUB_EVENT_PATH", "workflow/event.json"),
        ] {
            vars.push((name.to_owned(), path(file)));
        }
        for (name, value) in [
            ("INPUT_PASSWORD", CANARY),
            ("INPUT_USERNAME", "u"),
            ("ACTIONS_RUNTIME_TOKEN", CANARY),
            ("GITHUB_TOKEN", CANARY),
            ("PIP_TOKEN", "the project's own"),
        ] {
            vars.push((name.to_owned(), value.to_owned()));
        }
        vars.extend(env.iter().map(|(name, value)| ((*name).to_owned(), value.replace("BASE", &path("")))));
        fs::copy(fixtures.join(format!("{event}.json")), self.path("workflow/event.json")).unwrap();
        let mut out = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let status =
            runtime.block_on(dispatch(["build-deploy", "plan"].map(Into::into), RunnerEnv::new(vars), &mut out));
        let out = String::from_utf8(out).unwrap();
        let shown: Vec<&str> = out.lines().filter(|line| !line.starts_with("::add-mask::")).collect();
        (status, shown.join("\n"))
    }
}

/// The events: a pull request of a fork, one of the repository itself, and a push, where it is the author's own
/// mistake.
pub(super) const EVENTS: [&str; 3] = ["pull_request_fork", "pull_request", "push_branch"];

/// Asserts that the request of the files is refused with these words, whatever else is allowed.
#[track_caller]
fn refused(files: &[(&str, &str)], env: &[(&str, &str)], words: &[&str]) {
    let world = World::new(files);
    for event in EVENTS {
        let (status, out) = world.plan(event, env);
        assert_eq!(status, 2, "{event}: {out}");
        for word in words {
            let word = word.replace("BASE", world.base.path().canonicalize().unwrap().to_str().unwrap());
            assert!(out.contains(&word), "{event}: {word}\n{out}");
        }
        assert!(!out.contains(CANARY), "{event}: {out}");
    }
}

/// Asserts that the request of the files is accepted: there is a plan, or only a file of it is missing.
#[track_caller]
fn accepted(files: &[(&str, &str)], env: &[(&str, &str)]) -> String {
    let world = World::new(files);
    let mut last = String::new();
    for event in EVENTS {
        let (status, out) = world.plan(event, env);
        let missing = out.contains(" does not exist\n") || out.contains(" is not a directory\n");
        assert!(status == 0 || (status == 2 && missing), "{event}: {out}");
        last = out;
    }
    last
}

/// The only service's `build:`.
pub(super) fn build(keys: &str) -> String {
    format!("services:\n  web:\n    build: {{{keys}}}\n")
}

fn allow(value: &str) -> [(&'static str, &str); 1] {
    [("INPUT_ALLOW", value)]
}

#[test]
fn contexts_and_dockerfiles_stay_in_the_checkout() {
    for (keys, links, path) in [
        ("context: /", None, "is /, which is outside the checkout"),
        ("context: ..", None, "is BASE, which is outside the checkout"),
        ("context: BASE/runner_temp", None, "BASE/runner_temp"),
        ("context: ./a/../../lib", None, "BASE/lib"),
        ("context: link", Some("-> ../lib"), "BASE/lib"),
        ("context: link", Some("-> BASE/lib"), "BASE/lib"),
        ("context: ., additional_contexts: {g: ../..}", None, "additional_contexts.g"),
        ("context: ., additional_contexts: {g: BASE/runner_temp}", None, "BASE/runner_temp"),
        ("context: ., additional_contexts: [g=BASE/file_commands]", None, "BASE/file_commands"),
        ("context: ., additional_contexts: {g: 'oci-layout://BASE/lib'}", None, "BASE/lib"),
        ("context: ., additional_contexts: {g: link}", Some("-> /etc"), "/etc"),
        (
            "context: ., dockerfile_inline: 'FROM scratch', additional_contexts: {g: BASE/workflow}",
            None,
            "BASE/workflow",
        ),
        ("context: ., x-bake: {contexts: {g: ../runner_temp}}", None, "x-bake.contexts.g"),
        ("context: ., dockerfile: ../lib/lib.txt", None, "BASE/lib/lib.txt"),
        ("context: ., dockerfile: BASE/runner_temp/Dockerfile", None, "BASE/runner_temp/Dockerfile"),
        ("context: ., dockerfile: link", Some("-> BASE/runner_temp/key"), "BASE/runner_temp/key"),
        (
            "context: 'https://github.com/a/b.git#main:../..', dockerfile: BASE/runner_temp/key",
            None,
            "BASE/runner_temp/key",
        ),
    ] {
        let compose = build(keys);
        let mut files = vec![("compose.yaml", compose.as_str())];
        files.extend(links.map(|target| ("link", target)));
        refused(&files, &[], &["compose.yaml:3:", path, "to the input `allow`"]);
        accepted(&files, &allow("fs.read=*"));
    }
    for keys in
        ["context: ., dockerfile: /proc/self/environ", "context: /dev", "context: ., additional_contexts: {p: /proc/1}"]
    {
        let compose = build(keys);
        refused(
            &[("compose.yaml", &compose)],
            &allow("fs.read=*\nfs.read=/proc"),
            &["compose.yaml:3:", "not a file of any project"],
        );
    }
}

#[test]
fn a_permission_is_for_its_path_alone() {
    let compose = build("context: ., additional_contexts: {lib: ../lib}");
    let files = [("compose.yaml", compose.as_str())];
    for granted in ["fs.read=../lib", "fs.read=BASE/lib", "fs.read=BASE"] {
        accepted(&files, &allow(granted));
    }
    for other in ["fs.read=../libs", "fs.read=BASE/lib/lib.txt", "fs.read=.", "ssh", "network.host"] {
        refused(&files, &allow(other), &["fs.read=BASE/lib"]);
    }
}

#[test]
fn a_project_stays_free_within_the_checkout() {
    let compose = "services: {web: {build: {context: .., additional_contexts: {up: ../shared}, secrets: [s, e]}}}\n\
                   secrets: {s: {file: ../secret.txt}, e: {environment: PIP_TOKEN}}";
    let env = [("INPUT_WORKING-DIRECTORY", "deploy/site")];
    let files = [
        ("deploy/site/compose.yaml", compose),
        ("deploy/Dockerfile", ""),
        ("deploy/shared/x", ""),
        ("deploy/secret.txt", ""),
    ];
    accepted(&files, &env);
    let linked = build("context: inside");
    accepted(&[("compose.yaml", &linked), ("real/Dockerfile", ""), ("inside", "-> real")], &[]);
}

#[test]
fn secrets_and_keys_stay_in_the_checkout() {
    let of = |source: &str| {
        format!("services: {{web: {{build: {{context: ., secrets: [p]}}}}}}\nsecrets: {{p: {{{source}}}}}\n")
    };
    for (source, path) in [
        ("file: BASE/runner_temp/key", "BASE/runner_temp/key"),
        ("file: ../runner_temp/key", "BASE/runner_temp/key"),
        ("file: nothing/_temp/key", "BASE/runner_temp/key"),
        ("file: link", "BASE/runner_temp/key"),
    ] {
        let compose = of(source);
        let files = [("compose.yaml", compose.as_str()), ("link", "-> ../runner_temp/key")];
        refused(&files, &[], &["compose.yaml:2:", "`secrets.p.file`", path, "to the input `allow`"]);
        accepted(&files, &allow("fs.read=BASE/runner_temp"));
    }
    for source in [
        "file: /proc/self/environ",
        "file: environ",
        "environment: INPUT_PASSWORD",
        "environment: ACTIONS_RUNTIME_TOKEN",
    ] {
        let compose = of(source);
        let files = [("compose.yaml", compose.as_str()), ("environ", "-> /proc/self/environ")];
        refused(&files, &allow("fs.read=*\nsecrets.env=INPUT_PASSWORD"), &["compose.yaml:2:", "`secrets.p."]);
    }
    let token = of("environment: GITHUB_TOKEN");
    refused(
        &[("compose.yaml", &token)],
        &[],
        &["compose.yaml:2:", "add `secrets.env=GITHUB_TOKEN` to the input `allow`"],
    );
    accepted(&[("compose.yaml", &token)], &allow("secrets.env=GITHUB_TOKEN"));
    for (key, words) in [
        ("secret: ['id=q,src=/proc/self/environ']", "x-bake.secret"),
        ("secret: ['id=q,src=../runner_temp/key']", "x-bake.secret"),
        ("secret: ['id=q,env=INPUT_PASSWORD']", "x-bake.secret"),
        ("secret: [id=GITHUB_TOKEN]", "x-bake.secret"),
        ("ssh: ['default=/var/run/docker.sock']", "x-bake.ssh"),
        ("ssh: default=../runner_temp/key", "x-bake.ssh"),
    ] {
        let compose = build(&format!("context: ., x-bake: {{{key}}}"));
        refused(&[("compose.yaml", &compose)], &[], &["compose.yaml:3:", words]);
    }
    for ssh in ["[default=/var/run/docker.sock]", "[default]", "{default: ../runner_temp/key}"] {
        let compose = build(&format!("context: ., ssh: {ssh}"));
        refused(&[("compose.yaml", &compose)], &[], &["compose.yaml:3:", "`services.web.build.ssh.default`", "`ssh`"]);
        accepted(&[("compose.yaml", &compose)], &[("INPUT_SSH", "default")]);
    }
}

#[test]
fn compose_files_and_their_variables_stay_in_the_checkout() {
    for (files, place) in [
        (&[("compose.yaml", "include: [BASE/runner_temp/compose.yaml]")][..], "compose.yaml:1:11: `include[0]`"),
        (&[("compose.yaml", "include: [../runner_temp/compose.yaml]")], "compose.yaml:1:11: `include[0]`"),
        (
            &[("compose.yaml", "include: [link]"), ("link", "-> ../runner_temp/compose.yaml")],
            "compose.yaml:1:11: `include[0]`",
        ),
        (
            &[
                ("compose.yaml", "include:\n- {path: x.yaml, env_file: ../runner_temp/.env}"),
                ("x.yaml", "services: {}"),
            ],
            "compose.yaml:2:3: `include[0].env_file`",
        ),
        (
            &[
                ("compose.yaml", "include:\n- {path: x.yaml, project_directory: ../runner_temp}"),
                ("x.yaml", "services: {}"),
            ],
            "compose.yaml:2:3: `include[0]` reads",
        ),
        (
            &[("compose.yaml", "services:\n  web:\n    extends: {service: web, file: ../runner_temp/compose.yaml}")],
            "compose.yaml:3:35: `services.web.extends.file`",
        ),
        (&[("compose.yaml", "-> ../runner_temp/compose.yaml")], "compose.yaml reads BASE/runner_temp/compose.yaml"),
        (&[("compose.yaml", "-> /proc/self/environ")], "compose.yaml reads /proc/"),
        (
            &[("compose.yaml", "services: {web: {build: .}}"), (".env", "-> ../runner_temp/.env")],
            ".env reads BASE/runner_temp/.env",
        ),
        (
            &[("compose.yaml", "services: {web: {build: .}}"), (".env", "-> /proc/1/environ")],
            ".env reads /proc/1/environ",
        ),
    ] {
        refused(files, &[], &[place, "which is outside the checkout"]);
    }
    // An input that names a link of the checkout is not followed out of it either.
    let files = [("site.yaml", "-> ../runner_temp/compose.yaml")];
    refused(
        &files,
        &[("INPUT_COMPOSE-FILE", "site.yaml")],
        &["the input `compose-file` reads BASE/runner_temp/compose.yaml"],
    );
    // A Dockerfile that is not named by an input is found by its default name.
    let world = World::new(&[]);
    fs::remove_file(world.path("workspace/Dockerfile")).unwrap();
    symlink("/proc/self/environ", world.path("workspace/Dockerfile")).unwrap();
    let (status, out) = world.plan("pull_request", &[]);
    assert!(status == 2 && out.contains("the Dockerfile is /proc/"), "{out}");
}

#[test]
fn variables_of_the_runner_are_not_seen() {
    let compose = build(
        "context: ., args: {A: '$INPUT_PASSWORD', B: '${ACTIONS_RUNTIME_TOKEN:-none}', C: '${GITHUB_TOKEN-}', \
         GITHUB_TOKEN: , D: '${GITHUB_SHA:?}', E: '${RUNNER_TEMP:?}'}, tags: ['x:${GITHUB_TOKEN}']",
    );
    let out = accepted(&[("compose.yaml", &compose), (".env", "F=${INPUT_PASSWORD}\nGITHUB_TOKEN\n")], &[]);
    assert!(!out.contains(CANARY), "{out}");
    assert!(out.contains("the variables `INPUT_PASSWORD`, `GITHUB_TOKEN` are empty"), "{out}");
}

#[test]
fn inputs_need_no_permission() {
    let outside = [
        ("INPUT_BUILD-CONTEXTS", "lib=BASE/lib"),
        ("INPUT_SECRET-FILES", "key=BASE/runner_temp/key"),
        ("INPUT_SECRET-ENVS", "token=GITHUB_TOKEN"),
        ("INPUT_SSH", "default=BASE/runner_temp/key"),
        ("INPUT_NETWORK", "host"),
        ("INPUT_CACHE-TO", "type=registry,ref=docker.io/else/where"),
    ];
    accepted(&[("compose.yaml", &build("context: ."))], &outside);
    accepted(
        &[("compose.yaml", &build("context: ."))],
        &[("INPUT_IMAGES", "- {name: web, context: BASE/lib, dockerfile: x}")],
    );
    accepted(
        &[("compose.yaml", &build("context: ."))],
        &[("INPUT_IMAGES", "- {name: web, context: BASE/runner_temp}")],
    );
    // A link in the checkout is untrusted, even if an input names it.
    for (input, value) in [
        ("INPUT_BUILD-CONTEXTS", "lib=link"),
        ("INPUT_SECRET-FILES", "key=link/key"),
        ("INPUT_SSH", "default=link/key"),
        ("INPUT_FILE", "link/Dockerfile"),
        ("INPUT_CONTEXT", "link"),
    ] {
        let files = [("compose.yaml", &*build("context: .")), ("link", "-> ../runner_temp")];
        refused(&files, &[(input, value)], &["BASE/runner_temp", "outside the checkout"]);
    }
}

/// Checks which of the projects for the comparison with Docker's own compose reader need more than the checkout.
#[test]
fn usual_projects_notice_nothing() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compose");
    let mut asking = Vec::new();
    for entry in fs::read_dir(fixtures).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let world = World::new(&[]);
        copy(&entry.path(), &world.path("workspace"));
        let directory = if name == "context-parent" { "project" } else { "." };
        let compose = match name.as_str() {
            "cookiecutter-local" => "docker-compose.local.yml",
            "cookiecutter-production" => "docker-compose.production.yml",
            "subdirectory" => "docker/compose.yaml",
            _ => "",
        };
        let env = [("INPUT_WORKING-DIRECTORY", directory), ("INPUT_COMPOSE-FILE", compose)];
        let (status, out) = world.plan("push_branch", &env);
        if out.contains("outside the checkout") || out.contains("`allow`") || out.contains("the input `ssh` may do") {
            assert_eq!(status, 2, "{out}");
            asking.push(name);
        }
    }
    asking.sort();
    // Paths outside the repository, agents, and entitlements.
    assert_eq!(
        asking,
        ["build-short", "context-parent", "contexts", "flags", "override-merge", "ssh", "ssh-key", "x-bake"]
    );
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn a_refused_value_says_that_a_variable_in_it_is_not_set() {
    let compose = build("context: '${APP_ROOT}/', additional_contexts: {g: /srv}");
    let words = ["is /, which is outside the checkout (the variable `APP_ROOT` in it is not set and counts as empty)"];
    refused(&[("compose.yaml", &compose)], &[], &words);
    // Each way of writing a value.
    for keys in [
        "additional_contexts: ['g=${APP_ROOT}/']",
        "additional_contexts: {g: \"/$APP_ROOT\"}",
        "x-bake: {contexts: {g: '${APP_ROOT}/'}}",
        "x-bake: {secret: ['id=p,src=${APP_ROOT}/etc/x']}",
    ] {
        let compose = build(&format!("context: ., {keys}"));
        refused(&[("compose.yaml", &compose)], &[], &["(the variable `APP_ROOT` in it is not set"]);
    }
    let compose = build("context: '${GITHUB_TOKEN}/'");
    refused(
        &[("compose.yaml", &compose)],
        &[],
        &["the variable `GITHUB_TOKEN` in it is hidden from compose files and"],
    );
    // Other values of the same line have nothing to do with it.
    let compose = build("context: ., target: '${APP_ROOT}', network: host");
    let (_, out) = World::new(&[("compose.yaml", &compose)]).plan("push_branch", &[]);
    assert!(out.contains("requires the entitlement") && !out.contains("counts as empty"), "{out}");
    let set = World::new(&[("compose.yaml", &build("context: '${APP_ROOT}/'"))]);
    let (status, out) = set.plan("push_branch", &[("APP_ROOT", "/etc")]);
    assert!(status == 2 && out.contains("is /etc, which") && !out.contains("counts as empty"), "{out}");
}

#[test]
fn a_dockerfile_that_is_named_from_the_root_is_told_without_the_slash() {
    let compose = build("context: app, dockerfile: /Dockerfile.web-of-a-test");
    let files = [("compose.yaml", compose.as_str()), ("app/Dockerfile.web-of-a-test", "FROM scratch\n")];
    refused(&files, &[], &["write `Dockerfile.web-of-a-test`, without the slash"]);
    let world = World::new(&files[..1]);
    world.write("workspace/app/x", "");
    let (_, out) = world.plan("push_branch", &[]);
    assert!(!out.contains("without the slash"), "{out}");
}

#[test]
fn several_refusals_are_lines_of_their_own() {
    let compose = build("context: ., network: host, privileged: true");
    let world = World::new(&[("compose.yaml", &compose)]);
    let (_, out) = world.plan("push_branch", &[]);
    for words in ["requires the entitlement `network.host`", "requires the entitlement `security.insecure`"] {
        let told: Vec<&str> = out.lines().filter(|line| !line.starts_with("::") && line.contains(words)).collect();
        assert!(told.len() == 1 && told[0].trim_end().ends_with(words), "{told:?}\n{out}");
    }
}
