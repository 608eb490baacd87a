//! Makes the plan from the inputs and the compose files; reads nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use chrono::Utc;

use super::{
    checkout, development, elsewhere,
    job::{JobContext, directory_name},
    trust,
};
use crate::{
    boundary::{Boundary, NamedBy},
    compose::{self, ComposeError},
    compose_files::Directory,
    domain::{diagnostic::Place, failure::Failure, stage::Stage},
    inputs::{
        runner::{Owner, RunnerEnv},
        targets::{self, TargetInput},
        typed::{CommandInput, Inputs, ProjectInputs, TargetsInput},
    },
    plan::{
        Found, Known, Plan,
        images::{self, ImagesError},
        naming,
    },
    regular_file,
    tags::GitTags,
};

/// Maximum size of a file with deploy targets in bytes.
const LARGEST_TARGETS: u64 = 1 << 20;

/// Makes the plan on its own thread: a hostile checkout must not delay signals and the time limit of the run. If the
/// future is dropped, the thread continues until the process ends. `git_tags` are the repository's tags, or the error
/// of the request; `None` if they were not requested.
pub async fn plan_apart(
    inputs: &Inputs,
    env: &RunnerEnv,
    context: &JobContext,
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

/// Runs long work on its own thread.
pub async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and the waiting task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Makes the plan. `git_tags` are the repository's tags.
pub fn plan(inputs: &Inputs, env: &RunnerEnv, context: &JobContext, git_tags: GitTags<'_>) -> Result<Plan, Failure> {
    let boundary = trust::boundary(inputs, env, context);
    let known = Known { event: &context.event, git_tags, now: Utc::now() };
    if inputs.command == CommandInput::Rollback {
        // The targets know their releases, so it must work whatever state the checkout is in.
        let targets = targets(inputs, context, &boundary)?;
        return Ok(Plan::new(inputs, known, Found::only(targets))?);
    }
    checkout::is_there(context)?;
    // Positions of errors are relative to the project; annotations are relative to the repository.
    let in_repository =
        |place: Place| Place { file: compose::join(&inputs.project.working_directory, &place.file), ..place };
    let (project, mut notices) = compose_project(inputs, env, context, &boundary).map_err(|error| Failure {
        place: error.place().map(in_repository),
        ..Failure::invalid(Stage::Plan, error.to_string(), hint_for(&error, context))
    })?;
    let lone_name =
        if context.event.repo.is_empty() { directory_name(env, context) } else { context.event.repo.clone() };
    let wanted = in_project(&inputs.project, &context.project);
    let images = images::images(project.as_ref(), &wanted, &inputs.build, &lone_name).map_err(|error| {
        let elsewhere = matches!(error, ImagesError::Nothing { .. }).then(|| elsewhere::hint(&context.project));
        Failure::invalid(Stage::Plan, error.to_string(), elsewhere.flatten())
    })?;
    let kind = if project.is_none() && inputs.project.images.is_empty() {
        naming::Project::LoneDockerfile
    } else {
        naming::Project::Images
    };
    let (mut warnings, unset, compose_files) = match project {
        Some(project) => {
            notices.extend(project.notices);
            (project.warnings, project.unset, project.files)
        }
        None => Default::default(),
    };
    warnings.extend(checkout::differs(context));
    let targets = targets(inputs, context, &boundary)?;
    let specs = images.clone();
    let mut plan = Plan::new(inputs, known, Found { images, project: kind, warnings, notices, targets })?;
    // Inputs that select the images show that the choice was made by a person.
    let by = &inputs.project;
    if by.lone.is_none() && by.compose_files.is_empty() && by.services.is_empty() && by.images.is_empty() {
        plan.warnings.extend(development::warnings(&plan, &context.project, &compose_files));
    }
    match trust::refused(&plan, &specs, &boundary, (inputs, env, context), &unset, in_repository) {
        Some(failure) => Err(failure),
        None => Ok(plan),
    }
}

/// Makes absolute paths in the project, such as `${{ github.workspace }}/web`, relative to it.
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

/// Reads the compose project, if any, and returns notices about the choice. Without a compose file, `images:` or a single
/// Dockerfile define the images; with one that builds nothing, too.
fn compose_project(
    inputs: &Inputs,
    env: &RunnerEnv,
    context: &JobContext,
    boundary: &Boundary,
) -> Result<(Option<compose::Project>, Vec<String>), ComposeError> {
    let wanted = &inputs.project;
    let files = Directory::new(&context.project).within(boundary.clone(), trust::named_files(wanted));
    if wanted.lone.is_some() {
        return Ok((None, Vec::new()));
    }
    // A pipe counts, so that the error about it names it.
    let is_there = |name: &&str| fs::metadata(context.project.join(name)).is_ok_and(|found| !found.is_dir());
    let lone = || ["Dockerfile", "dockerfile"].iter().any(is_there);
    let can_do_without = wanted.compose_files.is_empty() && (!wanted.images.is_empty() || lone());
    let (open, withheld) = visible(env, context);
    let request = compose::Request {
        files: wanted.compose_files.clone(),
        env: open,
        withheld,
        env_files: (!wanted.env_files.is_empty()).then(|| wanted.env_files.clone()),
        profiles: wanted.profiles.clone(),
        default_name: directory_name(env, context),
    };
    let mut project = match compose::load(&request, &files) {
        Err(ComposeError::NoFile { .. }) if can_do_without => return Ok((None, Vec::new())),
        loaded => loaded?,
    };
    if can_do_without && project.services.iter().chain(&project.disabled).all(|service| service.build.is_none()) {
        let what = if wanted.images.is_empty() { "the Dockerfile next to it is built" } else { "it is ignored" };
        return Ok((None, vec![format!("no service of {} has `build`, so {what}", project.files.join(", "))]));
    }
    seen_from(&context.project, &mut project);
    Ok((Some(project), Vec::new()))
}

/// Returns the hint for an error. If nothing to build was found, it names files elsewhere in the checkout.
fn hint_for(error: &ComposeError, context: &JobContext) -> Option<String> {
    let elsewhere = matches!(error, ComposeError::NoFile { .. }).then(|| elsewhere::hint(&context.project)).flatten();
    elsewhere.or_else(|| error.hint())
}

/// Returns the targets of the input `deploy`, for the post stage.
///
/// # Errors
/// If they cannot be read.
pub fn targets_of(inputs: &Inputs, env: &RunnerEnv, context: &JobContext) -> Result<Vec<TargetInput>, Failure> {
    targets(inputs, context, &trust::boundary(inputs, env, context))
}

/// Returns the targets of the input `deploy`, which may name a file of the checkout.
fn targets(inputs: &Inputs, context: &JobContext, boundary: &Boundary) -> Result<Vec<TargetInput>, Failure> {
    let path = match &inputs.deploy.targets {
        TargetsInput::None => return Ok(Vec::new()),
        TargetsInput::Listed(targets) => return Ok(targets.clone()),
        TargetsInput::File(path) => path,
    };
    let invalid = |problem: String, hint: Option<String>| {
        Failure::invalid(Stage::Plan, format!("input `deploy`: {path}: {problem}"), hint)
    };
    let full = context.project.join(path);
    if let Err(real) = boundary.check(&full, NamedBy::Input) {
        return Err(invalid(format!("{} is outside the checkout", real.display()), None));
    }
    let text = regular_file::read_text(&full, LARGEST_TARGETS).map_err(|error| invalid(error.to_string(), None))?;
    targets::targets(&text).map_err(|mistakes| {
        let all: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        invalid(all.join("\n"), None)
    })
}

/// Makes absolute paths in the project, such as `${PWD}/web`, relative to it.
fn seen_from(directory: &Path, project: &mut compose::Project) {
    let relative = |path: &mut String| {
        if let Some(below) = Path::new(path.as_str()).strip_prefix(directory).ok().and_then(Path::to_str) {
            *path = if below.is_empty() { ".".to_owned() } else { below.to_owned() };
        }
    };
    for build in project.services.iter_mut().chain(&mut project.disabled).filter_map(|service| service.build.as_mut()) {
        relative(&mut build.context);
        for (_, source) in &mut build.additional_contexts {
            if let compose::ContextSource::Path(path) = source {
                relative(path);
            }
        }
    }
}

/// Returns the variables that `${VAR}` in compose files can use: the workflow's variables and the runner's facts about
/// the run, but no input, token or credential, which a pull request could otherwise write into a build argument.
fn visible(env: &RunnerEnv, context: &JobContext) -> (BTreeMap<String, String>, BTreeSet<String>) {
    let (mut open, mut withheld) = (BTreeMap::new(), BTreeSet::new());
    for (name, value) in env.vars() {
        match Owner::of(name) {
            // The runner's machine and directories.
            Owner::Workflow => drop(open.insert(name.to_owned(), value.to_owned())),
            Owner::Internal if name.starts_with("RUNNER_") => drop(open.insert(name.to_owned(), value.to_owned())),
            Owner::Credential | Owner::Internal => drop(withheld.insert(name.to_owned())),
        }
    }
    // A shell sets it for Compose; a container action has no shell.
    open.insert("PWD".to_owned(), context.project.components().as_path().display().to_string());
    (open, withheld)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::in_project;
    use crate::inputs::{cli::RawInputs, parse::parse, runner::RunnerEnv};

    #[test]
    fn a_rollback_needs_no_valid_checkout() {
        let checkout = tempfile::tempdir().unwrap();
        std::fs::write(checkout.path().join("compose.yaml"), "services: [").unwrap();
        let plan = |command: &str| {
            let mut raw = RawInputs::default();
            raw.set("command", command).unwrap();
            raw.set("deploy", "compose: ssh://deploy@shop.example/srv/shop").unwrap();
            let env = RunnerEnv::new([("GITHUB_WORKSPACE", checkout.path())]);
            let inputs = parse(&raw, &env).unwrap();
            let context = crate::run::job::context(&inputs, &env);
            super::plan(&inputs, &env, &context, crate::tags::GitTags::Unasked).map(|plan| plan.deploy.len())
        };
        assert_eq!(plan("rollback"), Ok(1));
        assert!(plan("deploy").is_err());
    }

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
