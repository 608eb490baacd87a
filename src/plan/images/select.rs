//! Selects the images to build by the inputs `services` and `images`.

use std::collections::BTreeSet;

use globset::{Glob, GlobMatcher};

use super::{ImagesError, all};
use crate::{
    compose::{Project, Service},
    domain::nearest::nearest,
    inputs::typed::ProjectInputs,
};

/// Returns the names of the services and of the items of the input `images` to build.
///
/// These are the matches of the input `services`, or else all items of `images`, or else all services with `build` that the
/// profiles activate. Globs match only services that the profiles activate; plain names match all services, as on Compose's
/// command line.
pub(super) fn select<'a>(
    project: Option<&'a Project>,
    inputs: &'a ProjectInputs,
) -> Result<BTreeSet<&'a str>, ImagesError> {
    let items: BTreeSet<&str> = inputs.images.iter().map(|image| image.name.as_str()).collect();
    let built = |service: &&Service| service.build.is_some();
    let active = project.into_iter().flat_map(|project| &project.services).filter(built);
    let active: BTreeSet<&str> = active.map(|service| service.name.as_str()).collect();
    if inputs.services.is_empty() {
        return Ok(if items.is_empty() { active } else { items });
    }
    let mut selected = BTreeSet::new();
    for pattern in &inputs.services {
        let fail = |problem: String| ImagesError::Service { pattern: pattern.clone(), problem };
        if let Some(item) = items.get(pattern.as_str()) {
            selected.insert(*item);
            continue;
        }
        if let Some(service) = project.into_iter().flat_map(all).find(|service| service.name == *pattern) {
            if service.build.is_none() {
                return Err(fail("has no `build` in the compose file; remove it from the list".to_owned()));
            }
            selected.insert(service.name.as_str());
            continue;
        }
        let glob =
            glob(pattern).map_err(|error| fail(format!("is not a valid pattern ({error}); use names, `*` or `?`")))?;
        let hits: Vec<&str> = active.union(&items).copied().filter(|name| glob.is_match(name)).collect();
        if hits.is_empty() {
            let names: Vec<&str> =
                project.into_iter().flat_map(all).filter(built).map(|service| &*service.name).collect();
            let names: Vec<&str> = names.into_iter().chain(items.iter().copied()).collect();
            let advice = match nearest(pattern, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if items.is_empty() => format!("the services with `build` are {}", names.join(", ")),
                None => format!("the images are {}", names.join(", ")),
            };
            return Err(fail(format!("matches no service with `build`; {advice}")));
        }
        selected.extend(hits);
    }
    Ok(selected)
}

fn glob(pattern: &str) -> Result<GlobMatcher, String> {
    Glob::new(pattern).map(|glob| glob.compile_matcher()).map_err(|error| error.kind().to_string())
}
