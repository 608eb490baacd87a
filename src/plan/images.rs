//! Determines which images a run builds. Compose services with equal builds share one image.
//!
//! This module does not check whether a context or Dockerfile exists; the caller does.

mod apply;
mod contexts;

use std::collections::BTreeSet;

use globset::{Glob, GlobMatcher};
use thiserror::Error;

use crate::{
    compose::{Access, Build, ContextSource, Project, SecretSource, Service},
    domain::nearest::nearest,
    inputs::{
        cache::CacheSpec,
        typed::{BuildInputs, ProjectInputs},
    },
    tags::language::Rule,
};

/// An image to build.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageSpec {
    /// Its name: that of the first service in the files, or the `name` in the input `images`.
    pub name: String,
    /// The compose services that run it, in the files' order.
    pub services: Vec<String>,
    /// Whether it was requested, or is only needed to build another image.
    pub purpose: Purpose,
    /// How it is built. Paths are relative to the working directory, except `dockerfile`, which is relative to the context
    /// and always set unless `dockerfile_inline` is. A context [`ContextSource::Service`] names another image of the plan.
    /// The caches are in the fields below, not in here.
    pub build: Build,
    /// Caches to read, from the compose files or the input `images`.
    pub cache_from: Vec<CacheSpec>,
    /// Caches to write, from the same sources.
    pub cache_to: Vec<CacheSpec>,
    /// Tag rules of the input `images` for this image only.
    pub tags: Vec<Rule>,
    /// Labels of the input `images` for this image only; may contain expressions.
    pub labels: Vec<(String, String)>,
    /// Templates of its repositories, for this image only.
    pub image_names: Vec<String>,
    /// Values that inputs set. All others come from the checkout.
    pub of_inputs: BTreeSet<Access>,
}

/// Why an image is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// It was requested.
    #[default]
    Wanted,
    /// Another image uses it as a context; it is not pushed.
    Context,
}

/// Which items of the input `images` may add an image.
#[derive(Clone, Copy, PartialEq)]
enum Unmatched {
    /// Any.
    Any,
    /// Items with a `context` or `dockerfile`, so that a typo in a name is reported.
    Described,
}

/// Why the images to build cannot be determined.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ImagesError {
    /// The project builds nothing.
    #[error(
        "no service of the compose file has `build`; add it, name another file with the input `compose-file`, or activate a \
         profile with the input `profiles`"
    )]
    Nothing,
    /// The context of a single-image project is outside the working directory.
    #[error(
        "input `context`: `{0}` is outside the working directory; set `working-directory` to a directory that contains it"
    )]
    Outside(String),
    /// An item of the input `services` matches no service with `build`.
    #[error("input `services`: `{pattern}` {problem}")]
    Service {
        /// The item.
        pattern: String,
        /// The problem and the hint.
        problem: String,
    },
    /// An item of the input `images` matches no image and does not define one.
    #[error(
        "input `images`: the image `{name}` does not exist{}; correct the name, or set its `context` or `dockerfile`",
        near.as_ref().map_or(String::new(), |near| format!(" (did you mean `{near}`?)"))
    )]
    Image {
        /// The name.
        name: String,
        /// The closest image.
        near: Option<String>,
    },
    /// An additional context does not refer to an image that can be built.
    #[error("image `{image}`: the additional context `service:{context}` {problem}")]
    Context {
        /// The image.
        image: String,
        /// The service or image that it refers to.
        context: String,
        /// The problem and the hint.
        problem: String,
    },
    /// A compose file contains a value that BuildKit does not support.
    #[error("image `{image}`: `{key}` {problem}")]
    Value {
        /// The image.
        image: String,
        /// The key.
        key: &'static str,
        /// The problem and the hint.
        problem: String,
    },
    /// A build secret has no value.
    #[error("image `{image}`: the build secret `{id}` has no value; add `{id}=…` to the input `secrets`")]
    Secret {
        /// The image.
        image: String,
        /// The secret.
        id: String,
    },
}

/// Returns the images to build, in the order of the files, then those that only the input `images` defines.
///
/// Without a project, these are the images of the input `images`, or else a single image named `lone_name`. The inputs in
/// `build` apply to every image and override the compose files; the input `images` overrides both.
pub fn images(
    project: Option<&Project>,
    inputs: &ProjectInputs,
    build: &BuildInputs,
    lone_name: &str,
) -> Result<Vec<ImageSpec>, ImagesError> {
    let mut specs = match project {
        Some(project) => of_project(project, inputs, build)?,
        None if inputs.images.is_empty() => vec![apply::alone(lone_name, inputs.lone.as_ref(), build)?],
        None => Vec::new(),
    };
    let unmatched = if project.is_some() { Unmatched::Described } else { Unmatched::Any };
    for image in &inputs.images {
        apply::image_input(&mut specs, image, build, unmatched)?;
    }
    if specs.is_empty() {
        return Err(ImagesError::Nothing);
    }
    contexts::link(&mut specs, build)?;
    // Requested images come first: the outputs describe the first image.
    specs.sort_by_key(|spec| spec.purpose == Purpose::Context);
    for spec in &specs {
        let unknown = |source: &SecretSource, id: &str| {
            *source == SecretSource::External && !build.secrets.iter().any(|(known, _)| known == id)
        };
        if let Some(secret) = spec.build.secrets.iter().find(|secret| unknown(&secret.source, &secret.id)) {
            return Err(ImagesError::Secret { image: spec.name.clone(), id: secret.id.clone() });
        }
    }
    Ok(specs)
}

fn of_project(project: &Project, inputs: &ProjectInputs, build: &BuildInputs) -> Result<Vec<ImageSpec>, ImagesError> {
    let selected = with_twins(project, select(project, &inputs.services)?, build)?;
    let services = contexts::with_contexts(project, &selected, inputs, build)?;

    let mut units: Vec<ImageSpec> = Vec::new();
    for service in services {
        let wanted = selected.contains(service.name.as_str());
        units.extend(unit(service, build, if wanted { Purpose::Wanted } else { Purpose::Context })?);
    }
    merge_equal(&mut units);
    Ok(units)
}

/// Returns the names of the services to build. Globs match only services that the profiles activate; plain names match all
/// services, as on Compose's command line.
fn select<'a>(project: &'a Project, wanted: &[String]) -> Result<BTreeSet<&'a str>, ImagesError> {
    let built = |service: &&Service| service.build.is_some();
    if wanted.is_empty() {
        return Ok(project.services.iter().filter(built).map(|service| service.name.as_str()).collect());
    }
    let mut selected = BTreeSet::new();
    for pattern in wanted {
        let fail = |problem: String| ImagesError::Service { pattern: pattern.clone(), problem };
        if let Some(service) = all(project).find(|service| service.name == *pattern) {
            if service.build.is_none() {
                return Err(fail("has no `build` in the compose file; remove it from the list".to_owned()));
            }
            selected.insert(service.name.as_str());
            continue;
        }
        let glob =
            glob(pattern).map_err(|error| fail(format!("is not a valid pattern ({error}); use names, `*` or `?`")))?;
        let before = selected.len();
        let hits = project.services.iter().filter(built).filter(|service| glob.is_match(&service.name));
        let hits: Vec<&str> = hits.map(|service| service.name.as_str()).collect();
        selected.extend(&hits);
        if hits.is_empty() && selected.len() == before {
            let names: Vec<&str> = all(project).filter(built).map(|service| service.name.as_str()).collect();
            let advice = match nearest(pattern, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the services with `build` are {}", names.join(", ")),
            };
            return Err(fail(format!("matches no service with `build`; {advice}")));
        }
    }
    Ok(selected)
}

/// Adds the services whose build equals that of a selected one: they share one image, whose name must not depend on which
/// of them was selected.
fn with_twins<'a>(
    project: &'a Project,
    mut selected: BTreeSet<&'a str>,
    inputs: &BuildInputs,
) -> Result<BTreeSet<&'a str>, ImagesError> {
    let mut built = Vec::new();
    for service in all(project).filter(|service| selected.contains(service.name.as_str())) {
        built.extend(unit(service, inputs, Purpose::Wanted)?.map(|unit| essence(&unit.build)));
    }
    for service in &project.services {
        // An error in a service that was not selected is ignored.
        let Ok(Some(unit)) = unit(service, inputs, Purpose::Wanted) else { continue };
        if built.contains(&essence(&unit.build)) {
            selected.insert(&service.name);
        }
    }
    Ok(selected)
}

fn all(project: &Project) -> impl Iterator<Item = &Service> {
    project.services.iter().chain(&project.disabled)
}

fn glob(pattern: &str) -> Result<GlobMatcher, String> {
    Glob::new(pattern).map(|glob| glob.compile_matcher()).map_err(|error| error.kind().to_string())
}

/// Creates the image of a single service.
fn unit(service: &Service, inputs: &BuildInputs, purpose: Purpose) -> Result<Option<ImageSpec>, ImagesError> {
    let Some(mut build) = service.build.clone() else { return Ok(None) };
    // `docker compose build` uses the service's platform too; bake ignores it.
    if build.platforms.is_empty() {
        build.platforms.extend(service.platform.clone());
    }
    let spec = apply::spec(&service.name, vec![service.name.clone()], build, inputs)?;
    Ok(Some(ImageSpec { purpose, ..spec }))
}

/// Merges images with equal builds. Contexts that refer to a merged image are changed to the remaining one.
fn merge_equal(units: &mut Vec<ImageSpec>) {
    // Images that differ only in which of two equal images they are built on are merged in the next round.
    loop {
        let mut kept: Vec<(Build, ImageSpec)> = Vec::new();
        let mut renamed: Vec<(String, String)> = Vec::new();
        for unit in units.drain(..) {
            let essence = essence(&unit.build);
            match kept.iter_mut().find(|(other, _)| *other == essence) {
                Some((_, first)) => {
                    renamed.push((unit.name.clone(), first.name.clone()));
                    absorb(first, unit);
                }
                None => kept.push((essence, unit)),
            }
        }
        units.extend(kept.into_iter().map(|(_, unit)| unit));
        if renamed.is_empty() {
            return;
        }
        for (_, source) in units.iter_mut().flat_map(|unit| &mut unit.build.additional_contexts) {
            let ContextSource::Service(name) = source else { continue };
            if let Some((_, new)) = renamed.iter().find(|(old, _)| old == name) {
                new.clone_into(name);
            }
        }
    }
}

/// Returns the parts of a build that determine the content of the image, in a normalized order.
fn essence(build: &Build) -> Build {
    let mut essence = build.clone();
    for dispensable in [&mut essence.tags, &mut essence.no_cache_filter] {
        dispensable.clear();
    }
    essence.positions.clear();
    essence.no_cache = false;
    essence.pull = false;
    essence.network = essence.network.filter(|network| network != "default");
    essence.args.sort();
    essence.labels.sort();
    essence.platforms.sort();
    essence.platforms.dedup();
    essence.additional_contexts.sort();
    essence.secrets.sort();
    essence.ssh.sort();
    essence.ulimits.sort();
    essence.extra_hosts.sort();
    essence.entitlements.sort();
    essence
}

fn absorb(first: &mut ImageSpec, other: ImageSpec) {
    fn union<T: PartialEq>(list: &mut Vec<T>, more: Vec<T>) {
        for item in more {
            if !list.contains(&item) {
                list.push(item);
            }
        }
    }
    for (access, position) in other.build.positions {
        first.build.positions.entry(access).or_insert(position);
    }
    union(&mut first.services, other.services);
    union(&mut first.build.tags, other.build.tags);
    union(&mut first.cache_from, other.cache_from);
    union(&mut first.cache_to, other.cache_to);
    union(&mut first.build.no_cache_filter, other.build.no_cache_filter);
    first.build.no_cache |= other.build.no_cache;
    first.build.pull |= other.build.pull;
    if other.purpose == Purpose::Wanted {
        first.purpose = Purpose::Wanted;
    }
}

#[cfg(test)]
mod tests;
