//! From inputs to a plan: reads the event, the compose files and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::Utc;
use tokio::time::timeout;

use super::{chat::Chat, checkout, inquiry, likely, trust};
use crate::{
    boundary::Boundary,
    builder::{caches::Accounts, container::Seats},
    buildkit::{session::BuildSecret, ssh::AgentSource},
    compose::{self, ComposeError, ContextSource, SecretSource},
    compose_files::Directory,
    domain::{
        credentials::Credentials,
        diagnostic::{Diagnostic, Place},
        failure::Failure,
        git_event::GitEvent,
        redact::Redactor,
        run::{RunInfo, RunState},
        secret::Secret,
        stage::Stage,
    },
    github::repository,
    inputs::{
        event::{git_event, payload_of},
        runner::{Owner, RunnerEnv},
        typed::{Inputs, ProjectInputs, WhenSuperseded},
    },
    plan::{
        Found, Known, Plan, images, naming,
        superseded::{self, Question},
    },
    preflight::Edges,
    publish::Branch,
    regular_file,
    report::log::Log,
    tags::{
        GitTags,
        language::{Dialect, PullRequestSha},
    },
};

/// Bytes of an event's payload. GitHub sends 25 MB at most.
const LARGEST_PAYLOAD: u64 = 32 << 20;

/// Where the run happens and why.
#[derive(Clone, Debug)]
pub struct Context {
    /// What happened on GitHub.
    pub event: GitEvent,
    /// The checkout, absolute.
    pub workspace: PathBuf,
    /// The project's directory in it, absolute.
    pub project: PathBuf,
    /// What went less than well in finding out.
    pub warnings: Vec<Diagnostic>,
}

/// Reads the event and finds the project.
pub fn context(inputs: &Inputs, env: &RunnerEnv) -> Context {
    let event = Path::new(env.var("GITHUB_EVENT_PATH").unwrap_or_default());
    let contents = regular_file::read_text(event, LARGEST_PAYLOAD).map_err(io::Error::other);
    let (payload, warning) = payload_of(env, contents.as_deref());
    // Outside an action, the workspace is where the program was called.
    let here = || fs::canonicalize(".").unwrap_or_else(|_| PathBuf::from("."));
    let workspace = env.workspace().map_or_else(here, PathBuf::from);
    Context {
        event: git_event(env, &payload, inputs.github.job_id.as_deref()),
        project: workspace.join(&inputs.project.working_directory),
        workspace,
        warnings: inputs.warnings.iter().cloned().chain(warning).collect(),
    }
}

/// Masks `secrets`, which are those beside the inputs' own, and takes all of them out of what is told, and `likely` ones,
/// too.
pub fn mask<W: Write>(inputs: &Inputs, secrets: &[Secret], likely: &[Secret], log: &mut Log<W>) -> Redactor {
    for secret in secrets {
        // A log that cannot be written shows nothing either.
        let _ = log.mask(secret);
    }
    let redactor = Redactor::new(inputs.secrets().chain(secrets).chain(likely));
    log.redact(redactor.clone());
    redactor
}

/// What a message needs that no run goes beside: where it all happens, whom to tell, and what the event says of the run.
pub fn message<W: Write>(inputs: &Inputs, env: &RunnerEnv, log: &mut Log<W>) -> (Context, Chat, RunState) {
    let context = context(inputs, env);
    let chat = Chat::new(inputs);
    let secrets: Vec<Secret> = chat.secrets().into_iter().chain(env.secrets()).collect();
    let info = run_info(&context, &mask(inputs, &secrets, &likely::of_environment(env), log));
    (context, chat, RunState::new(info, Utc::now()))
}

/// What the messages tell about the run, without the secrets that someone may have written into a commit message.
pub fn run_info(context: &Context, redactor: &Redactor) -> RunInfo {
    let mut info = context.event.run_info();
    let RunInfo { repository: _, workflow, actor, event_name: _, ref_name, sha: _, subject, .. } = &mut info;
    for text in [workflow, actor, ref_name, subject] {
        *text = redactor.redact(text);
    }
    info
}

/// Asks GitHub for what labels and rules need and the event does not tell. What it does not answer stays unknown: a
/// build must not fail over a label. Takes no longer than `limit`.
pub async fn learn(event: &mut GitEvent, inputs: &Inputs, env: &RunnerEnv, limit: Duration) {
    let Some(client) = inquiry::client(inputs, env, event) else { return };
    // Payloads that have the repository have all of it.
    let facts = async {
        if event.default_branch.is_some() {
            return None;
        }
        timeout(limit, repository::repository(&client)).await.ok()?.ok()
    };
    let tags = &inputs.names.tags;
    let sha = match (tags.dialect, tags.sha.of_pull_request) {
        (Dialect::Exact, PullRequestSha::Merge) => &event.workflow_sha,
        _ => &event.sha,
    };
    let time = async {
        if event.commit_time.is_some() || sha.is_empty() {
            return None;
        }
        timeout(limit, repository::commit_time(&client, sha)).await.ok()?.ok().flatten()
    };
    let (facts, time) = futures_util::future::join(facts, time).await;
    if let Some(facts) = facts {
        event.default_branch = facts.default_branch;
        event.description = facts.description.filter(|text| !text.trim().is_empty());
        event.license = facts.license.and_then(|license| license.spdx_id);
    }
    event.commit_time = time.or_else(|| event.commit_time.take());
}

/// The plan, made on a thread of its own: a hostile checkout must not keep the run from its signals and its time limit.
/// Whoever stops waiting leaves the thread behind; it ends with the process. `git_tags` are the repository's, or why they
/// are unknown; `None` if they were not asked for.
pub async fn plan_apart(
    inputs: &Inputs,
    env: &RunnerEnv,
    context: &Context,
    git_tags: Option<Result<Vec<String>, String>>,
) -> Result<Plan, Failure> {
    let (inputs, env, context) = (inputs.clone(), env.clone(), context.clone());
    apart(move || {
        let git_tags = match &git_tags {
            None => GitTags::Unasked,
            Some(Ok(tags)) => GitTags::Known(tags),
            Some(Err(_)) => GitTags::Unreadable,
        };
        plan(&inputs, &env, &context, git_tags)
    })
    .await
}

/// Does work that may take long on a thread of its own.
pub async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is being shut down, and whoever waits here with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// The plan, or why there is none. `git_tags` are the repository's.
pub fn plan(inputs: &Inputs, env: &RunnerEnv, context: &Context, git_tags: GitTags<'_>) -> Result<Plan, Failure> {
    checkout::is_there(context)?;
    let boundary = trust::boundary(inputs, env, context);
    // Places of errors are relative to the project; annotations are relative to the repository.
    let in_repository =
        |place: Place| Place { file: compose::join(&inputs.project.working_directory, &place.file), ..place };
    let project = compose_project(inputs, env, context, &boundary).map_err(|error| Failure {
        place: error.place().map(in_repository),
        ..Failure::invalid(Stage::Plan, error.to_string(), error.hint())
    })?;
    let lone_name = if context.event.repo.is_empty() { directory_name(context) } else { context.event.repo.clone() };
    let wanted = in_project(&inputs.project, &context.project);
    let images = images::images(project.as_ref(), &wanted, &inputs.build, &lone_name)
        .map_err(|error| Failure::invalid(Stage::Plan, error.to_string(), None))?;
    let kind = if project.is_none() && inputs.project.images.is_empty() {
        naming::Project::LoneDockerfile
    } else {
        naming::Project::Images
    };
    let mut warnings = project.map(|project| project.warnings).unwrap_or_default();
    warnings.extend(checkout::differs(context));
    let known = Known { event: &context.event, git_tags, now: Utc::now() };
    let specs = images.clone();
    let plan = Plan::new(inputs, known, Found { images, project: kind, warnings })?;
    match trust::refused(&plan, &specs, &boundary, (inputs, env, context), in_repository) {
        Some(failure) => Err(failure),
        None => Ok(plan),
    }
}

/// What the pipeline needs of the world. The run leaves its `seats` when it is over.
pub fn edges(
    plan: &Plan,
    inputs: &Inputs,
    env: &RunnerEnv,
    context: &Context,
    credentials: Credentials,
    seats: Seats,
) -> Edges {
    let secrets = plan.images.iter().map(|image| {
        let all = image.build.secrets.iter().filter_map(|secret| build_secret(secret, inputs, env, context));
        (image.name.clone(), git_token(&image.build, inputs, env).into_iter().chain(all).collect())
    });
    Edges {
        project: context.project.clone(),
        place: inputs.project.working_directory.clone(),
        docker_host: env.var("DOCKER_HOST").map(str::to_owned),
        credentials,
        secrets: secrets.collect(),
        builder: inputs.registry.builder.clone(),
        container: inputs.registry.container.clone(),
        accounts: accounts(inputs, env),
        mounts: mounts(env),
        seats,
        ssh: plan.images.iter().map(|image| (image.name.clone(), agents(&image.build.ssh, env, context))).collect(),
        branch: branch(plan, inputs, env, context),
    }
}

/// The branch whose tags must not move backwards, if there is somebody to ask about it.
fn branch(plan: &Plan, inputs: &Inputs, env: &RunnerEnv, context: &Context) -> Option<Branch> {
    if !plan.push.enabled || inputs.registry.when_superseded == WhenSuperseded::Publish {
        return None;
    }
    let Question { branch, sha } = superseded::question(&context.event)?;
    let client = inquiry::client(inputs, env, &context.event)?;
    Some(Branch { client, name: branch.to_owned(), sha: sha.to_owned() })
}

/// What opens the caches that are kept neither in a registry nor in the builder.
fn accounts(inputs: &Inputs, env: &RunnerEnv) -> Accounts {
    let s3 = [
        ("access_key_id", "AWS_ACCESS_KEY_ID"),
        ("secret_access_key", "AWS_SECRET_ACCESS_KEY"),
        ("session_token", "AWS_SESSION_TOKEN"),
        ("region", "AWS_REGION"),
    ];
    let s3 = s3.into_iter().filter_map(|(attribute, name)| Some((attribute, Secret::new(env.var(name)?))));
    Accounts { github: inputs.registry.caches.service.clone(), s3: s3.collect() }
}

/// The runner's own directories that are mounted into our container: `$RUNNER_WORKSPACE` is the one path of the host
/// that the runner leaves as it is.
pub(super) fn mounts(env: &RunnerEnv) -> Vec<(PathBuf, PathBuf)> {
    let Some(of_repository) = env.var("RUNNER_WORKSPACE").map(PathBuf::from) else { return Vec::new() };
    let workspace = env.workspace().map(|here| (of_repository.join(env.repository().1), PathBuf::from(here)));
    let temp = of_repository.parent().zip(env.temp()).map(|(work, here)| (work.join("_temp"), PathBuf::from(here)));
    workspace.into_iter().chain(temp).collect()
}

/// Where the agents of an image are.
fn agents(keys: &[compose::SshKey], env: &RunnerEnv, context: &Context) -> Vec<(String, AgentSource)> {
    let source = |path: &Option<String>| match path {
        None => AgentSource::Environment(env.var("SSH_AUTH_SOCK").map(PathBuf::from)),
        Some(paths) => AgentSource::Files(paths.split(',').map(|path| reachable(path.trim(), env, context)).collect()),
    };
    keys.iter().map(|key| (key.id.clone(), source(&key.path))).collect()
}

/// A file that the user names, relative to the project.
///
/// `${{ runner.temp }}` is a path of the host, which the runner translates where it is a whole value and nowhere else.
pub(super) fn reachable(path: &str, env: &RunnerEnv, context: &Context) -> PathBuf {
    let resolved = context.project.join(path);
    let in_temp = || Some(PathBuf::from(env.temp()?).join(path.split_once("/_temp/")?.1));
    if resolved.exists() { resolved } else { in_temp().filter(|path| path.exists()).unwrap_or(resolved) }
}

/// The job's token, for contexts that are Git repositories on the job's own GitHub server. BuildKit asks for it by this
/// name (<https://github.com/moby/buildkit/blob/master/source/git/source.go>).
///
/// Any step of the build may mount it, so that only contexts which an input names make it one of the build's secrets.
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

/// Where a secret's value is: the inputs win over the compose file. One without a value is left out, and the build
/// says so if it needs it.
fn build_secret(
    secret: &compose::BuildSecret,
    inputs: &Inputs,
    env: &RunnerEnv,
    context: &Context,
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

/// The same with absolute paths in the project, such as `${{ github.workspace }}/web`, seen from it.
fn in_project(wanted: &ProjectInputs, project: &Path) -> ProjectInputs {
    let mut wanted = wanted.clone();
    let paths = wanted.lone.iter_mut().flat_map(|lone| [&mut lone.context, &mut lone.file]);
    for path in paths.flatten() {
        if let Some(below) = Path::new(path.as_str()).strip_prefix(project).ok().and_then(Path::to_str) {
            *path = if below.is_empty() { ".".to_owned() } else { below.to_owned() };
        }
    }
    wanted
}

/// The compose project, if there is one: without a file that is named or found, `images:` or a lone Dockerfile do.
fn compose_project(
    inputs: &Inputs,
    env: &RunnerEnv,
    context: &Context,
    boundary: &Boundary,
) -> Result<Option<compose::Project>, ComposeError> {
    let wanted = &inputs.project;
    let files = Directory::new(&context.project).within(boundary.clone(), trust::named_files(wanted));
    if wanted.lone.is_some() {
        return Ok(None);
    }
    let lone = || ["Dockerfile", "dockerfile"].iter().any(|name| context.project.join(name).is_file());
    let can_do_without = !wanted.images.is_empty() || lone();
    if wanted.compose_files.is_empty() && can_do_without && compose::discover(&files)?.is_none() {
        return Ok(None);
    }
    let (open, withheld) = visible(env);
    let request = compose::Request {
        files: wanted.compose_files.clone(),
        env: open,
        withheld,
        env_files: (!wanted.env_files.is_empty()).then(|| wanted.env_files.clone()),
        profiles: wanted.profiles.clone(),
        default_name: directory_name(context),
    };
    compose::load(&request, &files).map(Some)
}

/// What `${VAR}` in compose files may name: the workflow's own variables and what the runner says of the run, but no
/// input, token or credential, which a pull request could otherwise write into a build argument.
fn visible(env: &RunnerEnv) -> (BTreeMap<String, String>, BTreeSet<String>) {
    let (mut open, mut withheld) = (BTreeMap::new(), BTreeSet::new());
    for (name, value) in env.vars() {
        match Owner::of(name) {
            // What machine it is, and where its directories are.
            Owner::Workflow => drop(open.insert(name.to_owned(), value.to_owned())),
            Owner::Internal if name.starts_with("RUNNER_") => drop(open.insert(name.to_owned(), value.to_owned())),
            Owner::Credential | Owner::Internal => drop(withheld.insert(name.to_owned())),
        }
    }
    (open, withheld)
}

fn directory_name(context: &Context) -> String {
    context.project.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::in_project;
    use crate::inputs::{cli::RawInputs, parse::parse, runner::RunnerEnv};

    #[test]
    fn an_absolute_path_in_the_project_is_seen_from_it() {
        for (context, want) in
            [("/work/site/web", "web"), ("/work/site/", "."), ("/work/other", "/work/other"), ("a", "a")]
        {
            let mut raw = RawInputs::default();
            raw.set("context", context).unwrap();
            let inputs = parse(&raw, &RunnerEnv::default()).unwrap();
            let lone = in_project(&inputs.project, Path::new("/work/site/.")).lone.unwrap();
            assert_eq!(lone.context.as_deref(), Some(want));
        }
    }
}
