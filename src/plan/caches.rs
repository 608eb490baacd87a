//! Which build caches an image reads and writes. Pure.
//!
//! GitHub keeps caches by branch: a run reads those of its own ref, of the base branch of a pull request and of the
//! default branch, and writes its own ref's. BuildKit keeps an index for each of them and reads all, so one scope for
//! an image falls back from branch to base to default by itself
//! (<https://github.com/moby/buildkit/blob/master/cache/remotecache/gha/gha.go>).

use super::{
    PushPlan,
    images::{ImageSpec, Purpose},
    naming::Repository,
};
use crate::inputs::{
    cache::CacheAccess,
    context::{GitEvent, Target},
    typed::{Cache, CacheSpec, Inputs, Push},
};

/// Who wants an image's caches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// The user.
    #[default]
    Asked,
    /// `cache: auto`: they are used if the builder can.
    Offered,
}

/// The caches of one image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Caches {
    pub(super) from: Vec<CacheSpec>,
    pub(super) to: Vec<CacheSpec>,
    pub(super) origin: Origin,
}

/// What is not done, and why; each said once for a run.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    /// It is as it should be.
    pub(super) notices: Vec<String>,
    /// It is not what the inputs say.
    pub(super) warnings: Vec<String>,
}

impl Remarks {
    fn notice(&mut self, text: &str) {
        remember(&mut self.notices, text);
    }

    pub(super) fn warn(&mut self, text: &str) {
        remember(&mut self.warnings, text);
    }
}

fn remember(list: &mut Vec<String>, text: &str) {
    if !list.iter().any(|known| known == text) {
        list.push(text.to_owned());
    }
}

/// How long GitHub's cache service may make a build wait in all, when it asks for patience.
const GHA_TIMEOUT: &str = "2m";

/// The caches to read and to write: the image's own, else the inputs', else what `cache` stands for. `version` is the
/// image's first tag.
pub(super) fn caches(
    spec: &ImageSpec,
    inputs: &Inputs,
    event: &GitEvent,
    push: &PushPlan,
    (repository, version): (&Repository, &str),
    remarks: &mut Remarks,
) -> Caches {
    let registry = |tag: &str| of_kind("registry", &[("ref", &format!("{repository}:{tag}"))]);
    let may_write = !event.is_fork_pr && !inputs.github.dry_run;
    let kind = inputs.registry.caches.kind;
    let (default_from, default_to) = match kind {
        // What is only a context for others is exported nowhere that a cache could lie in.
        _ if spec.purpose == Purpose::Context => (None, None),
        Cache::Off => (None, None),
        Cache::Auto if inputs.registry.caches.service.is_none() => (None, None),
        // What a tag or a merge group writes, no other run can read.
        Cache::Auto | Cache::Gha => {
            let lasting = !matches!(event.target, Target::Tag(_) | Target::MergeGroup(_));
            (Some(of_kind("gha", &[])), lasting.then(|| of_kind("gha", &[("mode", "max")])))
        }
        Cache::Registry => {
            // Nor does a pull request touch the cache of the branch that it is for.
            let writes = may_write && (push.enabled || (inputs.registry.push == Push::Never && !event.is_trial()));
            if event.is_fork_pr {
                remarks.notice("the registry cache is not written: a pull request from a fork has no right to");
            }
            let mut to = registry("buildcache");
            to.attributes.push(("mode".to_owned(), "max".to_owned()));
            (Some(registry("buildcache")), writes.then_some(to))
        }
        Cache::Inline => (Some(registry(version)), Some(of_kind("inline", &[]))),
    };
    let first = |lists: [&Vec<CacheSpec>; 2]| lists.into_iter().find(|list| !list.is_empty()).cloned();
    let from = first([&spec.cache_from, &inputs.registry.caches.from]);
    let to = first([&spec.cache_to, &inputs.registry.caches.to]);
    let origin = if kind == Cache::Auto && from.is_none() && to.is_none() { Origin::Offered } else { Origin::Asked };
    // Whoever says one of the two does not mean `auto` for the other.
    let offered = origin == Origin::Offered || kind != Cache::Auto;
    let default = |list: Option<CacheSpec>| list.filter(|_| offered).into_iter().collect();
    let mut caches = Caches {
        from: from.unwrap_or_else(|| default(default_from)),
        to: to.unwrap_or_else(|| default(default_to)),
        origin,
    };
    if inputs.github.dry_run {
        caches.to.retain(|cache| cache.kind == "inline");
    }
    github(&mut caches, &scope(spec, repository, event), inputs, event, remarks);
    for cache in caches.to.iter_mut().filter(|cache| cache.kind != "inline") {
        set_default(cache, "ignore-error", "true");
    }
    caches
}

/// Completes the caches in GitHub's service and leaves out those that the job has no right to.
fn github(caches: &mut Caches, scope: &str, inputs: &Inputs, event: &GitEvent, remarks: &mut Remarks) {
    // One that brings a token of its own is no business of ours.
    let ours = |cache: &CacheSpec| cache.kind == "gha" && cache.attribute("token").is_none();
    let access = inputs.registry.caches.service.as_ref().map(|service| service.access);
    let usable = access.unwrap_or(CacheAccess::None);
    let (reads, writes) = (caches.from.iter().any(ours), caches.to.iter().any(ours));
    match access {
        None if reads || writes => remarks.warn(
            "GitHub's cache service is not there (a GitHub Enterprise Server, or no action's environment): the caches of \
             `type=gha` are left out",
        ),
        Some(_) if writes && !usable.writes() => remarks.notice(&format!(
            "the build cache is not written: GitHub lets a run for the event `{}` only {} it",
            event.name,
            if usable.reads() { "read" } else { "do without" }
        )),
        Some(_) | None => {}
    }
    caches.from.retain(|cache| !ours(cache) || usable.reads());
    caches.to.retain(|cache| !ours(cache) || usable.writes());
    for cache in caches.from.iter_mut().chain(&mut caches.to).filter(|cache| ours(cache)) {
        set_default(cache, "scope", scope);
        set_default(cache, "timeout", GHA_TIMEOUT);
    }
}

/// The name of an image's caches in the repository: where it is pushed, less what is the same for all, and the
/// platforms, since jobs of a matrix would overwrite each other's.
fn scope(spec: &ImageSpec, repository: &Repository, event: &GitEvent) -> String {
    let whole = repository.to_string();
    let path = whole.split_once('/').map_or(whole.as_str(), |(_, path)| path);
    let prefix = format!("{}/{}/", event.owner, event.repo).to_ascii_lowercase();
    let name = path.strip_prefix(&prefix).unwrap_or(path);
    let platforms = spec.build.platforms.iter().flat_map(|platform| ["-", platform]);
    std::iter::once(name).chain(platforms).collect::<String>().replace('/', "-")
}

fn of_kind(kind: &str, attributes: &[(&str, &str)]) -> CacheSpec {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    CacheSpec { kind: kind.to_owned(), attributes: attributes.iter().map(owned).collect() }
}

fn set_default(cache: &mut CacheSpec, name: &str, value: &str) {
    if cache.attribute(name).is_none() {
        cache.attributes.push((name.to_owned(), value.to_owned()));
    }
}
