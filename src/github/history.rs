//! How the runs before this one ended: of the same workflow, on the same branch.
//!
//! API: <https://docs.github.com/en/rest/actions/workflow-runs>; needs the permission `actions: read`.
//!
//! A workflow fails for the sake of any of its jobs, so where a run failed its jobs are looked at: the same step of the
//! same job tells how it went for what we do.

use serde::Deserialize;

use super::{
    client::{ApiError, Client, percent_encoded},
    jobs::{Job, jobs_of_attempt},
};
use crate::domain::history::History;

/// Runs on a page, and how many pages are looked through.
const PAGE: usize = 30;
const PAGES: usize = 3;
/// How many failed runs are looked into. More of them in a row are counted as GitHub counts them.
const LOOKED_INTO: usize = 10;

/// What the runs before this one have in common with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// This run.
    pub run: u64,
    /// Which attempt at it this is, from 1.
    pub attempt: u64,
    /// The run's number among its workflow's.
    pub number: u64,
    /// The workflow's file, without its directory.
    pub workflow: String,
    /// The branch or tag; of a pull request, the branch that is to be merged.
    pub branch: String,
    /// `owner/name` of the repository that the branch is in: a fork's `main` is another than ours.
    pub branch_repository: String,
    /// What started the run.
    pub kind: Kind,
}

/// What started a run, as far as it matters for who comes before whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A pull request, which is about what is not merged yet.
    PullRequest,
    /// Anything else, which is about the branch itself.
    Branch,
}

impl Kind {
    /// The kind of an event.
    pub fn of(event: &str) -> Self {
        if event.starts_with("pull_request") { Self::PullRequest } else { Self::Branch }
    }
}

/// What is known of ourselves: the name of this job and, if it is known, of this step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// The job's name.
    pub job: String,
    /// The step's name.
    pub step: Option<String>,
}

/// The runs before this one.
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

/// How something ended, as far as it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Success,
    Failure,
    /// Cancelled, skipped, or not known: as if it had not been.
    Nothing,
}

impl Verdict {
    fn of(conclusion: Option<&str>) -> Self {
        match conclusion {
            Some("success") => Self::Success,
            Some("failure" | "timed_out" | "startup_failure") => Self::Failure,
            _ => Self::Nothing,
        }
    }
}

/// Looks for the runs before this one, newest first, back to the last that succeeded. Earlier attempts at this run count as
/// runs.
pub async fn before(client: &Client, lineage: &Lineage) -> Result<Before, ApiError> {
    let mut runs = Vec::new();
    for attempt in (1..lineage.attempt).rev().take(LOOKED_INTO) {
        let run: Run = client.get(&format!("/actions/runs/{}/attempts/{attempt}", lineage.run), &[]).await?;
        let done = Verdict::of(run.conclusion.as_deref()) == Verdict::Success;
        // Of an attempt, the API may tell the newest's number.
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
        let own = workflow_runs.into_iter().filter(|run| lineage.holds(run));
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
    fn holds(&self, run: &Run) -> bool {
        let repository = run.head_repository.as_ref().map(|repository| repository.full_name.as_str());
        run.id != self.run
            && run.number < self.number
            && Kind::of(&run.event) == self.kind
            // A fork that was deleted has no repository any more.
            && repository.is_some_and(|name| name.eq_ignore_ascii_case(&self.branch_repository))
    }
}

impl Before {
    /// Whether any run failed since the last that succeeded; if not, there is nothing to look into.
    pub fn has_failures(&self) -> bool {
        self.runs.iter().any(|run| Verdict::of(run.conclusion.as_deref()) == Verdict::Failure)
    }

    /// The history, as GitHub's own words on whole runs tell it.
    pub fn history(&self) -> History {
        count(self.runs.iter().map(|run| Verdict::of(run.conclusion.as_deref())))
    }

    /// The history of this very job, or step of it. A run whose jobs cannot be read counts as a whole.
    pub async fn history_of(&self, client: &Client, own: &Own) -> History {
        let mut verdicts = Vec::new();
        for (index, run) in self.runs.iter().enumerate() {
            let whole = Verdict::of(run.conclusion.as_deref());
            let verdict = if whole == Verdict::Failure && index < LOOKED_INTO {
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
    /// How the step of the same name in the job of the same name ended; without one, the job.
    fn verdict(&self, jobs: &[Job]) -> Verdict {
        let Some(job) = jobs.iter().find(|job| job.name == self.job) else { return Verdict::Nothing };
        let mut steps = job.steps.iter().filter(|step| Some(&step.name) == self.step.as_ref());
        match (steps.next(), steps.next()) {
            (Some(step), None) => Verdict::of(step.conclusion.as_deref()),
            _ => Verdict::of(job.conclusion.as_deref()),
        }
    }
}

fn count(verdicts: impl Iterator<Item = Verdict>) -> History {
    let failed = verdicts.take_while(|verdict| *verdict != Verdict::Success);
    let failures = failed.filter(|verdict| *verdict == Verdict::Failure).count();
    History { failures: u32::try_from(failures).unwrap_or(u32::MAX) }
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
    fn only_the_runs_before_on_the_same_branch_of_the_same_repository_count() {
        let holds = |kind, run: Run| lineage(kind).holds(&run);
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
        assert_eq!(verdict("build (a)", Some("Twice")), "Failure", "not told apart: the job's");
        assert_eq!(verdict("build (a)", None), "Failure");
        assert_eq!(verdict("docs", None), "Nothing");
        assert_eq!(verdict("gone", None), "Nothing");
    }
}
