//! Rejects options that the builder does not support, and warns about platforms that it cannot run, before anything is
//! built. Pure.

use std::collections::HashSet;

use super::spec::BuildSpec;
use crate::{
    buildkit::build::CompressionKind,
    domain::{
        diagnostic::{Diagnostic, Severity},
        failure::Failure,
        platform::normal,
        stage::Stage,
    },
};

/// How to get an engine without the limits of the classic image store.
const CONTAINERD_HINT: &str = "this engine uses the classic image store: remove `builder: engine`, so that a BuildKit \
                               container builds; or switch the engine to the containerd image store (Docker 24 or newer: \
                               `{\"features\": {\"containerd-snapshotter\": true}}` in /etc/docker/daemon.json); or remove ";

/// Rejects options that an engine with the classic image store does not support.
pub fn of_classic_store(spec: &BuildSpec) -> Result<(), Failure> {
    let refuse = |headline: String, input: &str| {
        let hint = format!("{CONTAINERD_HINT}`{input}`");
        Err(Failure::new(Stage::Preflight, headline, Some(hint)).of_image(&spec.name))
    };
    if spec.build.platforms.len() > 1 {
        let count = spec.build.platforms.len();
        return refuse(format!("an image for {count} platforms requires the containerd image store"), "platforms");
    }
    if let Some((kind, _)) = spec.build.attestations.first() {
        return refuse(format!("`{kind}` requires the containerd image store"), kind);
    }
    let option = match spec.build.compression.kind {
        CompressionKind::Gzip if spec.build.compression.level.is_none() => return Ok(()),
        CompressionKind::Gzip => "compression-level",
        CompressionKind::Zstd => "compression: zstd",
        CompressionKind::Estargz => "compression: estargz",
        CompressionKind::Uncompressed => "compression: uncompressed",
    };
    refuse(format!("`{option}` requires the containerd image store"), "compression")
}

/// Warns about `RUN` steps for platforms that the builder cannot run. `runs` are the platforms that it can run;
/// `dockerfile` is the Dockerfile's text.
///
/// A Dockerfile can build for a platform that the builder cannot run, with `COPY` alone, or by cross-compiling in stages
/// that begin with `FROM --platform=$BUILDPLATFORM`. So only `RUN` in other stages counts. Not an error, since the build
/// may not need the stage.
pub fn without_emulation(spec: &BuildSpec, runs: &[String], dockerfile: &str) -> Option<Diagnostic> {
    let known = |platform: &&String| runs.contains(&normal(platform));
    let foreign: Vec<&str> =
        spec.build.platforms.iter().filter(|platform| !known(platform)).map(String::as_str).collect();
    if foreign.is_empty() || runs.is_empty() || !runs_on_target(dockerfile) {
        return None;
    }
    let message = format!(
        "{}: the builder cannot run {}, but the Dockerfile has `RUN` steps for it; add docker/setup-qemu-action before \
         this step, or begin stages that cross-compile with `FROM --platform=$BUILDPLATFORM`",
        spec.name,
        foreign.join(", ")
    );
    Some(Diagnostic { severity: Severity::Warning, title: "no emulation".to_owned(), message, place: None })
}

/// Whether a stage for the target platform has a `RUN`.
fn runs_on_target(dockerfile: &str) -> bool {
    let mut on_target = false;
    // The names of stages that run on the platform of the builder. Stages based on them do so too.
    let mut native: HashSet<String> = HashSet::new();
    for line in dockerfile.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [instruction, rest @ ..] = words.as_slice() else { continue };
        if instruction.eq_ignore_ascii_case("FROM") {
            let flag = rest.iter().find_map(|word| word.strip_prefix("--platform="));
            let mut names = rest.iter().filter(|word| !word.starts_with("--"));
            let base = names.next().map(|name| name.to_lowercase()).unwrap_or_default();
            on_target = match flag {
                Some(platform) => platform.contains("TARGET"),
                None => !native.contains(&base),
            };
            if !on_target && let Some(name) = names.nth(1) {
                native.insert(name.to_lowercase());
            }
        } else if on_target && instruction.eq_ignore_ascii_case("RUN") {
            return true;
        }
    }
    false
}

/// Whether an image uses an option that Docker 20.10 does not support.
pub fn is_new(spec: &BuildSpec) -> bool {
    new_option(spec).is_some()
}

/// Rejects options that Docker 20.10 does not support: its built-in Dockerfile frontend silently ignores them.
/// `dockerfile` is the Dockerfile's text, if it is known.
pub fn of_old_engine(spec: &BuildSpec, dockerfile: Option<&str>) -> Result<(), Failure> {
    let Some(option) = new_option(spec) else { return Ok(()) };
    // A context that is another image of the run needs a newer engine, with any frontend.
    let is_linked = spec.build.bases().next().is_some();
    if !is_linked && dockerfile.is_some_and(names_frontend) {
        return Ok(());
    }
    let headline = format!("{option} requires Docker 23 or newer");
    let hint = if is_linked {
        "update the engine"
    } else {
        "update the engine, or begin the Dockerfile with `# syntax=docker/dockerfile:1`"
    };
    Err(Failure::new(Stage::Preflight, headline, Some(hint.to_owned())).of_image(&spec.name))
}

/// The first option of an image that came with BuildKit 0.10.
fn new_option(spec: &BuildSpec) -> Option<String> {
    match spec.build.named_contexts.first() {
        Some((name, _)) => Some(format!("the named context `{name}`")),
        None if spec.build.shm_size.is_some() => Some("`shm-size`".to_owned()),
        None if !spec.build.ulimits.is_empty() => Some("`ulimits`".to_owned()),
        None if spec.build.cgroup_parent.is_some() => Some("`cgroup-parent`".to_owned()),
        None => None,
    }
}

/// Whether a Dockerfile begins with `# syntax=…`, which names a frontend.
fn names_frontend(dockerfile: &str) -> bool {
    let directives = dockerfile.lines().map_while(|line| line.strip_prefix('#')?.split_once('='));
    directives.into_iter().any(|(key, _)| key.trim().eq_ignore_ascii_case("syntax"))
}

#[cfg(test)]
mod tests {
    use super::{names_frontend, of_classic_store, of_old_engine, runs_on_target, without_emulation};
    use crate::{
        builder::spec::BuildSpec,
        buildkit::build::{Build, Compression, CompressionKind, Context},
    };

    #[test]
    fn the_classic_store_names_what_it_does_not_support() {
        let with = |build| BuildSpec { name: "web".into(), build, ..BuildSpec::default() };
        let mut cases = Vec::new();
        cases.push((
            with(Build { platforms: vec!["linux/amd64".into(), "linux/arm64".into()], ..<_>::default() }),
            "`platforms`",
        ));
        cases.push((with(Build { attestations: vec![("sbom", String::new())], ..<_>::default() }), "`sbom`"));
        let compression = Compression { kind: CompressionKind::Zstd, ..Compression::default() };
        cases.push((with(Build { compression, ..<_>::default() }), "`compression`"));
        for (spec, input) in cases {
            let hint = of_classic_store(&spec).unwrap_err().hint.unwrap();
            assert!(hint.contains(input) && hint.contains("containerd-snapshotter"), "{hint}");
        }
        assert_eq!(of_classic_store(&with(Build { platforms: vec!["linux/arm64".into()], ..<_>::default() })), Ok(()));
    }

    #[test]
    fn only_runs_for_the_target_need_emulation() {
        for (dockerfile, want) in [
            ("FROM a\nCOPY . .\n", false),
            ("FROM a\nRUN x\n", true),
            ("FROM --platform=$BUILDPLATFORM a AS build\nRUN x\nFROM scratch\nCOPY --from=build /x /\n", false),
            ("FROM --platform=$BUILDPLATFORM a AS Base\nFROM base AS build\nRUN x\nFROM scratch\n", false),
            ("from --platform=$TARGETPLATFORM a\nrun x\n", true),
            ("FROM --platform=$BUILDPLATFORM a AS build\nFROM b\nRUN x\n", true),
        ] {
            assert_eq!(runs_on_target(dockerfile), want, "{dockerfile}");
        }
        let build = Build { platforms: vec!["linux/amd64".into(), "linux/arm64/v8".into()], ..<_>::default() };
        let spec = BuildSpec { build, ..BuildSpec::default() };
        let runs = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        let warning = without_emulation(&spec, &runs(&["linux/amd64", "linux/386"]), "FROM a\nRUN x").unwrap();
        assert!(warning.message.contains("cannot run linux/arm64/v8"), "{}", warning.message);
        assert_eq!(without_emulation(&spec, &runs(&["linux/amd64", "linux/arm64"]), "FROM a\nRUN x"), None);
    }

    #[test]
    fn an_old_engine_needs_the_dockerfiles_own_frontend() {
        assert!(names_frontend("# syntax=docker/dockerfile:1\nFROM a"));
        assert!(names_frontend("#check=skip=all\n#SYNTAX = x\nFROM a"));
        assert!(!names_frontend("# a comment\n# syntax=x\nFROM a") && !names_frontend("FROM a\n# syntax=x"));
        let with = |context| {
            let build = Build { named_contexts: vec![("x".into(), context)], ..<_>::default() };
            BuildSpec { build, ..BuildSpec::default() }
        };
        let remote = with(Context::Remote("docker-image://a".into()));
        assert!(of_old_engine(&remote, Some("FROM a")).is_err());
        assert_eq!(of_old_engine(&remote, Some("# syntax=a\nFROM a")), Ok(()));
        assert!(of_old_engine(&with(Context::Build("b".into())), Some("# syntax=a\nFROM a")).is_err());
        assert_eq!(of_old_engine(&BuildSpec::default(), None), Ok(()));
    }
}
