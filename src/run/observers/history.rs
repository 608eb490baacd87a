//! Requests to GitHub during the build: the URL of this job and step, and the outcomes of the previous runs.
//!
//! Only the end of the run waits for them, and only briefly. Without a token, or the permission `actions: read`, they
//! have no result and cause no warning.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{
    domain::{
        event::Event,
        git_event::{GitEvent, GitRef},
        history::History,
        redact::Redactor,
    },
    events::Events,
    github::{
        client::Client,
        history::{self, Kind, Lineage, Own},
        jobs::{self, Job},
    },
    inputs::{runner::RunnerEnv, typed::Inputs},
};

/// The runner reports a started step to GitHub within a second or two; until then, the previous step appears as
/// running.
const STEPS_ARE_KNOWN: Duration = Duration::from_secs(5);

/// Whether GitHub already knows which step is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Steps {
    Known,
    Uncertain,
}

/// The parameters of the requests.
#[derive(Debug)]
pub struct Inquiry {
    client: Client,
    run: u64,
    attempt: u64,
    /// Page of the run, without the attempt.
    run_url: String,
    job: Option<u64>,
    runner: Option<String>,
    lineage: Option<Lineage>,
    began: Instant,
}

impl Inquiry {
    /// Returns `None` if the run, the token or the API URL is missing.
    pub fn new(inputs: &Inputs, env: &RunnerEnv, event: &GitEvent) -> Option<Self> {
        let client = client(inputs, env, event)?;
        let number = |name: &str| env.var(name).and_then(|text| text.parse::<u64>().ok());
        let (run, attempt) = (number("GITHUB_RUN_ID")?, number("GITHUB_RUN_ATTEMPT").unwrap_or(1));
        Some(Self {
            client,
            run,
            attempt,
            run_url: format!("{}/actions/runs/{run}", event.repo_url),
            job: inputs.github.job_id.as_deref().and_then(|id| id.parse().ok()),
            runner: env.var("RUNNER_NAME").map(str::to_owned),
            lineage: lineage(env, event, run, attempt),
            began: Instant::now(),
        })
    }

    /// Sends the requests and emits events for the results. When `ended` becomes true, the run is over and nothing more
    /// is awaited.
    pub async fn ask(mut self, events: &Events, mut ended: watch::Receiver<bool>) {
        let (found, before) = tokio::join!(self.find_job(), self.before());
        if let (None, Some(id)) = (self.job, found) {
            self.job = Some(id);
            events.emit(Event::JobUrl(Job::url(&self.run_url, id, None))).await;
        }
        let undecided = before.as_ref().filter(|before| before.has_failures());
        if let (Some(before), None) = (&before, undecided) {
            events.emit(Event::History(before.history())).await;
        }
        tokio::select! {
            biased;
            _ = ended.wait_for(|ended| *ended) => {}
            () = sleep_until(self.began + STEPS_ARE_KNOWN) => {}
        }
        let steps = if self.began.elapsed() >= STEPS_ARE_KNOWN { Steps::Known } else { Steps::Uncertain };
        if undecided.is_none() && steps == Steps::Uncertain {
            return;
        }
        let own = self.own_job(steps, events).await;
        match (undecided, own) {
            (Some(before), Some(own)) => {
                let history = before.history_of(&self.client, &own).await;
                events.emit(Event::History(history)).await;
            }
            (Some(before), None) => events.emit(Event::History(before.history())).await,
            (None, _) => {}
        }
    }

    /// Finds the id of this job, if the runner did not pass it.
    async fn find_job(&self) -> Option<u64> {
        let (None, Some(runner)) = (self.job, &self.runner) else { return None };
        jobs::job_on_runner(&self.client, self.run, self.attempt, runner).await.ok().flatten().map(|job| job.id)
    }

    async fn before(&self) -> Option<history::Before> {
        history::before(&self.client, self.lineage.as_ref()?).await.ok()
    }

    /// Returns the names of this job and step. The step is named only if it is certain.
    async fn own_job(&self, steps: Steps, events: &Events) -> Option<Own> {
        let id = self.job?;
        let job = jobs::job(&self.client, id).await.ok()?;
        let step = job.running_step().filter(|_| steps == Steps::Known);
        if let Some(step) = step {
            events.emit(Event::JobUrl(Job::url(&self.run_url, id, Some(step.number)))).await;
        }
        Some(Own { job: job.name.clone(), step: step.map(|step| step.name.clone()) })
    }
}

/// Returns the outcomes of the previous runs, if GitHub answers within `limit`: for a message outside a run.
pub async fn history(inquiry: Option<Inquiry>, limit: Duration) -> Option<History> {
    let (events, mut received) = Events::channel(Redactor::default());
    let (_over, ended) = watch::channel(true);
    // Events that were emitted before the timeout count.
    let _ = tokio::time::timeout(limit, inquiry?.ask(&events, ended)).await;
    drop(events);
    while let Some(event) = received.recv().await {
        if let Event::History(history) = event {
            return Some(history);
        }
    }
    None
}

/// Returns the client for this repository, if the token and the API URL are set.
pub fn client(inputs: &Inputs, env: &RunnerEnv, event: &GitEvent) -> Option<Client> {
    let (token, api) = (inputs.github.token.as_ref()?, env.var("GITHUB_API_URL")?);
    if event.owner.is_empty() {
        return None;
    }
    Client::new(api, token, &event.owner, &event.repo).ok()
}

/// Returns the properties that the previous runs share with this one; `None` if no runs precede it, as in a merge
/// queue.
fn lineage(env: &RunnerEnv, event: &GitEvent, run: u64, attempt: u64) -> Option<Lineage> {
    let own = format!("{}/{}", event.owner, event.repo);
    let (branch, branch_repository) = match &event.git_ref {
        GitRef::Branch(name) | GitRef::Tag(name) => (name.clone(), own.clone()),
        GitRef::PullRequest(_) => (env.var("GITHUB_HEAD_REF")?.to_owned(), event.head_repository.clone()?),
        GitRef::MergeGroup(_) | GitRef::Unknown => return None,
    };
    // `owner/repo/.github/workflows/build.yml@refs/heads/main`; a workflow of another repository has its runs there.
    let path = env.var("GITHUB_WORKFLOW_REF")?.split('@').next()?;
    let file = path.get(own.len()..).filter(|_| path.is_char_boundary(own.len()))?;
    let of_own = path.get(..own.len()).is_some_and(|start| start.eq_ignore_ascii_case(&own));
    let workflow = file.strip_prefix("/.github/workflows/").filter(|_| of_own)?.to_owned();
    let number = env.var("GITHUB_RUN_NUMBER")?.parse().ok()?;
    Some(Lineage { run, attempt, number, workflow, branch, branch_repository, kind: Kind::of(&event.name) })
}

#[cfg(test)]
mod tests {
    use super::lineage;
    use crate::{
        domain::git_event::{GitEvent, GitRef},
        github::history::Kind,
        inputs::runner::RunnerEnv,
    };

    fn event(name: &str, git_ref: GitRef) -> GitEvent {
        GitEvent { name: name.into(), git_ref, owner: "o".into(), repo: "r".into(), ..GitEvent::default() }
    }

    fn env(workflow_ref: &str) -> RunnerEnv {
        RunnerEnv::new([
            ("GITHUB_WORKFLOW_REF", workflow_ref),
            ("GITHUB_RUN_NUMBER", "5"),
            ("GITHUB_HEAD_REF", "feature/a#1"),
        ])
    }

    #[test]
    fn the_lineage_is_the_workflows_on_the_branch() {
        let env = env("O/R/.github/workflows/build.yml@refs/heads/a@b");
        let push = lineage(&env, &event("push", GitRef::Branch("main".into())), 50, 2).unwrap();
        assert_eq!((push.workflow.as_str(), push.branch.as_str(), push.number), ("build.yml", "main", 5));
        assert_eq!((push.branch_repository.as_str(), push.kind), ("o/r", Kind::Branch));
        let of_fork = GitEvent { head_repository: Some("f/r".into()), ..event("pull_request", GitRef::PullRequest(7)) };
        let request = lineage(&env, &of_fork, 50, 1).unwrap();
        assert_eq!((request.branch.as_str(), request.branch_repository.as_str()), ("feature/a#1", "f/r"));
        assert_eq!(request.kind, Kind::PullRequest);
    }

    #[test]
    fn where_nothing_comes_before_nothing_is_asked() {
        let none = |workflow_ref: &str, target| lineage(&env(workflow_ref), &event("push", target), 50, 1).is_none();
        assert!(none("o/r/.github/workflows/build.yml@refs/heads/main", GitRef::MergeGroup(7)));
        assert!(none("o/r/.github/workflows/build.yml@refs/heads/main", GitRef::PullRequest(7)), "a deleted fork");
        assert!(none("org/policies/.github/workflows/build.yml@refs/heads/main", GitRef::Branch("main".into())));
        assert!(none("é", GitRef::Branch("main".into())));
    }
}
