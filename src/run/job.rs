//! The job that the program runs in: the event, and where the checkout is.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    domain::{diagnostic::Diagnostic, git_event::GitEvent, redact::Redactor, run::RunInfo},
    inputs::{
        event::{git_event, payload_of},
        runner::RunnerEnv,
        typed::Inputs,
    },
    regular_file,
};

/// Maximum size of an event's payload in bytes. GitHub sends 25 MB at most.
const LARGEST_PAYLOAD: u64 = 32 << 20;

/// The event and the directories of a run.
#[derive(Clone, Debug)]
pub struct JobContext {
    /// The event on GitHub.
    pub event: GitEvent,
    /// The checkout, absolute.
    pub workspace: PathBuf,
    /// The project's directory in the checkout, absolute.
    pub project: PathBuf,
    /// Warnings about the event and the checkout.
    pub warnings: Vec<Diagnostic>,
}

/// Reads the event and locates the project.
pub fn context(inputs: &Inputs, env: &RunnerEnv) -> JobContext {
    let event = Path::new(env.var("GITHUB_EVENT_PATH").unwrap_or_default());
    let contents = regular_file::read_text(event, LARGEST_PAYLOAD).map_err(io::Error::other);
    let (payload, warning) = payload_of(env, contents.as_deref());
    // Outside an action, the workspace is the current directory.
    let here = || fs::canonicalize(".").unwrap_or_else(|_| PathBuf::from("."));
    let workspace = env.workspace().map_or_else(here, PathBuf::from);
    JobContext {
        event: git_event(env, &payload, inputs.github.job_id.as_deref()),
        project: workspace.join(&inputs.project.working_directory),
        workspace,
        warnings: inputs.warnings.iter().cloned().chain(warning).collect(),
    }
}

/// Returns the facts about the run for messages, without secrets that a commit message may contain.
pub fn run_info(context: &JobContext, redactor: &Redactor) -> RunInfo {
    let mut info = context.event.run_info();
    let RunInfo { repository: _, workflow, actor, event_name: _, ref_name, sha: _, subject, .. } = &mut info;
    for text in [workflow, actor, ref_name, subject] {
        *text = redactor.redact(text);
    }
    info
}

/// Returns the runner's directories that are mounted into the action's container. `$RUNNER_WORKSPACE` is the only path
/// of the host that the runner does not translate.
pub(super) fn mounts(env: &RunnerEnv) -> Vec<(PathBuf, PathBuf)> {
    let Some(of_repository) = env.var("RUNNER_WORKSPACE").map(PathBuf::from) else { return Vec::new() };
    let workspace = env.workspace().map(|here| (of_repository.join(env.repository().1), PathBuf::from(here)));
    let temp = of_repository.parent().zip(env.temp()).map(|(work, here)| (work.join("_temp"), PathBuf::from(here)));
    workspace.into_iter().chain(temp).collect()
}

/// Resolves the path of a file that the user names, relative to the project.
///
/// `${{ runner.temp }}` is a path of the host, which the runner translates only if it is the whole value.
pub(super) fn reachable(path: &str, env: &RunnerEnv, context: &JobContext) -> PathBuf {
    let resolved = context.project.join(path);
    let in_temp = || Some(PathBuf::from(env.temp()?).join(path.split_once("/_temp/")?.1));
    if resolved.exists() { resolved } else { in_temp().filter(|path| path.exists()).unwrap_or(resolved) }
}

/// Returns the name of the project's directory, as the job's other steps see it: in the action's container, the
/// workspace has another name.
pub(super) fn directory_name(env: &RunnerEnv, context: &JobContext) -> String {
    let is_workspace = context.project.components().eq(context.workspace.components());
    if is_workspace && env.var("RUNNER_WORKSPACE").is_some() && !env.repository().1.is_empty() {
        return env.repository().1.to_owned();
    }
    context.project.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
