//! Determines which images a run builds. Compose services with equal builds share one image.
//!
//! This module does not check whether a context or Dockerfile exists; the caller does.

mod apply;
mod contexts;
mod select;

use std::collections::BTreeSet;

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
#[derive(Clone, Debug, Default, PartialEq)]
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
    /// Names that the compose files give it: `image` of its services, and `build.tags`.
    pub compose_names: Vec<ComposeName>,
    /// The names under which Compose looks for it in the engine, each with its service.
    pub local_names: Vec<(String, String)>,
    /// Values that inputs set. All others come from the checkout.
    pub of_inputs: BTreeSet<Access>,
    /// Build arguments that inputs set. Their values may contain expressions.
    pub args_of_inputs: BTreeSet<String>,
    /// Warnings for the user.
    pub warnings: Vec<String>,
}

/// A name that a compose file gives an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComposeName {
    /// The name with its tag, as written.
    pub reference: String,
    /// The key, such as `services.web.image`.
    pub key: String,
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
    /// The services with `build` are not active.
    #[error(
        "the services with `build` ({}) have profiles that are not enabled; enable one with the input `profiles`: {}",
        services.join(", "),
        profiles.join(", ")
    )]
    Inactive {
        /// The services.
        services: Vec<String>,
        /// Their profiles.
        profiles: Vec<String>,
    },
    /// The project builds nothing.
    #[error(
        "no service of {} has `build`; name a Dockerfile with the input `file`, list the images in `images`, or name another \
         compose file with `compose-file`",
        if files.is_empty() { "the compose file".to_owned() } else { files.join(", ") }
    )]
    Nothing {
        /// The compose files.
        files: Vec<String>,
    },
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
/// Without a project, these are the images of the input `images`, or else a single image named `lone_name`. With both, only
/// the images of the input are built, unless the input `services` selects others. The inputs in `build` apply to every image
/// and override the compose files; the input `images` overrides both.
pub fn images(
    project: Option<&Project>,
    inputs: &ProjectInputs,
    build: &BuildInputs,
    lone_name: &str,
) -> Result<Vec<ImageSpec>, ImagesError> {
    let selected = select::select(project, inputs)?;
    let mut specs = match project {
        Some(project) => of_project(project, &selected, inputs, build)?,
        None if inputs.images.is_empty() => vec![apply::alone(lone_name, inputs.lone.as_ref(), build)?],
        None => Vec::new(),
    };
    let unmatched = if project.is_some() { Unmatched::Described } else { Unmatched::Any };
    for image in &inputs.images {
        let purpose = if selected.contains(&*image.name) { Purpose::Wanted } else { Purpose::Context };
        if !apply::image_input(&mut specs, image, purpose, build, unmatched)? {
            let services = project.into_iter().flat_map(all).filter(|service| service.build.is_some());
            let near = nearest(&image.name, services.map(|service| service.name.as_str())).map(str::to_owned);
            return Err(ImagesError::Image { name: image.name.clone(), near });
        }
    }
    if !inputs.images.is_empty() {
        for spec in &mut specs {
            let names = spec.services.iter().chain([&spec.name]);
            if !names.into_iter().any(|name| selected.contains(name.as_str())) {
                spec.purpose = Purpose::Context;
            }
        }
    }
    contexts::link(&mut specs, build)?;
    contexts::remove_unused(&mut specs);
    if specs.is_empty() {
        return Err(nothing(project));
    }
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

/// Returns the reason why a project builds nothing.
fn nothing(project: Option<&Project>) -> ImagesError {
    let inactive = project.into_iter().flat_map(|project| &project.disabled).filter(|service| service.build.is_some());
    let inactive: Vec<&Service> = inactive.collect();
    if inactive.is_empty() {
        return ImagesError::Nothing { files: project.map(|project| project.files.clone()).unwrap_or_default() };
    }
    let profiles: BTreeSet<&String> = inactive.iter().flat_map(|service| &service.profiles).collect();
    ImagesError::Inactive {
        services: inactive.iter().map(|service| service.name.clone()).collect(),
        profiles: profiles.into_iter().cloned().collect(),
    }
}

fn of_project(
    project: &Project,
    selected: &BTreeSet<&str>,
    inputs: &ProjectInputs,
    build: &BuildInputs,
) -> Result<Vec<ImageSpec>, ImagesError> {
    let built = all(project).filter(|service| service.build.is_some() && selected.contains(service.name.as_str()));
    let selected = with_twins(project, built.map(|service| service.name.as_str()).collect(), build)?;
    let services = contexts::with_contexts(project, &selected, inputs, build)?;

    let mut units: Vec<ImageSpec> = Vec::new();
    for service in services {
        let wanted = selected.contains(service.name.as_str());
        units.extend(unit(project, service, build, if wanted { Purpose::Wanted } else { Purpose::Context })?);
    }
    merge_equal(&mut units);
    Ok(units)
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
        built.extend(unit(project, service, inputs, Purpose::Wanted)?.map(|unit| essence(&unit.build)));
    }
    for service in &project.services {
        // An error in a service that was not selected is ignored.
        let Ok(Some(unit)) = unit(project, service, inputs, Purpose::Wanted) else { continue };
        if built.contains(&essence(&unit.build)) {
            selected.insert(&service.name);
        }
    }
    Ok(selected)
}

fn all(project: &Project) -> impl Iterator<Item = &Service> {
    project.services.iter().chain(&project.disabled)
}

/// Creates the image of a single service.
fn unit(
    project: &Project,
    service: &Service,
    inputs: &BuildInputs,
    purpose: Purpose,
) -> Result<Option<ImageSpec>, ImagesError> {
    let Some(mut build) = service.build.clone() else { return Ok(None) };
    // `docker compose build` uses the service's platform too; bake ignores it.
    if build.platforms.is_empty() {
        build.platforms.extend(service.platform.clone());
    }
    let path = format!("services.{}", service.name);
    let image = service.image.iter().map(|name| ComposeName { reference: name.clone(), key: format!("{path}.image") });
    let tags = build.tags.iter().map(|name| ComposeName { reference: name.clone(), key: format!("{path}.build.tags") });
    let compose_names = image.chain(tags).collect();
    let local = service.image.clone().unwrap_or_else(|| format!("{}-{}", project.name, service.name));
    let local_names = vec![(service.name.clone(), local)];
    let spec = apply::spec(&service.name, vec![service.name.clone()], build, inputs)?;
    Ok(Some(ImageSpec { purpose, compose_names, local_names, ..spec }))
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
    union(&mut first.compose_names, other.compose_names);
    union(&mut first.local_names, other.local_names);
    union(&mut first.warnings, other.warnings);
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
