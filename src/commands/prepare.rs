//! From inputs to a plan: reads the event, the compose files and nothing else.

use std::{collections::BTreeMap, fs, path::PathBuf};

use chrono::Utc;

use crate::{
    build::session::BuildSecret,
    compose::{self, ComposeError, SecretSource},
    compose_files::Directory,
    domain::{
        credentials::{Credentials, Login},
        event::{Diagnostic, Place},
        run::{Failure, Stage},
        secret::Secret,
    },
    github::repository,
    inputs::{
        context::{GitEvent, payload_of},
        rules::{Dialect, PullRequestSha},
        runner::RunnerEnv,
        typed::Inputs,
    },
    plan::{Found, Known, Plan, images, naming},
    preflight::Edges,
};

/// Where the run happens and why.
#[derive(Debug)]
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
    let contents = fs::read_to_string(env.var("GITHUB_EVENT_PATH").unwrap_or_default());
    let (payload, warning) = payload_of(env, contents.as_deref());
    // Outside an action, the workspace is where the program was called.
    let here = || fs::canonicalize(".").unwrap_or_else(|_| PathBuf::from("."));
    let workspace = env.workspace().map_or_else(here, PathBuf::from);
    Context {
        event: GitEvent::new(env, &payload, inputs.github.job_id.as_deref()),
        project: workspace.join(&inputs.project.working_directory),
        workspace,
        warnings: inputs.warnings.iter().cloned().chain(warning).collect(),
    }
}

/// Asks GitHub for what labels and rules need and the event does not tell. What it does not answer stays unknown: a
/// build must not fail over a label.
pub async fn learn(event: &mut GitEvent, inputs: &Inputs, env: &RunnerEnv) {
    let (Some(token), Some(api)) = (&inputs.github.token, env.var("GITHUB_API_URL")) else { return };
    if event.owner.is_empty() {
        return;
    }
    let (owner, repo) = (event.owner.as_str(), event.repo.as_str());
    // Payloads that have the repository have all of it.
    let facts = async {
        if event.default_branch.is_some() {
            return None;
        }
        repository::repository(api, token, owner, repo).await.ok()
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
        repository::commit_time(api, token, owner, repo, sha).await.ok().flatten()
    };
    let (facts, time) = futures_util::future::join(facts, time).await;
    if let Some(facts) = facts {
        event.default_branch = facts.default_branch;
        event.description = facts.description.filter(|text| !text.trim().is_empty());
        event.license = facts.license.and_then(|license| license.spdx_id);
    }
    event.commit_time = time.or_else(|| event.commit_time.take());
}

/// The plan, or why there is none. `git_tags` are the repository's, if they are known.
pub fn plan(inputs: &Inputs, env: &RunnerEnv, context: &Context, git_tags: Option<&[String]>) -> Result<Plan, Failure> {
    checkout(context)?;
    let project = compose_project(inputs, env, context).map_err(|error| {
        // Places of errors are relative to the project; annotations are relative to the repository.
        let in_repository =
            |place: Place| Place { file: compose::join(&inputs.project.working_directory, &place.file), ..place };
        Failure { place: error.place().map(in_repository), ..Failure::new(Stage::Plan, error.to_string(), None) }
    })?;
    let lone_name = if context.event.repo.is_empty() { directory_name(context) } else { context.event.repo.clone() };
    let images = images::images(project.as_ref(), &inputs.project, &inputs.build, &lone_name)
        .map_err(|error| Failure::new(Stage::Plan, error.to_string(), None))?;
    let kind = if project.is_none() && inputs.project.images.is_empty() {
        naming::Project::LoneDockerfile
    } else {
        naming::Project::Images
    };
    let warnings = project.map(|project| project.warnings).unwrap_or_default();
    let known = Known { event: &context.event, git_tags, now: Utc::now() };
    Ok(Plan::new(inputs, known, Found { images, project: kind, warnings })?)
}

/// What the pipeline needs of the world.
pub fn edges(plan: &Plan, inputs: &Inputs, env: &RunnerEnv, context: &Context) -> Edges {
    let mut credentials = Credentials::default();
    for given in &inputs.registry.credentials {
        let login = Login { username: given.username.clone(), password: given.password.clone() };
        credentials.insert(&given.registry, login);
    }
    let secrets = plan.images.iter().map(|image| {
        let all = &image.build.secrets;
        (image.name.clone(), all.iter().filter_map(|secret| build_secret(secret, inputs, env, context)).collect())
    });
    Edges {
        project: context.project.clone(),
        place: inputs.project.working_directory.clone(),
        docker_host: env.var("DOCKER_HOST").map(str::to_owned),
        credentials,
        secrets: secrets.collect(),
    }
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
            BuildSecret::File(context.project.join(path))
        }
        (None, None, SecretSource::Environment(name)) => BuildSecret::Value(Secret::new(env.var(name)?)),
        (None, None, SecretSource::External) => return None,
    };
    Some((id.clone(), found))
}

/// A checkout that was forgotten is the commonest mistake of all, and no other message would say so.
fn checkout(context: &Context) -> Result<(), Failure> {
    let wrong = |headline: String, hint: &str| Err(Failure::new(Stage::Plan, headline, Some(hint.to_owned())));
    match fs::read_dir(&context.workspace).map(|mut entries| entries.next().is_none()) {
        Ok(false) if context.project.is_dir() => Ok(()),
        Ok(false) => wrong(
            format!("the working directory {} does not exist", context.project.display()),
            "check the input `working-directory`; it is relative to the repository",
        ),
        Ok(true) => wrong("the workspace is empty".to_owned(), "put `uses: actions/checkout@v5` before this step"),
        Err(error) => wrong(
            format!("read the workspace {}: {error}", context.workspace.display()),
            "put `uses: actions/checkout@v5` before this step",
        ),
    }
}

/// The compose project, if there is one: without a file that is named or found, `images:` or a lone Dockerfile do.
fn compose_project(
    inputs: &Inputs,
    env: &RunnerEnv,
    context: &Context,
) -> Result<Option<compose::Project>, ComposeError> {
    let files = Directory::new(&context.project);
    let wanted = &inputs.project;
    let can_do_without = !wanted.images.is_empty() || context.project.join("Dockerfile").is_file();
    if wanted.compose_files.is_empty() && can_do_without && compose::discover(&files)?.is_none() {
        return Ok(None);
    }
    let request = compose::Request {
        files: wanted.compose_files.clone(),
        env: compose_env(env),
        env_files: (!wanted.env_files.is_empty()).then(|| wanted.env_files.clone()),
        profiles: wanted.profiles.clone(),
        default_name: directory_name(context),
    };
    compose::load(&request, &files).map(Some)
}

/// What `${VAR}` in compose files may name: the environment without the action's inputs and the runner's tokens, which
/// a pull request could otherwise write into a build argument.
fn compose_env(env: &RunnerEnv) -> BTreeMap<String, String> {
    let open = |name: &str| !["INPUT_", "ACTIONS_", "STATE_"].iter().any(|prefix| name.starts_with(prefix));
    env.vars().filter(|(name, _)| open(name)).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn directory_name(context: &Context) -> String {
    context.project.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
