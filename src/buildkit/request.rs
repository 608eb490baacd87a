//! Encodes a [`Build`] as a request to BuildKit's Dockerfile frontend. Pure.
//!
//! The attributes are those that `docker buildx build` sends for the same options
//! (<https://github.com/docker/buildx/blob/master/build/opt.go>); an option that is not set sends none.

use std::{collections::HashMap, path::PathBuf};

use bollard_buildkit_proto::moby::buildkit::v1::{CacheOptions, CacheOptionsEntry, Exporter, SolveRequest};
use serde_json::json;

use super::{
    build::{Build, Cache, Compression, CompressionKind, Context, Dockerfile, Epoch, NoCache},
    filesync::{SharedDir, Source},
};

/// Name of the local directory that holds the Dockerfile.
const DOCKERFILE: &str = "dockerfile";
/// Name of the local directory that is the build context.
const CONTEXT: &str = "context";
/// The name that an inline Dockerfile is sent under.
const INLINE_NAME: &str = "Dockerfile";

/// How the daemon exports the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Export {
    /// Not at all: the build only has to succeed.
    Discard,
    /// Packs it as for a push, but does not keep it. Needs the containerd image store.
    Pack,
    /// Pushes it under its tags. Needs the containerd image store.
    Push,
    /// Pushes it without a tag. Needs the containerd image store.
    PushByDigest,
    /// Pushes it without a tag, and stores it in the engine under its names. Needs BuildKit 0.13, which supports several
    /// exporters.
    PushByDigestAndLoad,
    /// Stores it in the engine under its names.
    Load,
    /// Sends it to the session's [`super::export::ImageReceiver`], as an archive that an engine can load.
    Send,
}

/// The names that an image is exported under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageNames {
    /// Its repositories, for a push by digest.
    pub repositories: Vec<String>,
    /// `repository:tag`, for all other exports.
    pub tagged: Vec<String>,
}

/// The request `id` for `build` in the session `session`.
pub fn solve_request(build: &Build, export: Export, names: &ImageNames, id: &str, session: &str) -> SolveRequest {
    let exports = match export {
        Export::PushByDigestAndLoad => vec![Export::PushByDigest, Export::Load],
        _ => vec![export],
    };
    let exporters: Vec<Exporter> = exports.into_iter().filter_map(|export| exporter(build, export, names)).collect();
    let mut attrs = frontend_attrs(build);
    if export == Export::Discard {
        // There is nothing that they could be attached to.
        attrs.retain(|key, _| !key.starts_with("attest:") && !key.starts_with("vcs:"));
    }
    SolveRequest {
        r#ref: id.to_owned(),
        session: session.to_owned(),
        frontend: "dockerfile.v0".to_owned(),
        frontend_attrs: attrs,
        // Before BuildKit 0.13 only these are read.
        exporter_deprecated: exporters.first().map(|e| e.r#type.clone()).unwrap_or_default(),
        exporter_attrs_deprecated: exporters.first().map(|e| e.attrs.clone()).unwrap_or_default(),
        exporters,
        cache: Some(CacheOptions {
            imports: build.cache_from.iter().map(cache_entry).collect(),
            exports: build.cache_to.iter().map(cache_entry).collect(),
            ..CacheOptions::default()
        }),
        entitlements: entitlements(build),
        // Keeps the build out of the engine's history, which would show the build arguments, and saves computing the
        // provenance for it.
        internal: true,
        ..SolveRequest::default()
    }
}

fn exporter(build: &Build, export: Export, names: &ImageNames) -> Option<Exporter> {
    let mut attrs: HashMap<String, String> = HashMap::new();
    let kind = match export {
        Export::Discard => return None,
        Export::Pack => {
            // Without a name nothing in the engine refers to it.
            let attrs = HashMap::from([("store".to_owned(), "false".to_owned())]);
            return Some(Exporter { r#type: "image".to_owned(), attrs });
        }
        Export::Push | Export::PushByDigest | Export::PushByDigestAndLoad => {
            attrs.insert("push".into(), "true".into());
            // The image is needed in the registry only: no name in the engine, no unpacked copy.
            attrs.insert("store".into(), "false".into());
            "image"
        }
        Export::Load => "moby",
        Export::Send => "docker",
    };
    if export == Export::PushByDigest {
        attrs.insert("push-by-digest".into(), "true".into());
        attrs.insert("name".into(), names.repositories.join(","));
    } else {
        attrs.insert("name".into(), names.tagged.join(","));
    }
    compression(build, &mut attrs);
    timestamps(build, export, &mut attrs);
    attrs.extend(build.annotations.iter().map(|(key, value)| (annotation(key), value.clone())));
    Some(Exporter { r#type: kind.to_owned(), attrs })
}

/// How layers are compressed. The default sends nothing.
fn compression(build: &Build, attrs: &mut HashMap<String, String>) {
    if build.compression == Compression::default() {
        return;
    }
    let Compression { kind, level, force } = build.compression;
    let kind = match kind {
        CompressionKind::Gzip => "gzip",
        CompressionKind::Zstd => "zstd",
        CompressionKind::Estargz => "estargz",
        CompressionKind::Uncompressed => "uncompressed",
    };
    attrs.insert("compression".into(), kind.into());
    // Docker's media types have none for zstd and estargz.
    attrs.insert("oci-mediatypes".into(), "true".into());
    if let Some(level) = level {
        attrs.insert("compression-level".into(), level.to_string());
    }
    if force {
        attrs.insert("force-compression".into(), "true".into());
    }
}

/// The timestamps in the image: of its creation and history, and in some builds of every file.
///
/// To set those of files, BuildKit reads and compresses all layers again with every export, which takes seconds for a few
/// hundred megabytes. Layers from a cache are the same in every build anyway, so files are included only where the user
/// sets the time or disables the cache. BuildKit cannot do it for an image that it stores in an engine.
fn timestamps(build: &Build, export: Export, attrs: &mut HashMap<String, String>) {
    let Some(epoch) = build.epoch else { return };
    if let Epoch::Commit(seconds) = epoch {
        attrs.insert("source-date-epoch".into(), seconds.to_string());
    }
    if export != Export::Load && (epoch == Epoch::BuildArg || build.no_cache == NoCache::All) {
        attrs.insert("rewrite-timestamp".into(), "true".into());
    }
}

/// The exporter's attribute for `level:key` (<https://docs.docker.com/build/metadata/annotations/>). For BuildKit, the
/// level ends at the first dot.
fn annotation(key: &str) -> String {
    match key.split_once(':') {
        Some((level, name)) => format!("annotation-{level}.{name}"),
        None => format!("annotation.{key}"),
    }
}

/// The local directories that the daemon may read for a build.
pub fn shared_dirs(build: &Build) -> Vec<SharedDir> {
    let dir = |name: &str, path: &PathBuf| SharedDir { name: name.to_owned(), source: Source::Path(path.clone()) };
    let mut dirs = Vec::new();
    if let Context::Directory(path) = &build.context {
        dirs.push(dir(CONTEXT, path));
    }
    match &build.dockerfile {
        Dockerfile::File { directory, .. } => dirs.push(dir(DOCKERFILE, directory)),
        Dockerfile::Inline(text) => dirs.push(SharedDir {
            name: DOCKERFILE.to_owned(),
            source: Source::Memory(vec![(INLINE_NAME.to_owned(), text.clone().into_bytes())]),
        }),
        Dockerfile::InContext(_) => {}
    }
    for (name, context) in &build.named_contexts {
        if let Context::Directory(path) = context {
            dirs.push(dir(&named_directory(name), path));
        }
    }
    dirs
}

/// The name that a named context's directory is sent under; never that of the build context or the Dockerfile.
fn named_directory(context: &str) -> String {
    if matches!(context, CONTEXT | DOCKERFILE) { format!("_{context}") } else { context.to_owned() }
}

fn frontend_attrs(build: &Build) -> HashMap<String, String> {
    let mut attrs: HashMap<String, String> = HashMap::new();
    let mut set = |key: &str, value: String| attrs.insert(key.to_owned(), value);
    match &build.dockerfile {
        Dockerfile::File { name, .. } | Dockerfile::InContext(name) => set("filename", name.clone()),
        Dockerfile::Inline(_) => set("filename", INLINE_NAME.into()),
    };
    if let Context::Remote(url) = &build.context {
        set("context", url.clone());
        if !matches!(build.dockerfile, Dockerfile::InContext(_)) {
            // The Dockerfile is local although the context is remote.
            set("dockerfilekey", DOCKERFILE.into());
        }
    }
    for (name, context) in &build.named_contexts {
        let value = match context {
            Context::Directory(_) => format!("local:{}", named_directory(name)),
            Context::Remote(url) => url.clone(),
            // Added when the other build's result is known.
            Context::Build(_) => continue,
        };
        set(&format!("context:{name}"), value);
    }
    let mut caps = Vec::new();
    if !build.named_contexts.is_empty() {
        caps.push("moby.buildkit.frontend.contexts+forward");
    }
    if matches!(&build.context, Context::Remote(url) if url.contains('?')) {
        caps.push("moby.buildkit.frontend.gitquerystring");
    }
    if !caps.is_empty() {
        set("frontend.caps", caps.join(","));
    }
    if let Some(target) = &build.target {
        set("target", target.clone());
    }
    if !build.platforms.is_empty() {
        set("platform", build.platforms.join(","));
    }
    for (key, value) in &build.build_args {
        set(&format!("build-arg:{key}"), value.clone());
    }
    for (key, value) in &build.labels {
        set(&format!("label:{key}"), value.clone());
    }
    for (kind, attributes) in &build.attestations {
        set(&format!("attest:{kind}"), attributes.clone());
        if let ("provenance", Some(commit)) = (*kind, &build.commit) {
            set("vcs:source", commit.source.clone());
            set("vcs:revision", commit.revision.clone());
        }
    }
    if let Some(network) = &build.network {
        set("force-network-mode", network.clone());
    }
    if !build.add_hosts.is_empty() {
        set("add-hosts", build.add_hosts.join(","));
    }
    if let Some(bytes) = build.shm_size {
        set("shm-size", bytes.to_string());
    }
    if !build.ulimits.is_empty() {
        set("ulimit", build.ulimits.join(","));
    }
    if let Some(parent) = &build.cgroup_parent {
        set("cgroup-parent", parent.clone());
    }
    match &build.no_cache {
        NoCache::Never => {}
        NoCache::All => drop(set("no-cache", String::new())),
        NoCache::Stages(stages) => drop(set("no-cache", stages.join(","))),
    }
    // As buildx does on a Docker engine: a base image that exists is used, unless `pull` is set.
    set("image-resolve-mode", if build.pull { "pull" } else { "local" }.into());
    if !build.cache_from.is_empty() {
        // The frontend reads only this attribute, the solver only the request's own field.
        let imports: Vec<_> = build
            .cache_from
            .iter()
            .map(|cache| json!({"Type": cache.kind, "Attrs": cache.attributes.iter().cloned().collect::<HashMap<_, _>>()}))
            .collect();
        set("cache-imports", json!(imports).to_string());
    }
    attrs
}

/// `network: host` needs its entitlement in the request although the engine grants it to all.
fn entitlements(build: &Build) -> Vec<String> {
    let mut all = build.entitlements.clone();
    if build.network.as_deref() == Some("host") && !all.iter().any(|e| e == "network.host") {
        all.push("network.host".to_owned());
    }
    all
}

fn cache_entry(cache: &Cache) -> CacheOptionsEntry {
    CacheOptionsEntry { r#type: cache.kind.clone(), attrs: cache.attributes.iter().cloned().collect() }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::PathBuf};

    use super::{Export, ImageNames};
    use crate::buildkit::build::{
        Build, Cache, Commit, Compression, CompressionKind, Context, Dockerfile, Epoch, NoCache,
    };

    fn build() -> Build {
        Build {
            context: Context::Directory(PathBuf::from("/w")),
            dockerfile: Dockerfile::File {
                directory: "/w/compose/production/django".into(),
                name: "Dockerfile".into(),
            },
            ..Build::default()
        }
    }

    fn solve_request(build: &Build, export: Export) -> super::SolveRequest {
        let names = ImageNames {
            repositories: vec!["ghcr.io/o/r/django".into()],
            tagged: vec!["ghcr.io/o/r/django:main".into(), "ghcr.io/o/r/django:latest".into()],
        };
        super::solve_request(build, export, &names, "id", "session")
    }

    fn attrs(build: &Build) -> BTreeMap<String, String> {
        solve_request(build, Export::Discard).frontend_attrs.into_iter().collect()
    }

    #[test]
    fn a_plain_build_sends_only_what_it_must() {
        let sent = attrs(&build());
        let expected = [("filename", "Dockerfile"), ("image-resolve-mode", "local")];
        assert_eq!(sent, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    }

    #[test]
    fn every_option_has_its_attribute() {
        let mut all = build();
        all.target = Some("run".into());
        all.platforms = vec!["linux/amd64".into(), "linux/arm64".into()];
        all.build_args = vec![("A".into(), "1".into())];
        all.labels = vec![("l".into(), "x".into())];
        all.named_contexts = vec![
            ("base".into(), Context::Remote("docker-image://alpine".into())),
            ("src".into(), Context::Directory("/s".into())),
        ];
        all.network = Some("host".into());
        all.add_hosts = vec!["a=1.2.3.4".into()];
        all.shm_size = Some(64);
        all.ulimits = vec!["nofile=1:2".into()];
        all.cgroup_parent = Some("ci.slice".into());
        all.no_cache = NoCache::Stages(vec!["run".into()]);
        all.pull = true;
        all.cache_from = vec![Cache { kind: "registry".into(), attributes: vec![("ref".into(), "r".into())] }];
        let sent = attrs(&all);
        for (key, value) in [
            ("target", "run"),
            ("platform", "linux/amd64,linux/arm64"),
            ("build-arg:A", "1"),
            ("label:l", "x"),
            ("context:base", "docker-image://alpine"),
            ("context:src", "local:src"),
            ("force-network-mode", "host"),
            ("add-hosts", "a=1.2.3.4"),
            ("shm-size", "64"),
            ("ulimit", "nofile=1:2"),
            ("cgroup-parent", "ci.slice"),
            ("no-cache", "run"),
            ("image-resolve-mode", "pull"),
            ("cache-imports", r#"[{"Attrs":{"ref":"r"},"Type":"registry"}]"#),
        ] {
            assert_eq!(sent.get(key).map(String::as_str), Some(value), "{key}");
        }
        assert_eq!(solve_request(&all, Export::Discard).entitlements, ["network.host"]);
    }

    #[test]
    fn attestations_and_their_commit_need_an_export() {
        let mut attested = build();
        attested.attestations = vec![("provenance", "mode=max".into()), ("sbom", String::new())];
        attested.commit = Some(Commit { source: "https://github.com/o/r".into(), revision: "abc".into() });
        let sent = solve_request(&attested, Export::Push).frontend_attrs;
        let of = |key: &str| sent.get(key).map(String::as_str);
        assert_eq!((of("attest:provenance"), of("attest:sbom")), (Some("mode=max"), Some("")));
        assert_eq!((of("vcs:source"), of("vcs:revision")), (Some("https://github.com/o/r"), Some("abc")));
        let sent = attrs(&attested);
        assert!(!sent.keys().any(|key| key.starts_with("attest:") || key.starts_with("vcs:")), "{sent:?}");
    }

    #[test]
    fn compression_is_up_to_the_exporter() {
        let mut packed = build();
        let exporter = |build: &Build| solve_request(build, Export::Push).exporters[0].attrs.clone();
        assert!(!exporter(&packed).keys().any(|key| key.contains("compression") || key.contains("media")));
        for (kind, word) in [(CompressionKind::Estargz, "estargz"), (CompressionKind::Gzip, "gzip")] {
            packed.compression = Compression { kind, level: Some(3), force: true };
            let sent = exporter(&packed);
            for (key, value) in [
                ("compression", word),
                ("compression-level", "3"),
                ("force-compression", "true"),
                ("oci-mediatypes", "true"),
            ] {
                assert_eq!(sent.get(key).map(String::as_str), Some(value), "{key}");
            }
        }
    }

    #[test]
    fn timestamps_of_files_are_set_where_the_cache_does_not_keep_them() {
        let sent = |epoch, no_cache, export| {
            let build = Build { no_cache, epoch, ..build() };
            let attrs = solve_request(&build, export).exporters[0].attrs.clone();
            [attrs.get("source-date-epoch").cloned(), attrs.get("rewrite-timestamp").cloned()]
        };
        let commit = || Some("7".to_owned());
        let yes = || Some("true".to_owned());
        assert_eq!(sent(None, NoCache::All, Export::Push), [None, None]);
        assert_eq!(sent(Some(Epoch::Commit(7)), NoCache::Never, Export::Push), [commit(), None]);
        assert_eq!(sent(Some(Epoch::Commit(7)), NoCache::All, Export::Push), [commit(), yes()]);
        assert_eq!(sent(Some(Epoch::Commit(7)), NoCache::All, Export::Load), [commit(), None]);
        assert_eq!(
            sent(Some(Epoch::BuildArg), NoCache::Never, Export::Push),
            [None, yes()],
            "the daemon sees the argument"
        );
    }

    #[test]
    fn annotations_have_their_level() {
        let mut annotated = build();
        annotated.annotations = [("manifest:a.b", "1"), ("index[linux/arm64]:c", "2")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec();
        let attrs = &solve_request(&annotated, Export::Push).exporters[0].attrs;
        assert_eq!(
            (attrs["annotation-manifest.a.b"].as_str(), attrs["annotation-index[linux/arm64].c"].as_str()),
            ("1", "2")
        );
    }

    #[test]
    fn pushes_all_names_at_once_and_stores_nothing() {
        let request = solve_request(&build(), Export::Push);
        assert_eq!(request.exporters.len(), 1);
        let exporter = &request.exporters[0];
        assert_eq!(exporter.r#type, "image");
        assert_eq!(exporter.attrs["name"], "ghcr.io/o/r/django:main,ghcr.io/o/r/django:latest");
        assert_eq!((exporter.attrs["push"].as_str(), exporter.attrs["store"].as_str()), ("true", "false"));
        assert_eq!(request.exporter_deprecated, "image", "for BuildKit before 0.13");
        assert!(solve_request(&build(), Export::Discard).exporters.is_empty());
        let both = solve_request(&build(), Export::PushByDigestAndLoad).exporters;
        let kinds: Vec<_> = both.iter().map(|one| (one.r#type.as_str(), one.attrs.contains_key("push"))).collect();
        assert_eq!(kinds, [("image", true), ("moby", false)]);
        let attrs = &solve_request(&build(), Export::PushByDigest).exporters[0].attrs;
        assert_eq!((attrs["name"].as_str(), attrs["push-by-digest"].as_str()), ("ghcr.io/o/r/django", "true"));
    }
}
