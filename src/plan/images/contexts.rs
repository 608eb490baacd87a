//! Resolves contexts that are other images of the same run: `service:name` in compose files, `target:name` in inputs.

use std::collections::BTreeSet;

use super::{ImageSpec, ImagesError, Purpose, all, apply};
use crate::{
    compose::{ContextSource, Project, Service},
    domain::nearest::nearest,
    inputs::typed::{BuildInputs, ProjectInputs},
};

/// Returns the selected services and those whose images they need as contexts, in the order of the files.
pub(super) fn with_contexts<'a>(
    project: &'a Project,
    selected: &BTreeSet<&'a str>,
    inputs: &ProjectInputs,
    build: &BuildInputs,
) -> Result<Vec<&'a Service>, ImagesError> {
    let mut needed = selected.clone();
    let of_images = inputs.images.iter().flat_map(|image| &image.build_contexts);
    let of_inputs = build.contexts.iter().chain(of_images).filter_map(|(_, source)| apply::target_of(source));
    let built = all(project).filter(|service| service.build.is_some()).map(|service| service.name.as_str());
    needed.extend(built.filter(|name| of_inputs.clone().any(|target| target == *name)));
    let mut open: Vec<&str> = needed.iter().copied().collect();
    while let Some(name) = open.pop() {
        let Some(build) = all(project).find(|s| s.name == name).and_then(|s| s.build.as_ref()) else { continue };
        for (_, source) in &build.additional_contexts {
            let ContextSource::Service(context) = source else { continue };
            let problem = match all(project).find(|s| s.name == *context) {
                Some(Service { build: Some(_), name, .. }) => {
                    if needed.insert(name) {
                        open.push(name);
                    }
                    continue;
                }
                Some(_) => "has no `build`; add it, or use `docker-image://` with the name of an image".to_owned(),
                None => match nearest(context, all(project).map(|s| s.name.as_str())) {
                    Some(near) => format!("does not exist; did you mean `service:{near}`?"),
                    None => "does not exist; correct the name".to_owned(),
                },
            };
            return Err(ImagesError::Context { image: name.to_owned(), context: context.clone(), problem });
        }
    }
    Ok(all(project).filter(|service| needed.contains(service.name.as_str())).collect())
}

/// Adds the contexts of the inputs that are images of the run to all images that can use them. Then checks that every such
/// context is an image of the run and that none depends on itself, directly or indirectly.
pub(super) fn link(specs: &mut [ImageSpec], inputs: &BuildInputs) -> Result<(), ImagesError> {
    for (name, target) in inputs.contexts.iter().filter_map(|(name, source)| Some((name, apply::target_of(source)?))) {
        let Some(base) = image_of(specs, target) else {
            let image = specs.first().map(|spec| spec.name.clone()).unwrap_or_default();
            return Err(unknown(specs, &image, target));
        };
        // An input applies to every image, except to the base itself and to the images that it is built on.
        let spared: BTreeSet<String> = below(specs, &base).into_iter().map(str::to_owned).collect();
        for spec in specs.iter_mut().filter(|spec| spec.name != base && !spared.contains(&spec.name)) {
            apply::set(&mut spec.build.additional_contexts, name, ContextSource::Service(base.clone()));
        }
    }
    for index in 0..specs.len() {
        let mut contexts = specs[index].build.additional_contexts.clone();
        for (_, source) in &mut contexts {
            let ContextSource::Service(name) = source else { continue };
            *name = image_of(specs, name).ok_or_else(|| unknown(specs, &specs[index].name, name))?;
        }
        specs[index].build.additional_contexts = contexts;
    }
    for spec in specs.iter() {
        if below(specs, &spec.name).contains(spec.name.as_str()) {
            let problem = "is circular; remove one of these contexts".to_owned();
            return Err(ImagesError::Context { image: spec.name.clone(), context: spec.name.clone(), problem });
        }
    }
    Ok(())
}

/// Returns the image with this name, or else the image that the service with this name runs.
fn image_of(specs: &[ImageSpec], name: &str) -> Option<String> {
    let named = specs.iter().find(|spec| spec.name == name);
    let shared = || specs.iter().find(|spec| spec.services.iter().any(|service| service == name));
    named.or_else(shared).map(|spec| spec.name.clone())
}

/// Removes images that nobody requested and that no requested image is based on.
pub(super) fn remove_unused(specs: &mut Vec<ImageSpec>) {
    let wanted = specs.iter().filter(|spec| spec.purpose == Purpose::Wanted).map(|spec| spec.name.as_str());
    let used: BTreeSet<String> =
        wanted.flat_map(|name| below(specs, name).into_iter().chain([name])).map(str::to_owned).collect();
    specs.retain(|spec| used.contains(&spec.name));
}

fn unknown(specs: &[ImageSpec], image: &str, context: &str) -> ImagesError {
    let problem = match nearest(context, specs.iter().map(|spec| spec.name.as_str())) {
        Some(near) => format!("is not an image of this run; did you mean `{near}`?"),
        None => "is not an image of this run; correct the name".to_owned(),
    };
    ImagesError::Context { image: image.to_owned(), context: context.to_owned(), problem }
}

/// Returns the images that an image is built on, directly or indirectly.
fn below<'a>(specs: &'a [ImageSpec], name: &str) -> BTreeSet<&'a str> {
    let contexts = |name: &str| {
        let spec = specs.iter().find(|spec| spec.name == name);
        spec.into_iter().flat_map(|spec| &spec.build.additional_contexts).filter_map(|(_, source)| match source {
            ContextSource::Service(name) => Some(name.as_str()),
            ContextSource::Path(_) | ContextSource::Remote(_) => None,
        })
    };
    let mut seen = BTreeSet::new();
    let mut open: Vec<&str> = contexts(name).collect();
    while let Some(name) = open.pop() {
        if seen.insert(name) {
            open.extend(contexts(name));
        }
    }
    seen
}
