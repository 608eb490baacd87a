//! Tables of requests in compose files, permissions in inputs, and the resulting refusals.

use std::collections::BTreeSet;

use super::{Fix, Grants, Refusal, failure, refusals, repository};
use crate::{
    compose::{Files, Request, load},
    domain::diagnostic::Place,
    inputs::{cli::RawInputs, parse::parse, runner::RunnerEnv, typed::Inputs},
    plan::{
        images::{self, ImageSpec},
        naming::{Names, Project, destinations},
    },
};

struct One<'a>(&'a str);

impl Files for One<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        Ok((path == "compose.yaml").then(|| self.0.as_bytes().to_vec()))
    }
}

fn inputs(written: &[(&str, &str)]) -> Inputs {
    let mut raw = RawInputs::default();
    for (name, value) in written {
        raw.set(name, value).unwrap();
    }
    parse(&raw, &RunnerEnv::new([("MINE", "x")])).unwrap()
}

fn specs(text: &str, inputs: &Inputs) -> Vec<ImageSpec> {
    let request =
        Request { withheld: ["GITHUB_TOKEN", "INPUT_PASSWORD"].map(str::to_owned).into(), ..Request::default() };
    let project = load(&request, &One(text)).unwrap();
    images::images(Some(&project), &inputs.project, &inputs.build, "site").unwrap()
}

/// Returns the refusals for a compose file.
fn of_file(text: &str, written: &[(&str, &str)]) -> Vec<Refusal> {
    let inputs = inputs(written);
    let names = Names { registry: "ghcr.io", owner: "o", repo: "r", username: "" };
    let (own, _) = destinations(&[], Project::Images, names, "web").unwrap();
    let caches = [&inputs.registry.caches.from[..], &inputs.registry.caches.to].concat();
    let grants = Grants {
        allow: &inputs.build.allow,
        caches: &caches,
        repositories: &BTreeSet::from([&own]),
        is_set: &|name| name != "GH_TOKEN",
    };
    refusals(&specs(text, &inputs), grants)
}

fn of_build(build: &str, written: &[(&str, &str)]) -> Vec<Refusal> {
    of_file(&format!("services:\n  web:\n    build: {{context: ., {build}}}\n"), written)
}

#[track_caller]
fn needs(build: &str, permission: &str, granted_by: &[(&str, &str)]) {
    let refused = of_build(build, &[]);
    assert_eq!(refused.len(), 1, "{build}: {refused:?}");
    assert_eq!(refused[0].fix, Fix::Allow(permission.to_owned()), "{build}");
    let position = refused[0].position.as_ref().unwrap();
    assert_eq!((&*position.at.file, position.at.line), ("compose.yaml", 3), "{build}");
    assert!(position.key.starts_with("services.web.build."), "{position:?}");
    assert_eq!(of_build(build, &[("allow", permission)]), [], "{build}");
    for granted in granted_by {
        assert_eq!(of_build(build, &[*granted]), [], "{build}, {granted:?}");
    }
    let others = "fs.read=*\nsecrets.env=OTHER\ncache-to=ghcr.io/else/where";
    assert_eq!(of_build(build, &[("allow", others)]).len(), 1, "{build}: another permission");
}

#[test]
fn each_request_needs_its_permission() {
    needs("network: host", "network.host", &[("network", "host"), ("network", "none"), ("network", "default")]);
    needs("entitlements: [network.host]", "network.host", &[("network", "host")]);
    needs("privileged: true", "security.insecure", &[]);
    needs("privileged: 'yes'", "security.insecure", &[]);
    needs("entitlements: [security.insecure]", "security.insecure", &[]);
    needs("ssh: [default]", "ssh", &[("ssh", "default"), ("ssh", "default=/key")]);
    needs("x-bake: {ssh: default}", "ssh", &[("ssh", "default")]);
    needs("x-bake: {ssh: [deploy]}", "ssh", &[("ssh", "deploy=/key")]);
    needs("x-bake: {secret: [id=GITHUB_TOKEN]}", "secrets.env=GITHUB_TOKEN", &[("secrets", "GITHUB_TOKEN=x")]);
    needs(
        "x-bake: {secret: 'id=t,env=AWS_SESSION_TOKEN'}",
        "secrets.env=AWS_SESSION_TOKEN",
        &[("secret-envs", "t=MINE")],
    );
    needs("x-bake: {secret: 'id=t,type=env,src=GITHUB_TOKEN'}", "secrets.env=GITHUB_TOKEN", &[("secret-files", "t=f")]);
    let foreign = "ghcr.io/else/cache:x";
    for cache in ["cache_to: ['type=registry,ref=ghcr.io/else/cache:x']", "cache_to: [ghcr.io/else/cache:x]"] {
        needs(
            cache,
            "cache-to=ghcr.io/else/cache:x",
            &[("allow", "cache-to=ghcr.io/else/cache"), ("allow", "cache-to=*")],
        );
        needs(cache, &format!("cache-to={foreign}"), &[("images", &format!("- {{name: web, cache-to: [{foreign}]}}"))]);
        needs(cache, &format!("cache-to={foreign}"), &[("cache-to", foreign)]);
    }
    // BuildKit uses the last of several.
    needs(
        "x-bake: {cache-to: 'type=registry,ref=ghcr.io/o/r/web:c,ref=docker.io/else/where'}",
        "cache-to=docker.io/else/where",
        &[],
    );
}

#[test]
fn some_requests_are_for_inputs_alone() {
    for (build, granted_by) in [
        ("ssh: [default=/var/run/docker.sock]", ("ssh", "default")),
        ("ssh: {default: ./key}", ("ssh", "default=other")),
        ("x-bake: {ssh: default=/var/run/docker.sock}", ("ssh", "default")),
        ("x-bake: {secret: [id=INPUT_PASSWORD]}", ("secrets", "INPUT_PASSWORD=x")),
        ("x-bake: {secret: ['id=p,env=INPUT_PASSWORD']}", ("secrets", "p=x")),
        ("x-bake: {secret: ['id=p,env=input_password']}", ("secrets", "p=x")),
        ("x-bake: {secret: ['id=p,env=ACTIONS_RUNTIME_TOKEN']}", ("secrets", "p=x")),
        ("x-bake: {secret: ['id=p,env=STATE_message']}", ("secrets", "p=x")),
        ("x-bake: {secret: ['id=p,env=RUNNER_TRACKING_ID']}", ("secrets", "p=x")),
        ("cache_to: ['type=s3,bucket=b,endpoint_url=https://evil.example']", ("allow", "cache-to=*")),
        ("cache_to: ['type=azblob,account_url=https://evil.example']", ("allow", "cache-to=*")),
        ("cache_from: ['type=s3,bucket=b,endpoint_url=https://evil.example']", ("allow", "cache-to=*")),
        ("entitlements: [device]", ("allow", "")),
    ] {
        let refused = of_build(build, &[("allow", "ssh\nfs.read=*\nsecrets.env=INPUT_PASSWORD")]);
        assert_eq!(refused.len(), 1, "{build}: {refused:?}");
        assert!(matches!(refused[0].fix, Fix::Other(_)), "{build}: {refused:?}");
        assert_eq!(of_build(build, &[granted_by]).is_empty(), !granted_by.1.is_empty(), "{build}");
    }
}

#[test]
fn a_usual_project_asks_for_nothing() {
    for build in [
        "network: none",
        "network: default",
        "privileged: false",
        "shm_size: 1gb",
        "extra_hosts: {gw: host-gateway}",
        "tags: [docker.io/else/where]",
        "additional_contexts: {base: docker-image://alpine, lib: 'https://github.com/else/where.git#main:../..'}",
        "x-bake: {secret: ['id=pip,env=PIP_TOKEN', id=.npmrc]}",
        "x-bake: {secret: ['id=t,env=GH_TOKEN']}",
        "cache_from: [ghcr.io/else/cache]",
        "cache_from: ['type=s3,bucket=b,access_key_id=x,secret_access_key=y']",
        "cache_to: ['type=registry,ref=ghcr.io/o/r/web:cache,mode=max', 'type=inline', 'type=gha,scope=x']",
    ] {
        assert_eq!(of_build(build, &[]), [], "{build}");
    }
    let text = "services: {web: {build: {context: ., secrets: [pip]}}}\nsecrets: {pip: {environment: PIP_TOKEN}}";
    assert_eq!(of_file(text, &[]), []);
}

#[test]
fn references_are_read_as_buildkit_does() {
    for (reference, want) in [
        ("ghcr.io/o/r:tag", "ghcr.io/o/r"),
        ("ghcr.io/o/r", "ghcr.io/o/r"),
        ("ghcr.io:443/o/r", "ghcr.io:443/o/r"),
        ("ghcr.io/o/r:tag@sha256:0", "ghcr.io/o/r"),
        ("localhost/o", "localhost/o"),
        ("o/r:x", "docker.io/o/r"),
        ("index.docker.io/o/r", "docker.io/o/r"),
        ("busybox", "docker.io/library/busybox"),
        ("ghcr/o/r", "docker.io/ghcr/o/r"),
    ] {
        assert_eq!(repository(reference), want, "{reference}");
    }
}

#[test]
fn all_is_told_at_once_with_places_and_what_to_set() {
    let text = "\
services:
  web:
    build:
      context: .
      network: host
      secrets: [t, p]
secrets:
  t:
    environment: GITHUB_TOKEN
  p: {environment: INPUT_PASSWORD}
";
    let failure =
        failure(&of_file(text, &[]), &[], |place| Place { file: format!("sub/{}", place.file), ..place }).unwrap();
    assert_eq!(
        failure.headline,
        "compose.yaml:5:16: `services.web.build.network` requires the entitlement `network.host`\ncompose.yaml:9:18: \
         `secrets.t.environment` reads the variable `GITHUB_TOKEN`, which holds a credential\ncompose.yaml:10:20: \
         `secrets.p.environment` reads the variable `INPUT_PASSWORD`, which belongs to the runner or this action"
    );
    assert_eq!(
        failure.hint.as_deref(),
        Some(
            "add `network.host` and `secrets.env=GITHUB_TOKEN` to the input `allow`; pass the value with the input \
             `secrets`, as `p=…`"
        )
    );
    assert_eq!(failure.place, Some(Place { file: "sub/compose.yaml".into(), line: 5, end_line: 5 }));
}
