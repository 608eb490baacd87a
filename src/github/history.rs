//! The outcomes of earlier runs of the same workflow on the same branch.
//!
//! API: <https://docs.github.com/en/rest/actions/workflow-runs>; needs the permission `actions: read`.
//!
//! A run fails if any of its jobs fails. So the jobs of a failed run are read too, and the outcome of the same step of the
//! same job counts.

use serde::Deserialize;

use super::{
    client::{ApiError, Client, percent_encoded},
    jobs::{Job, jobs_of_attempt},
};
use crate::domain::history::History;

/// Page size, and maximum number of pages.
const PAGE: usize = 30;
const PAGES: usize = 3;
/// The jobs of this many runs are read. For earlier ones, the outcome of the whole run counts.
const WITH_JOBS: usize = 10;

/// Identifies this run and the earlier runs to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// Id of this run.
    pub run: u64,
    /// Number of the attempt, from 1.
    pub attempt: u64,
    /// Number of the run within its workflow.
    pub number: u64,
    /// File name of the workflow, without its directory.
    pub workflow: String,
    /// The branch or tag; for a pull request, its head branch.
    pub branch: String,
    /// `owner/name` of the repository of the branch, which may be a fork.
    pub branch_repository: String,
    /// Kind of the event that started the run.
    pub kind: Kind,
}

/// The kind of event that started a run. Only runs of the same kind are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A pull request.
    PullRequest,
    /// Any other event, which concerns the branch itself.
    Branch,
}

impl Kind {
    /// The kind of an event, given by its name.
    pub fn of(event: &str) -> Self {
        if event.starts_with("pull_request") { Self::PullRequest } else { Self::Branch }
    }
}

/// The name of this job and, if known, of this step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// The job's name.
    pub job: String,
    /// The step's name.
    pub step: Option<String>,
}

/// The earlier runs, newest first.
#[derive(Debug)]
pub struct Before {
    runs: Vec<Run>,
}

#[derive(Clone, Debug, Deserialize)]
struct Run {
    id: u64,
    #[serde(rename = "run_number", default)]
    number: u64,
    #[serde(rename = "run_attempt", default = "first")]
    attempt: u64,
    #[serde(default)]
    event: String,
    conclusion: Option<String>,
    head_repository: Option<Repository>,
}

#[derive(Clone, Debug, Deserialize)]
struct Repository {
    full_name: String,
}

#[derive(Deserialize)]
struct Runs {
    workflow_runs: Vec<Run>,
}

fn first() -> u64 {
    1
}

/// The outcome of a run, job or step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Success,
    Failure,
    /// Cancelled, skipped or unknown: ignored.
    Ignored,
}

impl Verdict {
    fn of(conclusion: Option<&str>) -> Self {
        match conclusion {
            Some("success") => Self::Success,
            Some("failure" | "timed_out" | "startup_failure") => Self::Failure,
            _ => Self::Ignored,
        }
    }
}

/// Lists the earlier runs, newest first, back to the last successful one. Earlier attempts of this run count as runs.
pub async fn before(client: &Client, lineage: &Lineage) -> Result<Before, ApiError> {
    let mut runs = Vec::new();
    for attempt in (1..lineage.attempt).rev().take(WITH_JOBS) {
        let run: Run = client.get(&format!("/actions/runs/{}/attempts/{attempt}", lineage.run), &[]).await?;
        let done = Verdict::of(run.conclusion.as_deref()) == Verdict::Success;
        // The API may return the number of the newest attempt.
        runs.push(Run { attempt, ..run });
        if done {
            return Ok(Before { runs });
        }
    }
    let path = format!("/actions/workflows/{}/runs", percent_encoded(&lineage.workflow));
    for page in 1..=PAGES {
        let query = [
            ("branch", lineage.branch.clone()),
            ("status", "completed".to_owned()),
            ("exclude_pull_requests", "true".to_owned()),
            ("per_page", PAGE.to_string()),
            ("page", page.to_string()),
        ];
        let Runs { workflow_runs } = client.get(&path, &query).await?;
        let last = workflow_runs.len() < PAGE;
        let own = workflow_runs.into_iter().filter(|run| lineage.includes(run));
        for run in own {
            let done = Verdict::of(run.conclusion.as_deref()) == Verdict::Success;
            runs.push(run);
            if done {
                return Ok(Before { runs });
            }
        }
        if last {
            break;
        }
    }
    Ok(Before { runs })
}

impl Lineage {
    fn includes(&self, run: &Run) -> bool {
        let repository = run.head_repository.as_ref().map(|repository| repository.full_name.as_str());
        run.id != self.run
            && run.number < self.number
            && Kind::of(&run.event) == self.kind
            // The repository is missing if the fork was deleted.
            && repository.is_some_and(|name| name.eq_ignore_ascii_case(&self.branch_repository))
    }
}

impl Before {
    /// Whether any run failed since the last successful one. If not, the jobs need not be read.
    pub fn has_failures(&self) -> bool {
        self.runs.iter().any(|run| Verdict::of(run.conclusion.as_deref()) == Verdict::Failure)
    }

    /// The history by the outcomes of whole runs.
    pub fn history(&self) -> History {
        count(self.runs.iter().map(|run| Verdict::of(run.conclusion.as_deref())))
    }

    /// The history by the outcomes of this job, or of this step. If the jobs of a run cannot be read, the whole run counts.
    pub async fn history_of(&self, client: &Client, own: &Own) -> History {
        let mut verdicts = Vec::new();
        for (index, run) in self.runs.iter().enumerate() {
            let whole = Verdict::of(run.conclusion.as_deref());
            let verdict = if whole == Verdict::Failure && index < WITH_JOBS {
                jobs_of_attempt(client, run.id, run.attempt).await.map_or(whole, |jobs| own.verdict(&jobs))
            } else {
                whole
            };
            verdicts.push(verdict);
            if verdict == Verdict::Success {
                break;
            }
        }
        count(verdicts.into_iter())
    }
}

impl Own {
    /// The outcome of the step with the same name in the job with the same name, or of the job if the step is missing.
    fn verdict(&self, jobs: &[Job]) -> Verdict {
        let Some(job) = jobs.iter().find(|job| job.name == self.job) else { return Verdict::Ignored };
        let mut steps = job.steps.iter().filter(|step| Some(&step.name) == self.step.as_ref());
        match (steps.next(), steps.next()) {
            (Some(step), None) => Verdict::of(step.conclusion.as_deref()),
            _ => Verdict::of(job.conclusion.as_deref()),
        }
    }
}

fn count(verdicts: impl Iterator<Item = Verdict>) -> History {
    let (mut failures, mut succeeded) = (0, false);
    for verdict in verdicts {
        match verdict {
            Verdict::Success => {
                succeeded = true;
                break;
            }
            Verdict::Failure => failures += 1,
            Verdict::Ignored => {}
        }
    }
    History { failures, succeeded }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Before, Kind, Lineage, Own, Run};
    use crate::github::jobs::Job;

    fn run(number: u64, event: &str, repository: Option<&str>, conclusion: &str) -> Run {
        let repository = repository.map(|name| json!({ "full_name": name }));
        let run = json!({"id": number * 10, "run_number": number, "event": event, "conclusion": conclusion,
                         "head_repository": repository});
        serde_json::from_value(run).unwrap()
    }

    fn lineage(kind: Kind) -> Lineage {
        Lineage {
            run: 50,
            attempt: 1,
            number: 5,
            workflow: "build.yml".into(),
            branch: "main".into(),
            branch_repository: "o/r".into(),
            kind,
        }
    }

    #[test]
    fn only_earlier_runs_on_the_same_branch_and_repository_count() {
        let holds = |kind, run: Run| lineage(kind).includes(&run);
        assert!(holds(Kind::Branch, run(4, "push", Some("O/R"), "success")));
        assert!(holds(Kind::Branch, run(4, "schedule", Some("o/r"), "success")));
        assert!(holds(Kind::PullRequest, run(4, "pull_request", Some("o/r"), "success")));
        assert!(!holds(Kind::Branch, run(5, "push", Some("o/r"), "success")), "this one");
        assert!(!holds(Kind::Branch, run(6, "push", Some("o/r"), "success")), "a later one that was faster");
        assert!(!holds(Kind::Branch, run(4, "pull_request", Some("o/r"), "success")));
        assert!(!holds(Kind::PullRequest, run(4, "push", Some("o/r"), "success")));
        assert!(!holds(Kind::PullRequest, run(4, "pull_request", Some("fork/r"), "success")));
        assert!(!holds(Kind::PullRequest, run(4, "pull_request", None, "success")));
    }

    #[test]
    fn failures_are_counted_back_to_the_last_success() {
        let failures = |conclusions: &[&str]| {
            let runs = conclusions.iter().map(|conclusion| run(1, "push", Some("o/r"), conclusion)).collect();
            Before { runs }.history().failures
        };
        assert_eq!(failures(&[]), 0);
        assert_eq!(failures(&["success", "failure"]), 0);
        assert_eq!(failures(&["failure", "success", "failure"]), 1);
        assert_eq!(failures(&["cancelled", "failure", "skipped", "timed_out", "startup_failure", "success"]), 3);
        assert_eq!(failures(&["failure", "action_required", "neutral", "stale"]), 1);
    }

    #[test]
    fn the_same_step_of_the_same_job_decides() {
        let jobs: Vec<Job> = serde_json::from_value(json!([
            {"id": 1, "name": "test", "status": "completed", "conclusion": "failure"},
            {"id": 2, "name": "build (a)", "status": "completed", "conclusion": "failure", "steps": [
                {"name": "Build", "status": "completed", "conclusion": "success", "number": 2},
                {"name": "Smoke", "status": "completed", "conclusion": "failure", "number": 3},
                {"name": "Twice", "status": "completed", "conclusion": "success", "number": 4},
                {"name": "Twice", "status": "completed", "conclusion": "success", "number": 5}]},
            {"id": 3, "name": "docs", "status": "completed", "conclusion": "skipped"},
        ]))
        .unwrap();
        let verdict = |job: &str, step: Option<&str>| {
            let own = Own { job: job.to_owned(), step: step.map(str::to_owned) };
            format!("{:?}", own.verdict(&jobs))
        };
        assert_eq!(verdict("build (a)", Some("Build")), "Success", "a later step failed");
        assert_eq!(verdict("build (a)", Some("Smoke")), "Failure");
        assert_eq!(verdict("build (a)", Some("Twice")), "Failure", "ambiguous, so the job counts");
        assert_eq!(verdict("build (a)", None), "Failure");
        assert_eq!(verdict("docs", None), "Ignored");
        assert_eq!(verdict("missing", None), "Ignored");
    }
}
