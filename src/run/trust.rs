//! Restricts the checkout's files: the boundary of the paths that they may read, and the check of their requests.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::job::{JobContext, mounts, reachable};
use crate::{
    boundary::{Boundary, NamedBy},
    builder::spec::BuildSpec,
    buildkit::build::{self, Dockerfile},
    compose::{self, Access, SecretSource},
    domain::{diagnostic::Place, failure::Failure},
    inputs::{
        runner::RunnerEnv,
        typed::{Inputs, ProjectInputs},
    },
    plan::{
        Plan,
        images::ImageSpec,
        trust::{self, Grants, Refusal},
    },
    preflight,
};

/// Variables that name the runner's own directories and files.
const PRIVATE: [&str; 7] = [
    "RUNNER_TEMP",
    "GITHUB_ENV",
    "GITHUB_EVENT_PATH",
    "GITHUB_OUTPUT",
    "GITHUB_PATH",
    "GITHUB_STATE",
    "GITHUB_STEP_SUMMARY",
];

/// Returns the boundary of the checkout.
pub(super) fn boundary(inputs: &Inputs, env: &RunnerEnv, context: &JobContext) -> Boundary {
    let checkout = match env.workspace() {
        Some(workspace) => PathBuf::from(workspace),
        None => repository(&context.workspace),
    };
    let private = PRIVATE.iter().filter_map(|name| env.var(name)).map(PathBuf::from);
    // A checkout in the runner's temporary directory, as in tests of workflows, is allowed.
    let mut boundary = Boundary::new(&checkout, private.filter(|path| !checkout.starts_with(path)));
    for path in &inputs.build.allow.read {
        boundary.grant(&granted(path, env, context));
    }
    // The input `working-directory` names the project, wherever that is.
    boundary.grant_named(&context.project);
    boundary
}

/// Resolves a path of the input `allow`: relative to the project, or a path of the host that is mounted here.
fn granted(path: &str, env: &RunnerEnv, context: &JobContext) -> PathBuf {
    if path == "*" {
        return PathBuf::from(path);
    }
    let mounted =
        mounts(env).into_iter().find_map(|(host, here)| Some(here.join(Path::new(path).strip_prefix(host).ok()?)));
    mounted.unwrap_or_else(|| reachable(path, env, context))
}

/// Returns the root of the Git repository that contains a directory outside an action, or else the directory.
fn repository(directory: &Path) -> PathBuf {
    let root = directory.ancestors().find(|directory| directory.join(".git").exists());
    root.unwrap_or(directory).to_owned()
}

/// Returns the files that inputs name, as the compose reader opens them, and the `.env` next to the first.
pub(super) fn named_files(wanted: &ProjectInputs) -> Vec<String> {
    let beside = wanted.compose_files.first().and_then(|first| first.rsplit_once('/')).map(|(directory, _)| directory);
    let dotenv = beside.map(|directory| compose::join(directory, ".env"));
    let named = wanted.compose_files.iter().chain(&wanted.env_files).map(|path| compose::normalize(path));
    named.chain(dotenv).collect()
}

/// Returns the contexts that inputs name.
pub(super) fn named_contexts(inputs: &Inputs) -> BTreeSet<&str> {
    let lone = inputs.project.lone.iter().filter_map(|lone| lone.context.as_deref());
    let images = inputs.project.images.iter().flat_map(|image| {
        image.context.as_deref().into_iter().chain(image.build_contexts.iter().map(|(_, source)| source.as_str()))
    });
    lone.chain(images).chain(inputs.build.contexts.iter().map(|(_, source)| source.as_str())).collect()
}

/// Returns the failure that lists the refused requests of the checkout's files.
pub(super) fn refused(
    plan: &Plan,
    specs: &[ImageSpec],
    boundary: &Boundary,
    (inputs, env, context): (&Inputs, &RunnerEnv, &JobContext),
    unset: &[compose::EmptyVariable],
    place: impl Fn(Place) -> Place,
) -> Option<Failure> {
    let caches = &inputs.registry.caches;
    let named_caches: Vec<_> = caches.from.iter().chain(&caches.to).cloned().collect();
    let grants = Grants {
        allow: &inputs.build.allow,
        caches: &named_caches,
        repositories: &plan.images.iter().flat_map(|image| image.destinations.repositories()).collect(),
        is_set: &|name| env.var(name).is_some(),
    };
    let mut refusals = trust::refusals(specs, grants);
    for spec in specs {
        refusals.extend(refused_paths(spec, &paths(plan, spec, env, context), boundary.clone()));
    }
    trust::failure(&refusals, unset, place)
}

/// Returns refusals for the paths that an image may not read; each value once.
fn refused_paths(spec: &ImageSpec, paths: &[(Access, PathBuf)], mut boundary: Boundary) -> Vec<Refusal> {
    let mut refused: Vec<(Access, PathBuf)> = Vec::new();
    for (access, path) in paths.iter().cloned() {
        let named_by = if spec.of_inputs.contains(&access) { NamedBy::Input } else { NamedBy::Checkout };
        if (&access, named_by) == (&Access::Context, NamedBy::Input) {
            // This includes the Dockerfile in it.
            boundary.grant_named(&path);
        }
        let Err(real) = boundary.check(&path, named_by) else { continue };
        let said = |(known, above): &(Access, PathBuf)| {
            *known == access || (access == Access::Dockerfile && real.starts_with(above))
        };
        if !refused.iter().any(said) {
            refused.push((access, real));
        }
    }
    let context = paths.iter().find(|(access, _)| *access == Access::Context).map(|(_, path)| path.clone());
    let is_in_context = |real: &Path| {
        let relative = real.strip_prefix("/").unwrap_or(real);
        context.as_ref().is_some_and(|context| context.join(relative).is_file())
    };
    let refusal = |(access, real): &(Access, PathBuf)| {
        let shown = real.display().to_string();
        let is_named = paths.contains(&(Access::Dockerfile, real.clone()));
        if *access == Access::Dockerfile && is_named && is_in_context(real) {
            return Refusal::rooted(spec, &shown);
        }
        if Boundary::is_kernels(real) {
            Refusal::kernel(spec, access, &shown)
        } else {
            Refusal::outside(spec, access, &shown)
        }
    };
    refused.iter().map(refusal).collect()
}

/// Returns the paths that the build of an image reads, resolved as in the build.
fn paths(plan: &Plan, spec: &ImageSpec, env: &RunnerEnv, context: &JobContext) -> Vec<(Access, PathBuf)> {
    let mut paths = Vec::new();
    if let Some(image) = plan.images.iter().find(|image| image.name == spec.name) {
        let mut build_spec = BuildSpec::new(image, &context.project, ".");
        preflight::take_lower_case(&mut build_spec);
        paths.extend(local(&build_spec.build.context).map(|path| (Access::Context, path)));
        if let Dockerfile::File { directory, name } = &build_spec.build.dockerfile {
            paths.push((Access::Dockerfile, directory.join(name)));
            // The build gets the directory, in which the file may be a link.
            paths.push((Access::Dockerfile, directory.clone()));
        }
        for (name, context) in &build_spec.build.named_contexts {
            paths.extend(local(context).map(|path| (Access::NamedContext(name.clone()), path)));
        }
    }
    for secret in &spec.build.secrets {
        if let SecretSource::File(path) = &secret.source {
            paths.push((Access::Secret(secret.id.clone()), reachable(path, env, context)));
        }
    }
    for key in &spec.build.ssh {
        let files = key.path.iter().flat_map(|files| files.split(','));
        paths.extend(files.map(|file| (Access::Ssh(key.id.clone()), reachable(file.trim(), env, context))));
    }
    paths
}

/// Returns the directory of a context, if it is local.
fn local(context: &build::Context) -> Option<PathBuf> {
    match context {
        build::Context::Directory(path) => Some(path.clone()),
        build::Context::Remote(url) => url.strip_prefix("oci-layout://").map(PathBuf::from),
        build::Context::Build(_) => None,
    }
}

#[cfg(test)]
mod stranger_tests;
#[cfg(test)]
mod tests;
