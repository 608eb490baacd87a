//! Plans one image: its names, its metadata, its caches and its build.

use super::{
    ImagePlan, Known, PlanError, PushPlan,
    caches::{self, Remarks},
    compose_names,
    images::ImageSpec,
    metadata::{Metadata, metadata},
    naming::{self, Names, NamingError, Project},
    origin::{Commit, name_builder, seconds_since_1970},
};
use crate::{
    compose::{self, Build},
    domain::{destinations::Destinations, repository::Repository, tag::Tag},
    inputs::typed::Inputs,
};

/// The repositories of an image, and the setting that names them.
pub(super) struct NamedImage {
    repository: Repository,
    copies: Vec<Repository>,
    name_from: String,
}

/// Names an image after its item of the input `images`, else the input `image-name`, else the compose files, else the
/// default.
pub(super) fn named(
    spec: &ImageSpec,
    in_compose: &[compose_names::Named],
    project: Project,
    names: Names<'_>,
    inputs: &Inputs,
) -> Result<NamedImage, NamingError> {
    if let Some((first, rest)) = in_compose.split_first() {
        let copies = rest.iter().map(|name| name.repository.clone()).collect();
        return Ok(NamedImage { repository: first.repository.clone(), copies, name_from: first.key.clone() });
    }
    let (templates, name_from) = match (spec.image_names.is_empty(), inputs.names.image_names.is_empty()) {
        (false, _) => (&spec.image_names, "images"),
        (true, false) => (&inputs.names.image_names, "image-name"),
        (true, true) => (&inputs.names.image_names, "default"),
    };
    let (repository, copies) = naming::destinations(templates, project, names, &spec.name)?;
    Ok(NamedImage { repository, copies, name_from: name_from.to_owned() })
}

/// Plans one image.
pub(super) fn image(
    spec: ImageSpec,
    NamedImage { repository, copies, name_from }: NamedImage,
    inputs: &Inputs,
    (known, push): (Known<'_>, &PushPlan),
    remarks: &mut Remarks,
) -> Result<ImagePlan, PlanError> {
    let event = known.event;
    let Metadata { tags, movement, labels, annotations, args, warnings, notices } =
        metadata(&spec, &inputs.names, known)?;
    for warning in spec.warnings.iter().chain(&warnings) {
        remarks.warn(warning);
    }
    for notice in &notices {
        remarks.notice(notice);
    }
    let version = tags.first().map(Tag::as_str).unwrap_or_default();
    let caches = caches::caches(&spec, inputs, event, push, (&repository, version), remarks);
    let mut build = Build { args, ..spec.build };
    if let Some(attributes) = &mut build.provenance {
        name_builder(attributes, &event.run_url);
    }
    Ok(ImagePlan {
        load_as: load_as(&spec.local_names, &spec.services, inputs.registry.load),
        name: spec.name,
        services: spec.services,
        context: build.context.clone(),
        dockerfile: build.dockerfile_inline.is_none().then(|| dockerfile(&build)),
        target: build.target.clone(),
        platforms: build.platforms.clone(),
        build_args: build.args.iter().cloned().collect(),
        secret_ids: build.secrets.iter().map(|secret| secret.id.clone()).collect(),
        destinations: Destinations { repository, copies, tags },
        name_from,
        movement,
        labels,
        annotations,
        cache_from: caches.from,
        cache_to: caches.to,
        cache_origin: caches.origin,
        purpose: spec.purpose,
        epoch: event.commit_time.as_deref().and_then(seconds_since_1970),
        check: inputs.build.check,
        commit: Commit { source: event.repo_url.clone(), revision: event.sha.clone() },
        compression: inputs.build.compression.clone(),
        build,
    })
}

/// Returns the names of a loaded image: `image` of each of its services, or `<project>-<service>`.
fn load_as(local_names: &[(String, String)], services: &[String], load: bool) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (service, name) in local_names.iter().filter(|_| load) {
        // A digest cannot be given to an image.
        if services.contains(service) && !name.contains('@') && !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// Returns the Dockerfile's path, relative to the working directory or to the remote context that contains it.
fn dockerfile(build: &Build) -> String {
    let name = build.dockerfile.as_deref().unwrap_or("Dockerfile");
    if compose::is_remote(&build.context) { name.to_owned() } else { compose::join(&build.context, name) }
}
