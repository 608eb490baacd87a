//! Checks requests of the checkout's files for access beyond their project against the workflow's permissions. Pure.
//!
//! Inputs come from the workflow author and are trusted; a pull request controls everything else. The model is
//! `docker buildx bake` with its `--allow`; SECURITY.md lists where and why this is stricter. The caller checks paths,
//! since it can follow symbolic links.

use std::collections::BTreeSet;

use super::images::ImageSpec;
use crate::{
    compose::{Access, EmptyVariable, KeyPosition, SecretSource},
    domain::{diagnostic::Place, failure::Failure, repository::Repository, stage::Stage},
    inputs::{
        cache::{CacheSpec, cache_spec},
        runner::Owner,
        typed::Allow,
    },
};

/// A request that the workflow does not permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The image that it is for.
    pub image: String,
    /// Its position, if a compose file contains it.
    pub position: Option<KeyPosition>,
    /// A description of the requested item, shown if there is no position.
    pub name: String,
    /// The problem: what is requested, and why it is refused.
    pub problem: String,
    /// How to permit it.
    pub fix: Fix,
}

/// The fix for a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fix {
    /// Add this to the input `allow`.
    Allow(String),
    /// Another fix, in the imperative.
    Other(String),
}

/// The permissions that the workflow gives.
#[derive(Clone, Copy)]
pub struct Grants<'a> {
    /// The input `allow`.
    pub allow: &'a Allow,
    /// Caches to read or write that inputs name for all images.
    pub caches: &'a [CacheSpec],
    /// The repositories that the run pushes to.
    pub repositories: &'a BTreeSet<&'a Repository>,
    /// Whether an environment variable is set.
    pub is_set: &'a dyn Fn(&str) -> bool,
}

/// Returns all requests of the images that are not permitted, except those for paths.
pub fn refusals(specs: &[ImageSpec], grants: Grants<'_>) -> Vec<Refusal> {
    specs.iter().flat_map(|spec| of_image(spec, grants)).collect()
}

fn of_image(spec: &ImageSpec, grants: Grants<'_>) -> Vec<Refusal> {
    let build = &spec.build;
    let mut refused = Vec::new();
    let mut judge = |access: Access, problem: Option<(String, Fix)>| {
        if let Some((problem, fix)) = problem.filter(|_| !spec.of_inputs.contains(&access)) {
            refused.push(Refusal::new(spec, &access, problem, fix));
        }
    };
    for name in &build.entitlements {
        judge(Access::Entitlement(name.clone()), Some(entitlement(name)));
    }
    for key in &build.ssh {
        judge(Access::Ssh(key.id.clone()), ssh(&key.id, key.path.as_deref(), grants.allow));
    }
    for secret in &build.secrets {
        if let SecretSource::Environment(name) = &secret.source {
            judge(Access::Secret(secret.id.clone()), variable(&secret.id, name, grants));
        }
    }
    let own = |cache: &&CacheSpec| !grants.caches.contains(cache);
    for cache in spec.cache_from.iter().filter(own) {
        judge(Access::CacheFrom(cache.to_string()), cache_from(cache, grants.allow));
    }
    for cache in spec.cache_to.iter().filter(own) {
        judge(Access::CacheTo(cache.to_string()), cache_to(cache, grants));
    }
    refused
}

fn entitlement(name: &str) -> (String, Fix) {
    let fix = match name {
        "network.host" | "security.insecure" => Fix::Allow(name.to_owned()),
        _ => Fix::Other(format!("remove the entitlement `{name}`, which this action does not support")),
    };
    (format!("requires the entitlement `{name}`"), fix)
}

/// Checks an SSH key or agent. Only the input may name paths of keys and sockets, because a build with access to a socket
/// has access to whatever listens on it.
fn ssh(id: &str, path: Option<&str>, allow: &Allow) -> Option<(String, Fix)> {
    match path {
        None if allow.ssh => None,
        None => Some((format!("requires the SSH agent `{id}`"), Fix::Allow("ssh".to_owned()))),
        Some(_) => Some((
            format!("names a key or socket for the SSH id `{id}`, which only the input `ssh` may do"),
            Fix::Other(format!("add `{id}=PATH` to the input `ssh`, and its path there")),
        )),
    }
}

fn variable(id: &str, name: &str, grants: Grants<'_>) -> Option<(String, Fix)> {
    match Owner::of(name) {
        Owner::Workflow => None,
        Owner::Credential if grants.allow.secret_envs.iter().any(|known| known == name) => None,
        Owner::Credential if !(grants.is_set)(name) => None,
        Owner::Credential => Some((
            format!("reads the variable `{name}`, which holds a credential"),
            Fix::Allow(format!("secrets.env={name}")),
        )),
        Owner::Internal => Some((
            format!("reads the variable `{name}`, which belongs to the runner or this action"),
            Fix::Other(format!("pass the value with the input `secrets`, as `{id}=…`")),
        )),
    }
}

/// Checks a cache to read. The step's AWS keys are only for caches that inputs name: a compose file could name any endpoint.
fn cache_from(cache: &CacheSpec, allow: &Allow) -> Option<(String, Fix)> {
    let opened = cache.kind == "s3" && cache.attribute("access_key_id").is_none();
    (opened && !allows_cache(allow, None)).then(|| {
        let fix = "name the cache in the input `cache-from` instead".to_owned();
        ("reads a cache of type `s3` with the credentials of the step".to_owned(), Fix::Other(fix))
    })
}

fn cache_to(cache: &CacheSpec, grants: Grants<'_>) -> Option<(String, Fix)> {
    match cache.kind.as_str() {
        "registry" => {
            // BuildKit uses the last of several.
            let mut references = cache.attributes.iter().filter(|(key, _)| key == "ref").map(|(_, value)| value);
            let foreign = references.find(|reference| {
                let repository = repository(reference);
                let own = grants.repositories.iter().any(|own| own.as_str() == repository);
                !own && !allows_cache(grants.allow, Some(reference))
            })?;
            let problem = format!("writes a cache to {foreign}, which is not a repository that this run pushes to");
            Some((problem, Fix::Allow(format!("cache-to={foreign}"))))
        }
        // GitHub restricts the caches that a job may write, and an inline cache is part of the image.
        "gha" | "inline" => None,
        _ if allows_cache(grants.allow, None) => None,
        kind => {
            let fix = "name the cache in the input `cache-to` instead".to_owned();
            Some((format!("writes a cache of type `{kind}`"), Fix::Other(fix)))
        }
    }
}

/// Whether the input `allow` permits writing to a reference. Caches without a reference are permitted only by `*`.
fn allows_cache(allow: &Allow, reference: Option<&str>) -> bool {
    allow.cache_to.iter().any(|granted| {
        let names = |reference: &str| granted == reference || normal(granted) == repository(reference);
        granted == "*" || reference.is_some_and(names)
    })
}

/// Returns the repository of a reference, including the registry's host
/// (<https://github.com/distribution/reference/blob/main/normalize.go>).
fn repository(reference: &str) -> String {
    let name = reference.split('@').next().unwrap_or_default();
    let untagged = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    };
    normal(untagged)
}

fn normal(name: &str) -> String {
    let is_host = |first: &str| first.contains(['.', ':']) || first == "localhost" || first.to_lowercase() != first;
    match name.split_once('/') {
        Some(("index.docker.io", path)) => format!("docker.io/{path}"),
        Some((host, _)) if is_host(host) => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

impl Refusal {
    fn new(spec: &ImageSpec, access: &Access, problem: String, fix: Fix) -> Self {
        let name = match access {
            Access::Context => "the context".to_owned(),
            Access::Dockerfile => "the Dockerfile".to_owned(),
            Access::NamedContext(name) => format!("the context `{name}`"),
            Access::Secret(id) => format!("the secret `{id}`"),
            Access::Ssh(id) => format!("the SSH key `{id}`"),
            Access::Entitlement(name) => format!("the entitlement `{name}`"),
            Access::CacheFrom(cache) | Access::CacheTo(cache) => format!("the cache `{cache}`"),
        };
        Self { image: spec.name.clone(), position: position(spec, access), name, problem, fix }
    }

    /// Creates the refusal of a path outside the checkout, given with its symbolic links resolved.
    pub fn outside(spec: &ImageSpec, access: &Access, path: &str) -> Self {
        let fix = Fix::Allow(format!("fs.read={path}"));
        Self::new(spec, access, format!("is {path}, which is outside the checkout"), fix)
    }

    /// Creates the refusal of a Dockerfile with an absolute path that exists relative to the context.
    pub fn rooted(spec: &ImageSpec, path: &str) -> Self {
        let relative = path.trim_start_matches('/');
        let fix = Fix::Other(format!("write `{relative}`, without the slash: the path is relative to the context"));
        Self::new(spec, &Access::Dockerfile, format!("is {path}, which is outside the checkout"), fix)
    }

    /// Creates the refusal of a path in a file system of the kernel, which nothing permits.
    pub fn kernel(spec: &ImageSpec, access: &Access, path: &str) -> Self {
        let fix = Fix::Other("name a file of the repository".to_owned());
        Self::new(spec, access, format!("is {path}, which is not a file of any project"), fix)
    }
}

fn position(spec: &ImageSpec, access: &Access) -> Option<KeyPosition> {
    let positions = &spec.build.positions;
    let written = |found: &str| cache_spec(found).is_ok_and(|cache| cache_text(access) == Some(&cache.to_string()));
    let same = |found: &Access| match (found, access) {
        (Access::CacheFrom(text), Access::CacheFrom(_)) | (Access::CacheTo(text), Access::CacheTo(_)) => written(text),
        _ => found == access,
    };
    positions.iter().find(|(found, _)| same(found)).map(|(_, position)| position.clone())
}

fn cache_text(access: &Access) -> Option<&String> {
    match access {
        Access::CacheFrom(text) | Access::CacheTo(text) => Some(text),
        _ => None,
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.position {
            Some(KeyPosition { at, key }) => write!(f, "{at}: `{key}` {}", self.problem),
            None => write!(f, "image `{}`: {} {}", self.image, self.name, self.problem),
        }
    }
}

/// Returns a failure that lists all refusals, one per line; `None` if there are none. `unset` lists the values that contain
/// a variable that counts as empty. `place` converts a place in the project to one in the repository.
pub fn failure(refusals: &[Refusal], unset: &[EmptyVariable], place: impl Fn(Place) -> Place) -> Option<Failure> {
    let first = refusals.first()?;
    let empty = |refusal: &Refusal| {
        let at = &refusal.position.as_ref()?.at;
        let EmptyVariable { name, is_hidden, .. } = unset.iter().find(|empty| empty.at == *at)?;
        let reason = if *is_hidden { "is hidden from compose files" } else { "is not set" };
        Some(format!(" (the variable `{name}` in it {reason} and counts as empty)"))
    };
    let mut problems = Vec::new();
    for refusal in refusals {
        let text = format!("{refusal}{}", empty(refusal).unwrap_or_default());
        if !problems.contains(&text) {
            problems.push(text);
        }
    }
    let (mut allowed, mut other): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for refusal in refusals {
        let (list, text) = match &refusal.fix {
            Fix::Allow(permission) => (&mut allowed, format!("`{permission}`")),
            Fix::Other(text) => (&mut other, text.clone()),
        };
        if !list.contains(&text) {
            list.push(text);
        }
    }
    let allow = (!allowed.is_empty()).then(|| format!("add {} to the input `allow`", allowed.join(" and ")));
    let hint: Vec<String> = allow.into_iter().chain(other).collect();
    let position = first
        .position
        .as_ref()
        .map(|KeyPosition { at, .. }| place(Place { file: at.file.to_string(), line: at.line, end_line: at.line }));
    let failure = Failure::invalid(Stage::Plan, problems.join("\n"), Some(hint.join("; "))).of_image(&first.image);
    Some(Failure { place: position, ..failure })
}

#[cfg(test)]
mod tests;
