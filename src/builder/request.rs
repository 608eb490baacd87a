//! Turns a [`Recipe`] into the request that BuildKit's Dockerfile frontend understands. Pure.
//!
//! The attributes are those that `docker buildx build` sends for the same options
//! (<https://github.com/docker/buildx/blob/master/build/opt.go>); an option that is not set sends none.

use std::collections::HashMap;

use bollard_buildkit_proto::moby::buildkit::v1::{CacheOptions, CacheOptionsEntry, Exporter, SolveRequest};
use serde_json::json;

use super::recipe::{Context, Dockerfile, Epoch, NoCache, Recipe};
use crate::{
    domain::repository::Repository,
    inputs::typed::{CacheSpec, Compression, CompressionKind, CompressionReach},
};

/// Name of the local directory that holds the Dockerfile.
pub const DOCKERFILE: &str = "dockerfile";
/// Name of the local directory that is the build context.
pub const CONTEXT: &str = "context";
/// The name that an inline Dockerfile is sent under.
pub const INLINE_NAME: &str = "Dockerfile";

/// What becomes of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Export {
    /// Nothing: the build only has to succeed.
    Discard,
    /// It is packed as for a push, and nothing keeps it. Needs the containerd image store.
    Pack,
    /// BuildKit pushes it under its tags. Needs the containerd image store.
    Push,
    /// BuildKit pushes it without a tag. Needs the containerd image store.
    PushByDigest,
    /// The same, and it is left in the engine's image store under its names. Needs BuildKit 0.13, which has several
    /// exporters in one solve.
    PushByDigestAndLoad,
    /// It is left in the engine's image store under its names.
    Load,
    /// It is sent to us as an archive that an engine can load.
    Send,
}

/// The solve request `id` for `recipe` in `session`.
pub fn solve_request(recipe: &Recipe, export: Export, id: &str, session: &str) -> SolveRequest {
    let exporters: Vec<Exporter> = match export {
        Export::PushByDigestAndLoad => {
            [Export::PushByDigest, Export::Load].map(|export| exporter(recipe, export)).into()
        }
        _ => vec![exporter(recipe, export)],
    }
    .into_iter()
    .flatten()
    .collect();
    let mut attrs = frontend_attrs(recipe);
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
            imports: recipe.cache_from.iter().map(cache_entry).collect(),
            exports: recipe.cache_to.iter().map(cache_entry).collect(),
            ..CacheOptions::default()
        }),
        entitlements: entitlements(recipe),
        // Keeps the build out of the engine's history, where the build arguments would stand in clear, and saves
        // the provenance that is computed for it.
        internal: true,
        ..SolveRequest::default()
    }
}

fn exporter(recipe: &Recipe, export: Export) -> Option<Exporter> {
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
            // The image is wanted in the registry only: no name in the engine, no unpacked copy.
            attrs.insert("store".into(), "false".into());
            "image"
        }
        Export::Load => "moby",
        Export::Send => "docker",
    };
    if export == Export::PushByDigest {
        attrs.insert("push-by-digest".into(), "true".into());
        attrs.insert(
            "name".into(),
            recipe.destinations.repositories().map(Repository::as_str).collect::<Vec<_>>().join(","),
        );
    } else {
        let names = recipe.destinations.names().map(|(repository, tag)| format!("{repository}:{tag}"));
        attrs.insert("name".into(), names.collect::<Vec<_>>().join(","));
    }
    packing(recipe, &mut attrs);
    times(recipe, export, &mut attrs);
    attrs.extend(recipe.annotations.iter().map(|(key, value)| (annotation(key), value.clone())));
    Some(Exporter { r#type: kind.to_owned(), attrs })
}

/// How layers are packed. The default sends nothing.
fn packing(recipe: &Recipe, attrs: &mut HashMap<String, String>) {
    let Compression { kind, level, reach } = &recipe.compression;
    let kind = match kind {
        CompressionKind::Gzip => "gzip",
        CompressionKind::Zstd => "zstd",
        CompressionKind::Estargz => "estargz",
        CompressionKind::Uncompressed => "uncompressed",
    };
    if recipe.compression == Compression::default() {
        return;
    }
    attrs.insert("compression".into(), kind.into());
    // Docker's media types have none for zstd and estargz.
    attrs.insert("oci-mediatypes".into(), "true".into());
    if let Some(level) = level {
        attrs.insert("compression-level".into(), level.to_string());
    }
    if *reach == CompressionReach::All {
        attrs.insert("force-compression".into(), "true".into());
    }
}

/// The times in the image: of its making and its history, and where it is worth that, of every file in it.
///
/// The times of files mean reading and packing all layers once more, with every export, which costs seconds for a few
/// hundred megabytes. Where layers may come from a cache they are the same with every build anyway, so it is done
/// where the user sets the time, or keeps caches out. BuildKit cannot do it for an image that is left in the engine.
fn times(recipe: &Recipe, export: Export, attrs: &mut HashMap<String, String>) {
    let Some(epoch) = recipe.epoch else { return };
    if let Epoch::Commit(seconds) = epoch {
        attrs.insert("source-date-epoch".into(), seconds.to_string());
    }
    if export != Export::Load && (epoch == Epoch::Written || recipe.no_cache == NoCache::All) {
        attrs.insert("rewrite-timestamp".into(), "true".into());
    }
}

/// The exporter's attribute for `level:key` (<https://docs.docker.com/build/metadata/annotations/>). BuildKit takes the
/// first dot for the end of the level.
fn annotation(key: &str) -> String {
    match key.split_once(':') {
        Some((level, name)) => format!("annotation-{level}.{name}"),
        None => format!("annotation.{key}"),
    }
}

/// The name that a named context's directory is sent under, which is not that of the build context or the Dockerfile.
pub fn named_directory(context: &str) -> String {
    if matches!(context, CONTEXT | DOCKERFILE) { format!("_{context}") } else { context.to_owned() }
}

fn frontend_attrs(recipe: &Recipe) -> HashMap<String, String> {
    let mut attrs: HashMap<String, String> = HashMap::new();
    let mut set = |key: &str, value: String| attrs.insert(key.to_owned(), value);
    match &recipe.dockerfile {
        Dockerfile::File { name, .. } | Dockerfile::InContext(name) => set("filename", name.clone()),
        Dockerfile::Inline(_) => set("filename", INLINE_NAME.into()),
    };
    if let Context::Remote(url) = &recipe.context {
        set("context", url.clone());
        if !matches!(recipe.dockerfile, Dockerfile::InContext(_)) {
            // The Dockerfile is ours although the context is not.
            set("dockerfilekey", DOCKERFILE.into());
        }
    }
    for (name, context) in &recipe.named_contexts {
        let value = match context {
            Context::Directory(_) => format!("local:{}", named_directory(name)),
            Context::Remote(url) => url.clone(),
            // Added when the other image's result is there.
            Context::Image(_) => continue,
        };
        set(&format!("context:{name}"), value);
    }
    let mut caps = Vec::new();
    if !recipe.named_contexts.is_empty() {
        caps.push("moby.buildkit.frontend.contexts+forward");
    }
    if matches!(&recipe.context, Context::Remote(url) if url.contains('?')) {
        caps.push("moby.buildkit.frontend.gitquerystring");
    }
    if !caps.is_empty() {
        set("frontend.caps", caps.join(","));
    }
    if let Some(target) = &recipe.target {
        set("target", target.clone());
    }
    if !recipe.platforms.is_empty() {
        set("platform", recipe.platforms.join(","));
    }
    for (key, value) in &recipe.build_args {
        set(&format!("build-arg:{key}"), value.clone());
    }
    for (key, value) in &recipe.labels {
        set(&format!("label:{key}"), value.clone());
    }
    for (kind, attributes) in &recipe.attestations {
        set(&format!("attest:{kind}"), attributes.clone());
        if *kind == "provenance" && !recipe.commit.source.is_empty() {
            set("vcs:source", recipe.commit.source.clone());
            set("vcs:revision", recipe.commit.revision.clone());
        }
    }
    if let Some(network) = &recipe.network {
        set("force-network-mode", network.clone());
    }
    if !recipe.add_hosts.is_empty() {
        set("add-hosts", recipe.add_hosts.join(","));
    }
    if let Some(bytes) = recipe.shm_size {
        set("shm-size", bytes.to_string());
    }
    if !recipe.ulimits.is_empty() {
        set("ulimit", recipe.ulimits.join(","));
    }
    if let Some(parent) = &recipe.cgroup_parent {
        set("cgroup-parent", parent.clone());
    }
    match &recipe.no_cache {
        NoCache::Never => {}
        NoCache::All => drop(set("no-cache", String::new())),
        NoCache::Stages(stages) => drop(set("no-cache", stages.join(","))),
    }
    // As buildx does on a Docker engine: a base image that is there is used, unless asked otherwise.
    set("image-resolve-mode", if recipe.pull { "pull" } else { "local" }.into());
    if !recipe.cache_from.is_empty() {
        // The frontend reads only this attribute, the solver only the request's own field.
        let imports: Vec<_> = recipe
            .cache_from
            .iter()
            .map(|cache| json!({"Type": cache.kind, "Attrs": cache.attributes.iter().cloned().collect::<HashMap<_, _>>()}))
            .collect();
        set("cache-imports", json!(imports).to_string());
    }
    attrs
}

/// `network: host` needs its entitlement told although the engine grants it to all.
fn entitlements(recipe: &Recipe) -> Vec<String> {
    let mut all = recipe.entitlements.clone();
    if recipe.network.as_deref() == Some("host") && !all.iter().any(|e| e == "network.host") {
        all.push("network.host".to_owned());
    }
    all
}

fn cache_entry(cache: &CacheSpec) -> CacheOptionsEntry {
    CacheOptionsEntry { r#type: cache.kind.clone(), attrs: cache.attributes.iter().cloned().collect() }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::PathBuf};

    use super::{Export, solve_request};
    use crate::{
        builder::recipe::{Context, Dockerfile, Epoch, NoCache, Recipe},
        domain::{destinations::Destinations, repository::Repository, tag::Tag},
        inputs::typed::{CacheSpec, Compression, CompressionKind, CompressionReach},
        plan::origin::Commit,
    };

    fn recipe() -> Recipe {
        Recipe {
            name: "django".into(),
            context: Context::Directory(PathBuf::from("/w")),
            dockerfile: Dockerfile::File {
                directory: "/w/compose/production/django".into(),
                name: "Dockerfile".into(),
            },
            destinations: Destinations {
                repository: Repository::parse("ghcr.io/o/r/django").unwrap(),
                copies: Vec::new(),
                tags: ["main", "latest"].map(Tag::repaired).into(),
            },
            ..Recipe::default()
        }
    }

    fn attrs(recipe: &Recipe) -> BTreeMap<String, String> {
        solve_request(recipe, Export::Discard, "id", "session").frontend_attrs.into_iter().collect()
    }

    #[test]
    fn a_plain_build_sends_only_what_it_must() {
        let sent = attrs(&recipe());
        let expected = [("filename", "Dockerfile"), ("image-resolve-mode", "local")];
        assert_eq!(sent, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    }

    #[test]
    fn every_option_has_its_attribute() {
        let mut all = recipe();
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
        all.cache_from = vec![CacheSpec { kind: "registry".into(), attributes: vec![("ref".into(), "r".into())] }];
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
        assert_eq!(solve_request(&all, Export::Discard, "i", "s").entitlements, ["network.host"]);
    }

    #[test]
    fn attestations_and_their_commit_go_with_what_is_exported() {
        let mut attested = recipe();
        attested.attestations = vec![("provenance", "mode=max".into()), ("sbom", String::new())];
        attested.commit = Commit { source: "https://github.com/o/r".into(), revision: "abc".into() };
        let sent = solve_request(&attested, Export::Push, "i", "s").frontend_attrs;
        let of = |key: &str| sent.get(key).map(String::as_str);
        assert_eq!((of("attest:provenance"), of("attest:sbom")), (Some("mode=max"), Some("")));
        assert_eq!((of("vcs:source"), of("vcs:revision")), (Some("https://github.com/o/r"), Some("abc")));
        let sent = attrs(&attested);
        assert!(!sent.keys().any(|key| key.starts_with("attest:") || key.starts_with("vcs:")), "{sent:?}");
    }

    #[test]
    fn packing_is_the_exporters_business() {
        let mut packed = recipe();
        let exporter = |recipe: &Recipe| solve_request(recipe, Export::Push, "i", "s").exporters[0].attrs.clone();
        assert!(!exporter(&packed).keys().any(|key| key.contains("compression") || key.contains("media")));
        for (kind, word) in [(CompressionKind::Estargz, "estargz"), (CompressionKind::Gzip, "gzip")] {
            packed.compression = Compression { kind, level: Some(3), reach: CompressionReach::All };
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
    fn times_of_files_are_rewritten_where_the_cache_does_not_keep_them() {
        let sent = |epoch, no_cache, export| {
            let recipe = Recipe { no_cache, epoch, ..recipe() };
            let attrs = solve_request(&recipe, export, "i", "s").exporters[0].attrs.clone();
            [attrs.get("source-date-epoch").cloned(), attrs.get("rewrite-timestamp").cloned()]
        };
        let commit = || Some("7".to_owned());
        let yes = || Some("true".to_owned());
        assert_eq!(sent(None, NoCache::All, Export::Push), [None, None]);
        assert_eq!(sent(Some(Epoch::Commit(7)), NoCache::Never, Export::Push), [commit(), None]);
        assert_eq!(sent(Some(Epoch::Commit(7)), NoCache::All, Export::Push), [commit(), yes()]);
        assert_eq!(sent(Some(Epoch::Commit(7)), NoCache::All, Export::Load), [commit(), None]);
        assert_eq!(
            sent(Some(Epoch::Written), NoCache::Never, Export::Push),
            [None, yes()],
            "the daemon sees the argument"
        );
    }

    #[test]
    fn annotations_go_to_their_level() {
        let mut annotated = recipe();
        annotated.annotations = [("manifest:a.b", "1"), ("index[linux/arm64]:c", "2")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec();
        let attrs = &solve_request(&annotated, Export::Push, "i", "s").exporters[0].attrs;
        assert_eq!(
            (attrs["annotation-manifest.a.b"].as_str(), attrs["annotation-index[linux/arm64].c"].as_str()),
            ("1", "2")
        );
    }

    #[test]
    fn pushes_all_names_at_once_and_stores_nothing() {
        let request = solve_request(&recipe(), Export::Push, "i", "s");
        assert_eq!(request.exporters.len(), 1);
        let exporter = &request.exporters[0];
        assert_eq!(exporter.r#type, "image");
        assert_eq!(exporter.attrs["name"], "ghcr.io/o/r/django:main,ghcr.io/o/r/django:latest");
        assert_eq!((exporter.attrs["push"].as_str(), exporter.attrs["store"].as_str()), ("true", "false"));
        assert_eq!(request.exporter_deprecated, "image", "for BuildKit before 0.13");
        assert!(solve_request(&recipe(), Export::Discard, "i", "s").exporters.is_empty());
        let both = solve_request(&recipe(), Export::PushByDigestAndLoad, "i", "s").exporters;
        let kinds: Vec<_> = both.iter().map(|one| (one.r#type.as_str(), one.attrs.contains_key("push"))).collect();
        assert_eq!(kinds, [("image", true), ("moby", false)]);
        let attrs = &solve_request(&recipe(), Export::PushByDigest, "i", "s").exporters[0].attrs;
        assert_eq!((attrs["name"].as_str(), attrs["push-by-digest"].as_str()), ("ghcr.io/o/r/django", "true"));
    }
}
