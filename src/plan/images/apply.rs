//! Applies the inputs to the image definitions of the compose files.

use std::collections::BTreeSet;

use crate::{
    compose::{Access, Build, BuildSecret, ContextSource, SecretSource, SshKey, Ulimit, is_remote, normalize},
    inputs::{
        attest,
        cache::{CacheSpec, cache_spec},
        typed::{Attest, BuildInputs, ImageInput, LoneInput, Network, NoCache},
    },
};

use super::{ImageSpec, ImagesError, Purpose, Unmatched};

/// The placeholder for the repository itself in workflows of docker/build-push-action; `:` and a directory may follow.
const DEFAULT_CONTEXT: &str = "{{defaultContext}}";

/// Creates the image of a project with a single Dockerfile, in the working directory or at the location in `lone`.
pub(super) fn alone(name: &str, lone: Option<&LoneInput>, inputs: &BuildInputs) -> Result<ImageSpec, ImagesError> {
    let written = lone.and_then(|lone| lone.context.as_deref()).unwrap_or(".");
    let context = match written.strip_prefix(DEFAULT_CONTEXT) {
        Some(directory) => normalize(directory.trim_start_matches(':')),
        None if is_remote(written) => written.to_owned(),
        None => normalize(written),
    };
    if context == ".." || context.starts_with("../") {
        return Err(ImagesError::Outside(context));
    }
    let file = lone.and_then(|lone| lone.file.as_deref());
    let dockerfile = file.map(|file| if is_remote(&context) { file.to_owned() } else { seen_from(&context, file) });
    let mut spec = spec(name, Vec::new(), Build { context, dockerfile, ..Build::default() }, inputs)?;
    if lone.is_some_and(|lone| lone.context.is_some()) {
        spec.of_inputs.insert(Access::Context);
    }
    if file.is_some() {
        spec.of_inputs.insert(Access::Dockerfile);
    }
    Ok(spec)
}

/// Converts a path relative to the working directory to one relative to a directory in it.
fn seen_from(directory: &str, path: &str) -> String {
    let depth = directory.split('/').filter(|part| *part != ".").count();
    if path.starts_with('/') || directory.starts_with('/') { path.to_owned() } else { "../".repeat(depth) + path }
}

/// Creates an image from a build and applies the inputs for all images.
pub(super) fn spec(
    name: &str,
    services: Vec<String>,
    mut build: Build,
    inputs: &BuildInputs,
) -> Result<ImageSpec, ImagesError> {
    let mut warnings = Vec::new();
    let cache_from = caches(name, "cache_from", std::mem::take(&mut build.cache_from), &mut warnings)?;
    let cache_to = caches(name, "cache_to", std::mem::take(&mut build.cache_to), &mut warnings)?;
    let of_inputs = build_inputs(name, &mut build, inputs)?;
    name_dockerfile(&mut build);
    Ok(ImageSpec {
        name: name.to_owned(),
        services,
        build,
        cache_from,
        cache_to,
        of_inputs,
        args_of_inputs: inputs.args.iter().map(|(name, _)| name.clone()).collect(),
        warnings,
        ..ImageSpec::default()
    })
}

/// Sets the default Dockerfile name if none is given, and normalizes the name.
fn name_dockerfile(build: &mut Build) {
    if build.dockerfile_inline.is_none() {
        build.dockerfile = Some(normalize(build.dockerfile.as_deref().unwrap_or("Dockerfile")));
    }
}

/// Parses the caches of a compose file. Those in a directory are omitted with a warning.
fn caches(
    image: &str,
    key: &'static str,
    lines: Vec<String>,
    warnings: &mut Vec<String>,
) -> Result<Vec<CacheSpec>, ImagesError> {
    let mut specs = Vec::new();
    for line in lines {
        if line.split(',').any(|field| field.trim() == "type=local") {
            warnings.push(format!(
                "`{key}` of the compose file: caches with `type=local` are ignored, because their directory is deleted together \
                 with the step's container; use `type=gha` or `type=registry`"
            ));
            continue;
        }
        specs.push(cache_spec(&line).map_err(|reason| {
            let problem = format!("{}; {}", reason.problem, reason.hint);
            ImagesError::Value { image: image.to_owned(), key, problem }
        })?);
    }
    Ok(specs)
}

/// Applies the inputs for all images to a build. Returns the values that they set.
fn build_inputs(image: &str, build: &mut Build, inputs: &BuildInputs) -> Result<BTreeSet<Access>, ImagesError> {
    let mut set_here = BTreeSet::new();
    set_all(&mut build.args, &inputs.args);
    // Contexts that are images of the run are set later, when all images are known.
    for (name, source) in inputs.contexts.iter().filter(|(_, source)| target_of(source).is_none()) {
        set(&mut build.additional_contexts, name, context_source(source));
        set_here.insert(Access::NamedContext(name.clone()));
    }
    for id in inputs.secrets.iter().map(|(id, _)| id) {
        set_secret(&mut build.secrets, id, SecretSource::External);
        set_here.insert(Access::Secret(id.clone()));
    }
    for (id, file) in &inputs.secret_files {
        set_secret(&mut build.secrets, id, SecretSource::File(file.clone()));
        set_here.insert(Access::Secret(id.clone()));
    }
    if inputs.target.is_some() {
        build.target.clone_from(&inputs.target);
    }
    if !inputs.platforms.is_empty() {
        build.platforms.clone_from(&inputs.platforms);
    }
    if let Some(network) = inputs.network {
        let name = match network {
            Network::Default => "default",
            Network::None => "none",
            Network::Host => "host",
        };
        build.network = Some(name.to_owned());
    }
    for host in &inputs.add_hosts {
        if !build.extra_hosts.contains(host) {
            build.extra_hosts.push(host.clone());
        }
    }
    // BuildKit also requires an entitlement for the host's network.
    let host = "network.host".to_owned();
    if inputs.network == Some(Network::Host) {
        set_here.insert(Access::Entitlement(host.clone()));
    }
    if build.network.as_deref() == Some("host") && !build.entitlements.contains(&host) {
        build.entitlements.push(host);
    }
    build.shm_size = inputs.shm_size.or(build.shm_size);
    for text in &inputs.ulimits {
        let limit = ulimit(text).ok_or_else(|| ImagesError::Value {
            image: image.to_owned(),
            key: "ulimits",
            problem: format!("has `{text}`, which is not a limit; use `name=soft` or `name=soft:hard`"),
        })?;
        build.ulimits.retain(|old| old.name != limit.name);
        build.ulimits.push(limit);
    }
    build.cgroup_parent.clone_from(&inputs.cgroup_parent);
    match &inputs.no_cache {
        NoCache::Nothing => {}
        NoCache::Everything => build.no_cache = true,
        NoCache::Stages(stages) => build.no_cache_filter.clone_from(stages),
    }
    build.pull |= inputs.pull;
    for (id, path) in &inputs.ssh {
        build.ssh.retain(|key| key.id != *id);
        build.ssh.push(SshKey { id: id.clone(), path: path.clone() });
        set_here.insert(Access::Ssh(id.clone()));
    }
    attestation(image, "provenance", &mut build.provenance, inputs.provenance.as_ref())?;
    attestation(image, "sbom", &mut build.sbom, inputs.sbom.as_ref())?;
    for entitlement in &inputs.allow.entitlements {
        if !build.entitlements.contains(entitlement) {
            build.entitlements.push(entitlement.clone());
        }
        set_here.insert(Access::Entitlement(entitlement.clone()));
    }
    Ok(set_here)
}

/// Converts an attestation of the compose file to BuildKit's attributes; the input overrides it.
fn attestation(
    image: &str,
    key: &'static str,
    value: &mut Option<String>,
    input: Option<&Attest>,
) -> Result<(), ImagesError> {
    let wanted = match (input, value.as_deref()) {
        (Some(attest), _) => Some(attest.clone()),
        (None, None) => None,
        (None, Some(text)) => attest::attest(text).map_err(|reason| {
            let problem = format!("{}; {}", reason.problem, reason.hint);
            ImagesError::Value { image: image.to_owned(), key, problem }
        })?,
    };
    *value = wanted.map(|Attest(attributes)| attributes);
    Ok(())
}

/// Returns the image that a named context of the inputs refers to (`target:image`, as in bake).
pub(super) fn target_of(source: &str) -> Option<&str> {
    source.strip_prefix("target:").or_else(|| source.strip_prefix("service:")).filter(|name| !name.starts_with("//"))
}

fn context_source(source: &str) -> ContextSource {
    match target_of(source) {
        Some(name) => ContextSource::Service(name.to_owned()),
        None if is_remote(source) => ContextSource::Remote(source.to_owned()),
        None => ContextSource::Path(normalize(source)),
    }
}

fn ulimit(text: &str) -> Option<Ulimit> {
    let (name, limits) = text.split_once('=')?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    Some(Ulimit { name: name.to_owned(), soft: soft.parse().ok()?, hard: hard.parse().ok()? })
}

pub(super) fn set<T>(pairs: &mut Vec<(String, T)>, key: &str, value: T) {
    match pairs.iter_mut().find(|(old, _)| old == key) {
        Some((_, old)) => *old = value,
        None => pairs.push((key.to_owned(), value)),
    }
}

fn set_all(pairs: &mut Vec<(String, String)>, more: &[(String, String)]) {
    for (key, value) in more {
        set(pairs, key, value.clone());
    }
}

fn set_secret(secrets: &mut Vec<BuildSecret>, id: &str, source: SecretSource) {
    secrets.retain(|secret| secret.id != id);
    secrets.push(BuildSecret { id: id.to_owned(), source });
}

/// Applies an item of the input `images` to the image with its name.
///
/// If the name is that of a service that shares an image, the service gets an image of its own. Any other name adds an
/// image if `unmatched` allows it.
///
/// An image that was not requested (`purpose`) is added only if it has a `context` or `dockerfile`, for other images that are
/// based on it. Returns whether the item has an image.
pub(super) fn image_input(
    specs: &mut Vec<ImageSpec>,
    image: &ImageInput,
    purpose: Purpose,
    inputs: &BuildInputs,
    unmatched: Unmatched,
) -> Result<bool, ImagesError> {
    if let Some(spec) = specs.iter_mut().find(|spec| spec.name == image.name) {
        lay_over(spec, image);
        return Ok(true);
    }
    let described = image.context.is_some() || image.dockerfile.is_some();
    if purpose == Purpose::Context && !described {
        return Ok(true);
    }
    let mut new = match specs.iter_mut().find(|spec| spec.services.contains(&image.name)) {
        Some(shared) => {
            shared.services.retain(|service| *service != image.name);
            ImageSpec { name: image.name.clone(), services: vec![image.name.clone()], ..shared.clone() }
        }
        None if unmatched == Unmatched::Described && !described => {
            return Ok(false);
        }
        None => alone(&image.name, None, inputs)?,
    };
    new.purpose = purpose;
    lay_over(&mut new, image);
    specs.push(new);
    Ok(true)
}

fn lay_over(spec: &mut ImageSpec, image: &ImageInput) {
    let build = &mut spec.build;
    if let Some(context) = &image.context {
        build.context = if is_remote(context) { context.clone() } else { normalize(context) };
        spec.of_inputs.insert(Access::Context);
    }
    if image.dockerfile.is_some() {
        build.dockerfile.clone_from(&image.dockerfile);
        build.dockerfile_inline = None;
        name_dockerfile(build);
        spec.of_inputs.insert(Access::Dockerfile);
    }
    if image.target.is_some() {
        build.target.clone_from(&image.target);
    }
    set_all(&mut build.args, &image.build_args);
    spec.args_of_inputs.extend(image.build_args.iter().map(|(name, _)| name.clone()));
    for (name, source) in &image.build_contexts {
        set(&mut build.additional_contexts, name, context_source(source));
        spec.of_inputs.insert(Access::NamedContext(name.clone()));
    }
    if !image.platforms.is_empty() {
        build.platforms.clone_from(&image.platforms);
    }
    if !image.secrets.is_empty() {
        build.secrets.retain(|secret| image.secrets.contains(&secret.id));
        for id in &image.secrets {
            if !build.secrets.iter().any(|secret| secret.id == *id) {
                set_secret(&mut build.secrets, id, SecretSource::External);
                spec.of_inputs.insert(Access::Secret(id.clone()));
            }
        }
    }
    if !image.cache_from.is_empty() {
        spec.cache_from.clone_from(&image.cache_from);
        spec.of_inputs.extend(image.cache_from.iter().map(|cache| Access::CacheFrom(cache.to_string())));
    }
    if !image.cache_to.is_empty() {
        spec.cache_to.clone_from(&image.cache_to);
        spec.of_inputs.extend(image.cache_to.iter().map(|cache| Access::CacheTo(cache.to_string())));
    }
    if !image.services.is_empty() {
        spec.services.clone_from(&image.services);
    }
    spec.tags.clone_from(&image.tags);
    spec.labels.clone_from(&image.labels);
    spec.image_names.clone_from(&image.image_names);
}
