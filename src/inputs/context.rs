//! What happened on GitHub that started this run.

use crate::domain::{
    diagnostic::{Diagnostic, Severity},
    run::RunInfo,
};

use super::{payload::Payload, runner::RunnerEnv};

/// The event that started the run. Texts are untrusted: whoever opens a pull request chooses them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GitEvent {
    /// Event name, such as `push`; empty outside an action.
    pub name: String,
    /// Full name of what the workflow runs on, such as `refs/heads/main`; empty if unknown.
    pub reference: String,
    /// 40 hex digits: the commit that its author knows. For a pull request its newest commit, not the merge
    /// commit that GitHub made for the run. Empty if unknown.
    pub sha: String,
    /// `GITHUB_SHA`: the commit that the runner means. For a pull request the merge commit, or with
    /// `pull_request_target` the base's; else the same as `sha`.
    pub workflow_sha: String,
    /// What was pushed or is to be merged.
    pub target: Target,
    /// The repository's default branch, if known.
    pub default_branch: Option<String>,
    /// Short name of the branch that a pull request is for, or that a pushed tag lies on, if known.
    pub base_ref: Option<String>,
    /// Whether a pull request comes from another repository, so that the run has no secrets.
    pub is_fork_pr: bool,
    /// Short name of the branch that a pull request is to be merged into.
    pub base_branch: Option<String>,
    /// `owner/name` of the repository that a pull request comes from, if known.
    pub head_repository: Option<String>,
    /// Owner of the repository.
    pub owner: String,
    /// Name of the repository, without its owner.
    pub repo: String,
    /// Page of the repository, or empty.
    pub repo_url: String,
    /// What the repository is for, if known.
    pub description: Option<String>,
    /// SPDX identifier of the license, if known.
    pub license: Option<String>,
    /// When the commit was made, RFC 3339, if known.
    pub commit_time: Option<String>,
    /// First line of the commit message, or title; empty if unknown.
    pub subject: String,
    /// Who caused the event.
    pub actor: String,
    /// Name of the workflow.
    pub workflow: String,
    /// Page of this run at this attempt, or empty.
    pub run_url: String,
    /// Page of this job, else of the run.
    pub job_url: String,
    /// Page of the commit, or empty.
    pub commit_url: String,
}

/// What an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// A branch, by its short name.
    Branch(String),
    /// A tag, by its short name.
    Tag(String),
    /// A pull request, by its number.
    PullRequest(u64),
    /// A merge group, by the number of its last pull request.
    MergeGroup(u64),
    /// Not known, as on a developer's machine.
    #[default]
    Unknown,
}

impl GitEvent {
    /// Puts together what the runner's variables and the payload say. `job_id` is the input of that name.
    pub fn new(env: &RunnerEnv, payload: &Payload, job_id: Option<&str>) -> Self {
        let var = |name: &str| env.var(name).unwrap_or_default().to_owned();
        let name = var("GITHUB_EVENT_NAME");
        let reference = var("GITHUB_REF");
        let target = target(&name, &reference, payload);
        let pull_request = payload.pull_request.as_ref();
        let head = pull_request.and_then(|request| request.head.as_ref());
        let sha = head
            .filter(|_| matches!(target, Target::PullRequest(_)))
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
        let lies_on =
            payload.base_ref.as_deref().map(|full| full.strip_prefix("refs/heads/").unwrap_or(full).to_owned());
        Self {
            workflow_sha: var("GITHUB_SHA"),
            base_ref: lies_on.or(base),
            is_fork_pr: is_from_fork(payload),
            base_branch: env.var("GITHUB_BASE_REF").map(str::to_owned),
            head_repository: head.and_then(|head| head.repo.as_ref()?.full_name.clone()),
            default_branch: repository.default_branch,
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
            target,
            repo_url,
            run_url,
            job_url,
        }
    }

    /// Whether the run is for the default branch itself.
    pub fn is_default_branch(&self) -> bool {
        matches!((&self.target, &self.default_branch), (Target::Branch(branch), Some(default)) if branch == default)
    }

    /// Whether the run tries out something that is not merged, so that `push: auto` does not push.
    pub fn is_trial(&self) -> bool {
        matches!(self.target, Target::PullRequest(_) | Target::MergeGroup(_))
    }

    /// What the messages tell about the run.
    pub fn run_info(&self) -> RunInfo {
        RunInfo {
            repository: if self.owner.is_empty() { String::new() } else { format!("{}/{}", self.owner, self.repo) },
            workflow: self.workflow.clone(),
            actor: self.actor.clone(),
            event_name: self.name.clone(),
            ref_name: match &self.target {
                Target::Branch(name) | Target::Tag(name) => name.clone(),
                Target::PullRequest(number) | Target::MergeGroup(number) => format!("#{number}"),
                Target::Unknown => String::new(),
            },
            sha: self.sha.clone(),
            subject: self.subject.clone(),
            run_url: self.run_url.clone(),
            job_url: self.job_url.clone(),
            commit_url: self.commit_url.clone(),
        }
    }
}

/// Reads what was found at `GITHUB_EVENT_PATH`. A payload that is missing or broken costs titles and labels, not
/// the build, and is a warning; outside an action there is none to miss.
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

fn target(name: &str, reference: &str, payload: &Payload) -> Target {
    let number = payload.pull_request.as_ref().and_then(|request| request.number);
    let in_ref = || reference.strip_prefix("refs/pull/")?.split('/').next()?.parse().ok();
    // The run of a pull request that was closed by its merge is for the branch that it was merged into.
    let merged = name == "pull_request" && reference.starts_with("refs/heads/");
    if name.starts_with("pull_request")
        && !merged
        && let Some(number) = number.or_else(in_ref)
    {
        return Target::PullRequest(number);
    }
    if let Some(branch) = reference.strip_prefix("refs/heads/") {
        if name == "merge_group"
            && let Some(number) = merge_group_number(branch)
        {
            return Target::MergeGroup(number);
        }
        return Target::Branch(branch.to_owned());
    }
    match (reference.strip_prefix("refs/tags/"), in_ref()) {
        (Some(tag), _) => Target::Tag(tag.to_owned()),
        (None, Some(number)) => Target::PullRequest(number),
        (None, None) => Target::Unknown,
    }
}

/// The pull request's number in `gh-readonly-queue/<base>/pr-<number>-<sha>`.
fn merge_group_number(branch: &str) -> Option<u64> {
    let (number, _sha) = branch.rsplit('/').next()?.strip_prefix("pr-")?.split_once('-')?;
    number.parse().ok()
}

fn is_from_fork(payload: &Payload) -> bool {
    let Some(request) = &payload.pull_request else { return false };
    let name = |side: &Option<super::payload::Side>| side.as_ref()?.repo.as_ref()?.full_name.clone();
    let base = name(&request.base).or_else(|| payload.repository.as_ref()?.full_name.clone());
    // A fork that was deleted has no repository any more.
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
