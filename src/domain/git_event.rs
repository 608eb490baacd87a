//! The event on GitHub that started the run, and the Git ref that it is about.

use super::run::RunInfo;

/// The event that started the run. Its texts are untrusted: the author of a pull request chooses them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GitEvent {
    /// Name of the event, such as `push`; empty outside GitHub Actions.
    pub name: String,
    /// `GITHUB_REF`, such as `refs/heads/main`; empty if unknown.
    pub reference: String,
    /// The commit that the author knows, 40 hex digits. For a pull request, its newest commit instead of the merge
    /// commit that GitHub creates for the run. Empty if unknown.
    pub sha: String,
    /// `GITHUB_SHA`. For a pull request, the merge commit, or the commit of the base with `pull_request_target`;
    /// otherwise the same as `sha`.
    pub workflow_sha: String,
    /// The Git ref that was pushed or is to be merged.
    pub git_ref: GitRef,
    /// The repository's default branch, if known.
    pub default_branch: Option<String>,
    /// Short name of the branch that a pull request is for, or that a pushed tag is on, if known.
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
    /// URL of the repository, or empty.
    pub repo_url: String,
    /// Description of the repository, if known.
    pub description: Option<String>,
    /// SPDX identifier of the license, if known.
    pub license: Option<String>,
    /// Time of the commit, RFC 3339, if known.
    pub commit_time: Option<String>,
    /// First line of the commit message, or the title of the pull request or release; empty if unknown.
    pub subject: String,
    /// The user who caused the event.
    pub actor: String,
    /// Name of the workflow.
    pub workflow: String,
    /// URL of this attempt of the run, or empty.
    pub run_url: String,
    /// URL of this job, or of the run if the job is unknown.
    pub job_url: String,
    /// URL of the commit, or empty.
    pub commit_url: String,
}

/// The Git ref that an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GitRef {
    /// A branch, by its short name.
    Branch(String),
    /// A tag, by its short name.
    Tag(String),
    /// A pull request, by its number.
    PullRequest(u64),
    /// A merge group, by the number of its last pull request.
    MergeGroup(u64),
    /// Unknown, such as outside GitHub Actions.
    #[default]
    Unknown,
}

impl GitEvent {
    /// Whether the run is for the default branch itself.
    pub fn is_default_branch(&self) -> bool {
        matches!((&self.git_ref, &self.default_branch), (GitRef::Branch(branch), Some(default)) if branch == default)
    }

    /// Whether the run builds changes that are not merged yet. `push: auto` does not push them.
    pub fn is_trial(&self) -> bool {
        matches!(self.git_ref, GitRef::PullRequest(_) | GitRef::MergeGroup(_))
    }

    /// Returns the information about the run that messages and reports show.
    pub fn run_info(&self) -> RunInfo {
        RunInfo {
            repository: if self.owner.is_empty() { String::new() } else { format!("{}/{}", self.owner, self.repo) },
            workflow: self.workflow.clone(),
            actor: self.actor.clone(),
            event_name: self.name.clone(),
            ref_name: match &self.git_ref {
                GitRef::Branch(name) | GitRef::Tag(name) => name.clone(),
                GitRef::PullRequest(number) | GitRef::MergeGroup(number) => format!("#{number}"),
                GitRef::Unknown => String::new(),
            },
            sha: self.sha.clone(),
            subject: self.subject.clone(),
            run_url: self.run_url.clone(),
            job_url: self.job_url.clone(),
            commit_url: self.commit_url.clone(),
        }
    }
}
