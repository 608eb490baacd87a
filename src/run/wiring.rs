//! Builds the [`RunContext`]: everything besides the plan that the pipeline needs.

use std::path::PathBuf;

use super::{
    job::{JobContext, mounts, reachable},
    observers::history,
    targets, trust,
};
use crate::{
    builder::{caches::CacheCredentials, container::ContainerLeases},
    buildkit::{session::BuildSecret, ssh::AgentSource},
    compose::{self, ContextSource, SecretSource},
    context::RunContext,
    domain::{credentials::Credentials, failure::Failure, secret::Secret},
    inputs::{
        runner::RunnerEnv,
        typed::{Inputs, WhenSuperseded},
    },
    plan::{
        Plan,
        superseded::{self, Question},
    },
    publish::Branch,
};

/// Builds the context of a run. The caller releases `leases` when the run is over.
///
/// # Errors
/// If the inputs for the deploy targets are missing or invalid.
pub(super) fn run_context(
    plan: &Plan,
    inputs: &Inputs,
    env: &RunnerEnv,
    context: &JobContext,
    credentials: Credentials,
    leases: ContainerLeases,
) -> Result<RunContext, Failure> {
    let deployment = targets::deployment(plan, inputs, env, context, &credentials)?;
    let secrets = plan.images.iter().map(|image| {
        let all = image.build.secrets.iter().filter_map(|secret| build_secret(secret, inputs, env, context));
        (image.name.clone(), git_token(&image.build, inputs, env).into_iter().chain(all).collect())
    });
    Ok(RunContext {
        project: context.project.clone(),
        place: inputs.project.working_directory.clone(),
        docker_host: env.var("DOCKER_HOST").map(str::to_owned),
        credentials,
        secrets: secrets.collect(),
        builder: inputs.registry.builder.clone(),
        container: inputs.registry.container.clone(),
        cache_credentials: cache_credentials(inputs, env),
        mounts: mounts(env),
        leases,
        ssh: plan.images.iter().map(|image| (image.name.clone(), agents(&image.build.ssh, env, context))).collect(),
        branch: branch(plan, inputs, env, context),
        deployment,
    })
}

/// Returns the branch whose tags must not move backwards, if GitHub can be asked for its commits.
fn branch(plan: &Plan, inputs: &Inputs, env: &RunnerEnv, context: &JobContext) -> Option<Branch> {
    if !plan.push.enabled || inputs.registry.when_superseded == WhenSuperseded::Publish {
        return None;
    }
    let Question { branch, sha } = superseded::question(&context.event)?;
    let client = history::client(inputs, env, &context.event)?;
    Some(Branch { client, name: branch.to_owned(), sha: sha.to_owned() })
}

/// Returns the credentials for caches that are stored neither in a registry nor in the builder.
fn cache_credentials(inputs: &Inputs, env: &RunnerEnv) -> CacheCredentials {
    let s3 = [
        ("access_key_id", "AWS_ACCESS_KEY_ID"),
        ("secret_access_key", "AWS_SECRET_ACCESS_KEY"),
        ("session_token", "AWS_SESSION_TOKEN"),
        ("region", "AWS_REGION"),
    ];
    let s3 = s3.into_iter().filter_map(|(attribute, name)| Some((attribute, Secret::new(env.var(name)?))));
    CacheCredentials { github: inputs.registry.caches.service.clone(), s3: s3.collect() }
}

/// Returns the SSH agents of an image.
fn agents(keys: &[compose::SshKey], env: &RunnerEnv, context: &JobContext) -> Vec<(String, AgentSource)> {
    let source = |path: &Option<String>| match path {
        None => AgentSource::Environment(env.var("SSH_AUTH_SOCK").map(PathBuf::from)),
        Some(paths) => AgentSource::Files(paths.split(',').map(|path| reachable(path.trim(), env, context)).collect()),
    };
    keys.iter().map(|key| (key.id.clone(), source(&key.path))).collect()
}

/// Returns the job's token, for contexts that are Git repositories on the job's own GitHub server. BuildKit requests it
/// under this name (<https://github.com/moby/buildkit/blob/master/source/git/source.go>).
///
/// Any step of the build may mount it, so it is added to the build's secrets only for contexts that an input names.
fn git_token(build: &compose::Build, inputs: &Inputs, env: &RunnerEnv) -> Option<(String, BuildSecret)> {
    let server = env.var("GITHUB_SERVER_URL")?.trim_end_matches('/');
    let token = inputs.github.token.clone()?;
    let named = build.additional_contexts.iter().filter_map(|(_, source)| match source {
        ContextSource::Remote(url) => Some(url.as_str()),
        ContextSource::Path(_) | ContextSource::Service(_) => None,
    });
    let of_inputs = trust::named_contexts(inputs);
    let is_here = |url: &str| url.strip_prefix(server).is_some_and(|rest| rest.starts_with('/'));
    let host = server.split_once("://")?.1;
    named
        .chain([build.context.as_str()])
        .any(|url| is_here(url) && of_inputs.contains(url))
        .then(|| (format!("GIT_AUTH_TOKEN.{host}"), BuildSecret::Value(token)))
}

/// Returns the sources of the secrets' values: the inputs override the compose file. A secret without a value is
/// omitted; a build that requires it fails.
fn build_secret(
    secret: &compose::BuildSecret,
    inputs: &Inputs,
    env: &RunnerEnv,
    context: &JobContext,
) -> Option<(String, BuildSecret)> {
    let id = &secret.id;
    let value = inputs.build.secrets.iter().find(|(known, _)| known == id);
    let file = inputs.build.secret_files.iter().find(|(known, _)| known == id);
    let found = match (value, file, &secret.source) {
        (Some((_, value)), ..) => BuildSecret::Value(value.clone()),
        (None, Some((_, path)), _) | (None, None, SecretSource::File(path)) => {
            BuildSecret::File(reachable(path, env, context))
        }
        (None, None, SecretSource::Environment(name)) => BuildSecret::Value(Secret::new(env.var(name)?)),
        (None, None, SecretSource::External) => return None,
    };
    Some((id.clone(), found))
}
