//! Finds this job in the workflow run, and this step in the job.
//!
//! API: <https://docs.github.com/en/rest/actions/workflow-jobs>; needs the permission `actions: read`.

use serde::Deserialize;

use super::client::{ApiError, Client};

/// GitHub's maximum page size, and maximum number of pages. A matrix has at most 256 jobs, and few runs have more than
/// one matrix.
const PAGE: usize = 100;
const PAGES: usize = 10;

/// A job of a workflow run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Job {
    /// Its id, which is part of the URL of its page.
    pub id: u64,
    /// Its display name, with the values of its matrix and the calling job.
    pub name: String,
    /// `queued`, `in_progress`, `completed`…
    pub status: String,
    /// `success`, `failure`, `cancelled`, `skipped`…, once it is completed.
    pub conclusion: Option<String>,
    /// Name of the runner, once assigned.
    pub runner_name: Option<String>,
    /// Its steps, as far as they are known yet.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// A step of a job.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Step {
    /// Its display name.
    pub name: String,
    /// `queued`, `in_progress`, `completed`…
    pub status: String,
    /// `success`, `failure`, `cancelled`, `skipped`…, once it is completed.
    pub conclusion: Option<String>,
    /// Its number in the job, as in the URL of the log.
    pub number: u64,
}

#[derive(Deserialize)]
struct Jobs {
    jobs: Vec<Job>,
}

impl Job {
    /// The running step, if there is exactly one.
    pub fn running_step(&self) -> Option<&Step> {
        let mut running = self.steps.iter().filter(|step| step.status == IN_PROGRESS);
        running.next().filter(|_| running.next().is_none())
    }

    /// The URL of the job's log; of `step` in it, if that is known.
    ///
    /// The URL always names the first line of the step. Other lines cannot be linked, since the runner adds an unknown
    /// number of lines before those of this step.
    pub fn url(run_url: &str, id: u64, step: Option<u64>) -> String {
        let anchor = step.map_or_else(String::new, |number| format!("#step:{number}:1"));
        format!("{run_url}/job/{id}{anchor}")
    }
}

const IN_PROGRESS: &str = "in_progress";

/// Fetches a job by its id.
pub async fn job(client: &Client, id: u64) -> Result<Job, ApiError> {
    client.get(&format!("/actions/jobs/{id}"), &[]).await
}

/// Lists the jobs of an attempt of a run.
pub async fn jobs_of_attempt(client: &Client, run: u64, attempt: u64) -> Result<Vec<Job>, ApiError> {
    pages(client, &format!("/actions/runs/{run}/attempts/{attempt}/jobs")).await
}

/// Finds the job of this attempt that is running on `runner`. `None` unless there is exactly one.
pub async fn job_on_runner(client: &Client, run: u64, attempt: u64, runner: &str) -> Result<Option<Job>, ApiError> {
    let jobs = jobs_of_attempt(client, run, attempt).await?;
    let mut own =
        jobs.into_iter().filter(|job| job.runner_name.as_deref() == Some(runner) && job.status == IN_PROGRESS);
    Ok(own.next().filter(|_| own.next().is_none()))
}

async fn pages(client: &Client, path: &str) -> Result<Vec<Job>, ApiError> {
    let mut all = Vec::new();
    for page in 1..=PAGES {
        let query = [("per_page", PAGE.to_string()), ("page", page.to_string())];
        let Jobs { jobs } = client.get(path, &query).await?;
        let last = jobs.len() < PAGE;
        all.extend(jobs);
        if last {
            break;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::{Job, Step};

    fn job(states: &[&str]) -> Job {
        let step = |(index, status): (usize, &&str)| Step {
            name: format!("step {index}"),
            status: (*status).to_owned(),
            conclusion: None,
            number: index as u64 + 1,
        };
        Job {
            id: 7,
            name: "build".into(),
            status: "in_progress".into(),
            conclusion: None,
            runner_name: None,
            steps: states.iter().enumerate().map(step).collect(),
        }
    }

    #[test]
    fn finds_the_step_only_if_no_other_is_running() {
        let running = |states: &[&str]| job(states).running_step().map(|step| step.number);
        assert_eq!(running(&["completed", "in_progress", "queued"]), Some(2));
        assert_eq!(running(&["in_progress", "in_progress"]), None);
        assert_eq!(running(&["completed", "queued"]), None);
    }

    #[test]
    fn the_page_opens_at_the_step() {
        let run = "https://github.com/o/r/actions/runs/1";
        assert_eq!(Job::url(run, 2, Some(4)), format!("{run}/job/2#step:4:1"));
        assert_eq!(Job::url(run, 2, None), format!("{run}/job/2"));
    }
}
