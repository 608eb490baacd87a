//! The options of a build that differ from the default, for people and for programs that read the plan.

use serde::{Serialize, Serializer};

use crate::compose::{Build, ContextSource};

/// Returns the options that have no field of their own in the plan: a name and the value as a compose file or an input
/// writes it. Contains no secret value.
pub(super) fn options(build: &Build) -> Vec<(&'static str, String)> {
    let mut options = Vec::new();
    let mut add = |name: &'static str, value: String| {
        if !value.is_empty() {
            options.push((name, value));
        }
    };
    let contexts = build.additional_contexts.iter().map(|(name, source)| format!("{name}={}", context(source)));
    add("contexts", list(contexts));
    add("ssh", list(build.ssh.iter().map(|key| key.id.clone())));
    add("network", build.network.clone().filter(|network| network != "default").unwrap_or_default());
    add("hosts", list(build.extra_hosts.iter().map(|(host, address)| format!("{host}={address}"))));
    add("shm-size", build.shm_size.map(|bytes| bytes.to_string()).unwrap_or_default());
    add("ulimits", list(build.ulimits.iter().map(|limit| format!("{}={}:{}", limit.name, limit.soft, limit.hard))));
    add("cgroup", build.cgroup_parent.clone().unwrap_or_default());
    add("allowed", build.entitlements.join(", "));
    add("provenance", attestation(build.provenance.as_deref()));
    add("sbom", attestation(build.sbom.as_deref()));
    add("no-cache", if build.no_cache { "all stages".to_owned() } else { build.no_cache_filter.join(", ") });
    add("pull", if build.pull { "always".to_owned() } else { String::new() });
    add("inline", build.dockerfile_inline.clone().unwrap_or_default());
    options
}

/// Serializes the options as a map.
pub(super) fn as_map<S: Serializer>(build: &Build, serializer: S) -> Result<S::Ok, S::Error> {
    options(build).into_iter().collect::<std::collections::BTreeMap<_, _>>().serialize(serializer)
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

fn context(source: &ContextSource) -> String {
    match source {
        ContextSource::Path(path) => path.clone(),
        ContextSource::Remote(url) => url.clone(),
        ContextSource::Service(name) => format!("service:{name}"),
    }
}

/// An attestation without attributes has an empty value.
fn attestation(attributes: Option<&str>) -> String {
    match attributes {
        Some("") => "true".to_owned(),
        Some(attributes) => attributes.to_owned(),
        None => String::new(),
    }
}
