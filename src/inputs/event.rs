//! Describes the event on GitHub that started this run.

use crate::domain::{
    diagnostic::{Diagnostic, Severity},
    git_event::{GitEvent, GitRef},
};

use super::{
    payload::Payload,
    runner::{DEFAULT_BRANCH, RunnerEnv},
};

/// Builds the event from the runner's variables and the payload. `job_id` is the value of the input `job-id`.
pub fn git_event(env: &RunnerEnv, payload: &Payload, job_id: Option<&str>) -> GitEvent {
    let var = |name: &str| env.var(name).unwrap_or_default().to_owned();
    let name = var("GITHUB_EVENT_NAME");
    let reference = var("GITHUB_REF");
    let git_ref = git_ref(&name, &reference, payload);
    let pull_request = payload.pull_request.as_ref();
    let head = pull_request.and_then(|request| request.head.as_ref());
    let sha = head
        .filter(|_| matches!(git_ref, GitRef::PullRequest(_)))
        .and_then(|head| head.sha.clone())
        .filter(|sha| is_sha(sha))
        .unwrap_or_else(|| var("GITHUB_SHA"));
    let repository = payload.repository.clone().unwrap_or_default();
    let (owner, repo) = env.repository();
    let repo_url = match (env.var("GITHUB_SERVER_URL"), env.var("GITHUB_REPOSITORY")) {
        (Some(server), Some(full)) => format!("{}/{full}", server.trim_end_matches('/')),
        _ => String::new(),
    };
    let below = |tail: String| if repo_url.is_empty() { String::new() } else { format!("{repo_url}/{tail}") };
    let run_url = env.var("GITHUB_RUN_ID").map_or_else(String::new, |id| {
        let attempt = env.var("GITHUB_RUN_ATTEMPT").unwrap_or("1");
        below(format!("actions/runs/{id}/attempts/{attempt}"))
    });
    let job_url = match (env.var("GITHUB_RUN_ID"), job_id.filter(|id| id.bytes().all(|b| b.is_ascii_digit()))) {
        (Some(run), Some(job)) if !job.is_empty() => below(format!("actions/runs/{run}/job/{job}")),
        _ => run_url.clone(),
    };
    let commit = payload.commit(&sha);
    let base = pull_request.and_then(|request| request.base.as_ref()).and_then(|base| base.reference.clone());
    let lies_on = payload.base_ref.as_deref().map(|full| full.strip_prefix("refs/heads/").unwrap_or(full).to_owned());
    GitEvent {
        workflow_sha: var("GITHUB_SHA"),
        base_ref: lies_on.or(base),
        is_fork_pr: is_from_fork(payload),
        base_branch: env.var("GITHUB_BASE_REF").map(str::to_owned),
        head_repository: head.and_then(|head| head.repo.as_ref()?.full_name.clone()),
        default_branch: repository.default_branch.or_else(|| env.var(DEFAULT_BRANCH).map(str::to_owned)),
        owner: owner.to_owned(),
        repo: repo.to_owned(),
        commit_url: if sha.is_empty() { String::new() } else { below(format!("commit/{sha}")) },
        description: repository.description.filter(|text| !text.trim().is_empty()),
        license: repository.license.and_then(|license| license.spdx_id),
        commit_time: commit.and_then(|commit| commit.timestamp.clone()),
        subject: subject(payload, commit.and_then(|commit| commit.message.as_deref())),
        actor: var("GITHUB_ACTOR"),
        workflow: var("GITHUB_WORKFLOW"),
        name,
        reference,
        sha,
        git_ref,
        repo_url,
        run_url,
        job_url,
    }
}

/// Parses the contents of the file at `GITHUB_EVENT_PATH`. If the payload is missing or invalid, titles and labels are
/// missing too, but the build continues. In an action, that is a warning.
pub fn payload_of(env: &RunnerEnv, contents: Result<&str, &std::io::Error>) -> (Payload, Option<Diagnostic>) {
    let path = env.var("GITHUB_EVENT_PATH").unwrap_or("GITHUB_EVENT_PATH");
    let why = match contents.map(Payload::read) {
        Ok(Ok(payload)) => return (payload, None),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    let warning = env.is_github_actions().then(|| Diagnostic {
        severity: Severity::Warning,
        title: "event payload not readable".to_owned(),
        message: format!(
            "{path}: {why}; default branch, commit message and pull request number may be unknown. A runner that \
             itself runs in a container must mount its work directory at the same path as on the host"
        ),
        place: None,
    });
    (Payload::default(), warning)
}

fn git_ref(name: &str, reference: &str, payload: &Payload) -> GitRef {
    let number = payload.pull_request.as_ref().and_then(|request| request.number);
    let in_ref = || reference.strip_prefix("refs/pull/")?.split('/').next()?.parse().ok();
    // When a pull request is closed by merging it, the run is for the branch that it was merged into.
    let merged = name == "pull_request" && reference.starts_with("refs/heads/");
    if name.starts_with("pull_request")
        && !merged
        && let Some(number) = number.or_else(in_ref)
    {
        return GitRef::PullRequest(number);
    }
    if let Some(branch) = reference.strip_prefix("refs/heads/") {
        if name == "merge_group"
            && let Some(number) = merge_group_number(branch)
        {
            return GitRef::MergeGroup(number);
        }
        return GitRef::Branch(branch.to_owned());
    }
    match (reference.strip_prefix("refs/tags/"), in_ref()) {
        (Some(tag), _) => GitRef::Tag(tag.to_owned()),
        (None, Some(number)) => GitRef::PullRequest(number),
        (None, None) => GitRef::Unknown,
    }
}

/// Returns the pull request's number in `gh-readonly-queue/<base>/pr-<number>-<sha>`.
fn merge_group_number(branch: &str) -> Option<u64> {
    let (number, _sha) = branch.rsplit('/').next()?.strip_prefix("pr-")?.split_once('-')?;
    number.parse().ok()
}

fn is_from_fork(payload: &Payload) -> bool {
    let Some(request) = &payload.pull_request else { return false };
    let name = |side: &Option<super::payload::Side>| side.as_ref()?.repo.as_ref()?.full_name.clone();
    let base = name(&request.base).or_else(|| payload.repository.as_ref()?.full_name.clone());
    // A deleted fork has no repository.
    name(&request.head) != base
}

fn subject(payload: &Payload, commit_message: Option<&str>) -> String {
    let title = payload.pull_request.as_ref().and_then(|request| request.title.as_deref());
    let release = payload.release.as_ref().and_then(|release| release.name.as_deref());
    let text = title.or(commit_message).or(release).unwrap_or_default();
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

fn is_sha(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}
