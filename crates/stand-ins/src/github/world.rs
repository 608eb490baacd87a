//! What the repository holds, and what calls do to it.

use std::collections::BTreeMap;

use chrono::Utc;
use serde_json::{Value, json};

use super::{
    Access,
    answer::{Answer, invalid, listed, not_found, paged},
    rules::{Rules, pairs},
};

/// The user that a job's token is.
const BOT: &str = "github-actions[bot]";

/// A repository.
#[derive(Debug)]
pub struct World {
    repository: String,
    last_id: u64,
    runs: Vec<Value>,
    jobs: Vec<Value>,
    deployments: Vec<Value>,
    statuses: Vec<Value>,
    comments: Vec<Value>,
    tags: Vec<Value>,
    /// The newest commits of branches.
    heads: BTreeMap<String, String>,
}

/// A call that is known, with the numbers and names in its path.
#[derive(Debug)]
pub struct Operation {
    name: &'static str,
    names: Vec<String>,
}

/// Every call that is known: as the description names it, and what it needs.
const OPERATIONS: &[(&str, Option<(&str, Access)>)] = &[
    ("GET ", None),
    ("GET /tags", Some(("contents", Access::Read))),
    ("GET /git/ref/{ref}", Some(("contents", Access::Read))),
    ("GET /actions/workflows/{workflow_id}/runs", Some(("actions", Access::Read))),
    ("GET /actions/runs/{run_id}/attempts/{attempt_number}", Some(("actions", Access::Read))),
    ("GET /actions/runs/{run_id}/attempts/{attempt_number}/jobs", Some(("actions", Access::Read))),
    ("GET /actions/jobs/{job_id}", Some(("actions", Access::Read))),
    ("GET /deployments", Some(("deployments", Access::Read))),
    ("POST /deployments", Some(("deployments", Access::Write))),
    ("GET /deployments/{deployment_id}/statuses", Some(("deployments", Access::Read))),
    ("POST /deployments/{deployment_id}/statuses", Some(("deployments", Access::Write))),
    ("GET /issues/{issue_number}/comments", Some(("pull-requests", Access::Read))),
    ("POST /issues/{issue_number}/comments", Some(("pull-requests", Access::Write))),
    ("PATCH /issues/comments/{comment_id}", Some(("pull-requests", Access::Write))),
];

impl Operation {
    /// Its name in the description.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The permission that it needs.
    pub fn needs(&self) -> Option<(&'static str, Access)> {
        OPERATIONS.iter().find(|(name, _)| *name == self.name).and_then(|(_, needs)| *needs)
    }

    fn number(&self, index: usize) -> u64 {
        self.names.get(index).and_then(|name| name.parse().ok()).unwrap_or_default()
    }
}

impl World {
    /// An empty repository.
    pub fn new(repository: &str) -> Self {
        Self {
            repository: repository.to_owned(),
            last_id: 1000,
            runs: Vec::new(),
            jobs: Vec::new(),
            deployments: Vec::new(),
            statuses: Vec::new(),
            comments: Vec::new(),
            tags: Vec::new(),
            heads: BTreeMap::new(),
        }
    }

    /// `owner/name`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Adds a workflow run, later ones later. What is not said is that of a push to `main` that succeeded, of `build.yml`.
    pub fn add_run(&mut self, mut run: Value) {
        let usual = json!({
            "head_branch": "main", "event": "push", "status": "completed", "conclusion": "success", "run_attempt": 1,
            "path": ".github/workflows/build.yml", "head_repository": {"full_name": self.repository},
        });
        complete(&mut run, &usual);
        self.runs.push(run);
    }

    /// Adds a job of a run: `run_id`, `run_attempt`, `name`…
    pub fn add_job(&mut self, mut job: Value) {
        complete(&mut job, &json!({"run_attempt": 1, "status": "completed", "conclusion": "success", "steps": []}));
        self.jobs.push(job);
    }

    /// Changes the job of this number.
    pub fn job(&mut self, id: u64) -> Option<&mut Value> {
        self.jobs.iter_mut().find(|job| job["id"] == id)
    }

    /// Adds a Git tag.
    pub fn add_tag(&mut self, name: &str) {
        self.tags.push(json!({"name": name, "commit": {"sha": "0".repeat(40)}}));
    }

    /// Pushes a commit to a branch.
    pub fn push(&mut self, branch: &str, sha: &str) {
        self.heads.insert(branch.to_owned(), sha.to_owned());
    }

    /// Deletes a branch.
    pub fn delete_branch(&mut self, branch: &str) {
        self.heads.remove(branch);
    }

    /// Adds a deployment with one status as GitHub makes them for a job with `environment:`; returns its number.
    pub fn add_deployment_of_job(&mut self, environment: &str, sha: &str, log_url: &str) -> u64 {
        let id = self.new_deployment(&json!({"ref": sha, "environment": environment}));
        self.new_status(id, &json!({"state": "in_progress", "log_url": log_url}));
        id
    }

    /// Adds a comment on an issue or pull request, by someone; returns its number.
    pub fn add_comment(&mut self, issue: u64, author: &Value, body: &str) -> u64 {
        self.last_id += 1;
        let mut comment =
            json!({"id": self.last_id, "body": body, "issue_url": format!("https://api.github.com/issues/{issue}")});
        complete(&mut comment, author);
        self.comments.push(comment);
        self.last_id
    }

    /// Texts of the comments on an issue or pull request.
    pub fn comments(&self, issue: u64) -> Vec<String> {
        let text = |comment: &&Value| comment["body"].as_str().unwrap_or_default().to_owned();
        self.comments.iter().filter(|comment| is_on(comment, issue)).map(|comment| text(&comment)).collect()
    }

    /// All deployments, oldest first.
    pub fn deployments(&self) -> Vec<Value> {
        self.deployments.clone()
    }

    /// All statuses of a deployment, oldest first.
    pub fn statuses(&self, deployment: u64) -> Vec<Value> {
        self.statuses.iter().filter(|status| status["deployment"] == deployment).cloned().collect()
    }

    /// The call of this method and path, if it is known.
    pub fn operation(&self, method: &str, path: &str) -> Option<Operation> {
        OPERATIONS.iter().find_map(|(name, _)| {
            let (known, template) = name.split_once(' ')?;
            let template: Vec<&str> = template.split('/').collect();
            // The name of a ref is all that follows.
            let segments = if template.ends_with(&["{ref}"]) { template.len() } else { usize::MAX };
            let path: Vec<&str> = path.splitn(segments, '/').collect();
            let fits = |(part, own): (&&str, &&str)| part == own || part.starts_with('{');
            if known != method || template.len() != path.len() || !template.iter().zip(&path).all(fits) {
                return None;
            }
            let variables = template.iter().zip(&path).filter(|(part, _)| part.starts_with('{'));
            let names: Vec<String> = variables.map(|(_, own)| (*own).to_owned()).collect();
            Some(Operation { name, names })
        })
    }

    /// Does what is asked for.
    pub fn carry_out(&mut self, operation: &Operation, query: &str, body: &Value, rules: &Rules) -> Answer {
        let query = pairs(query);
        let parameter = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let page = |items: Vec<Value>| paged(&items, parameter("per_page"), parameter("page"));
        let mut answer = match operation.name {
            "GET " => Answer::of(200, json!({"full_name": self.repository, "default_branch": "main"})),
            "GET /tags" => page(self.tags.clone()),
            "GET /git/ref/{ref}" => {
                let name = operation.names.first().map_or("", String::as_str);
                let head = name.strip_prefix("heads/").and_then(|branch| self.heads.get(branch));
                head.map_or_else(not_found, |sha| {
                    Answer::of(200, json!({"ref": format!("refs/{name}"), "object": {"type": "commit", "sha": sha}}))
                })
            }
            "GET /actions/workflows/{workflow_id}/runs" => {
                let file = operation.names.first().map_or("", String::as_str);
                let fits = |run: &&Value| {
                    let path = run["path"].as_str().unwrap_or_default();
                    if path.rsplit('/').next() != Some(file) {
                        return false;
                    }
                    let is = |key: &str, name: &str| parameter(name).is_none_or(|value| run[key] == value);
                    is("head_branch", "branch") && is("status", "status") && is("event", "event")
                };
                listed("workflow_runs", &page(self.runs.iter().rev().filter(fits).cloned().collect()))
            }
            "GET /actions/runs/{run_id}/attempts/{attempt_number}" => {
                self.runs.iter().find(|run| run["id"] == operation.number(0)).map_or_else(not_found, |run| {
                    let conclusions = run["attempts"]
                        .as_array()
                        .and_then(|all| all.get(usize::try_from(operation.number(1)).ok()?.checked_sub(1)?).cloned());
                    let mut run = run.clone();
                    run["run_attempt"] = json!(operation.number(1));
                    run["conclusion"] = conclusions.unwrap_or_else(|| run["conclusion"].clone());
                    Answer::of(200, run)
                })
            }
            "GET /actions/runs/{run_id}/attempts/{attempt_number}/jobs" => {
                let of =
                    |job: &&Value| job["run_id"] == operation.number(0) && job["run_attempt"] == operation.number(1);
                listed("jobs", &page(self.jobs.iter().filter(of).cloned().collect()))
            }
            "GET /actions/jobs/{job_id}" => {
                let job = self.jobs.iter().find(|job| job["id"] == operation.number(0));
                job.map_or_else(not_found, |job| Answer::of(200, job.clone()))
            }
            "GET /deployments" => {
                let fits = |one: &&Value| {
                    ["sha", "environment"].iter().all(|key| parameter(key).is_none_or(|value| one[key] == value))
                };
                page(self.deployments.iter().rev().filter(fits).cloned().collect())
            }
            "POST /deployments" => self.create_deployment(body),
            "GET /deployments/{deployment_id}/statuses" => {
                page(self.statuses(operation.number(0)).into_iter().rev().collect())
            }
            "POST /deployments/{deployment_id}/statuses" => self.create_status(operation.number(0), body),
            "GET /issues/{issue_number}/comments" => {
                let on = |comment: &&Value| is_on(comment, operation.number(0));
                page(self.comments.iter().filter(on).cloned().collect())
            }
            "POST /issues/{issue_number}/comments" => self.write_comment(operation.number(0), body),
            "PATCH /issues/comments/{comment_id}" => self.edit_comment(operation.number(0), body),
            _ => not_found(),
        };
        if answer.status < 300 {
            answer.body = rules.complete(operation.name, answer.status, &answer.body);
        }
        answer
    }

    fn create_deployment(&mut self, body: &Value) -> Answer {
        let sha = body["ref"].as_str().unwrap_or_default();
        if sha.len() != 40 {
            return Answer::refused(422, &format!("No ref found for: {sha}"));
        }
        // Without a word on it, GitHub merges the default branch first, and wants every commit status green.
        if body["auto_merge"] != false {
            return Answer::refused(409, &format!("Conflict merging main into {sha}."));
        }
        if body["required_contexts"] != json!([]) {
            return Answer::refused(409, &format!("Conflict: Commit status checks failed for {sha}."));
        }
        let id = self.new_deployment(body);
        self.deployments.iter().find(|one| one["id"] == id).map_or_else(not_found, |one| Answer::of(201, one.clone()))
    }

    fn new_deployment(&mut self, body: &Value) -> u64 {
        self.last_id += 1;
        let now = now();
        let mut deployment = json!({
            "id": self.last_id, "sha": body["ref"], "ref": body["ref"], "task": "deploy", "payload": {},
            "environment": "production", "description": null, "creator": bot(), "created_at": now, "updated_at": now,
        });
        for key in ["environment", "description", "transient_environment", "production_environment"] {
            if let Some(value) = body.get(key) {
                deployment[key] = value.clone();
            }
        }
        self.deployments.push(deployment);
        self.last_id
    }

    fn create_status(&mut self, deployment: u64, body: &Value) -> Answer {
        if !self.deployments.iter().any(|one| one["id"] == deployment) {
            return not_found();
        }
        for key in ["environment_url", "log_url"] {
            let url = body[key].as_str().unwrap_or("https://");
            if !url.starts_with("http://") && !url.starts_with("https://") && !url.is_empty() {
                return invalid("DeploymentStatus", key, &format!("{key} must use http(s) scheme"));
            }
        }
        if body["description"].as_str().is_some_and(|text| text.chars().count() > 140) {
            return invalid("DeploymentStatus", "description", "description is too long (maximum is 140 characters)");
        }
        Answer::of(201, self.new_status(deployment, body))
    }

    fn new_status(&mut self, deployment: u64, body: &Value) -> Value {
        self.last_id += 1;
        let mut status = json!({
            "id": self.last_id, "state": body["state"], "creator": bot(), "created_at": now(), "updated_at": now(),
            "description": body["description"].as_str().unwrap_or_default(),
        });
        for (key, given) in [("log_url", "log_url"), ("target_url", "log_url"), ("environment_url", "environment_url")]
        {
            if let Some(url) = body.get(given) {
                status[key] = url.clone();
            }
        }
        let mut kept = status.clone();
        kept["deployment"] = json!(deployment);
        self.statuses.push(kept);
        status
    }

    fn write_comment(&mut self, issue: u64, body: &Value) -> Answer {
        if let Some(refused) = too_long(body) {
            return refused;
        }
        let author = json!({"user": bot(), "author_association": "NONE"});
        let id = self.add_comment(issue, &author, body["body"].as_str().unwrap_or_default());
        self.comments.iter().find(|one| one["id"] == id).map_or_else(not_found, |one| Answer::of(201, one.clone()))
    }

    fn edit_comment(&mut self, id: u64, body: &Value) -> Answer {
        if let Some(refused) = too_long(body) {
            return refused;
        }
        self.comments.iter_mut().find(|comment| comment["id"] == id).map_or_else(not_found, |comment| {
            comment["body"] = body["body"].clone();
            Answer::of(200, comment.clone())
        })
    }
}

fn too_long(body: &Value) -> Option<Answer> {
    let length = body["body"].as_str().map_or(0, |text| text.chars().count());
    (length > 65_536).then(|| invalid("IssueComment", "body", "body is too long (maximum is 65536 characters)"))
}

fn bot() -> Value {
    json!({"login": BOT, "type": "Bot"})
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

fn is_on(comment: &Value, issue: u64) -> bool {
    comment["issue_url"].as_str().is_some_and(|url| url.ends_with(&format!("/issues/{issue}")))
}

/// Adds what is not there.
fn complete(value: &mut Value, usual: &Value) {
    for (key, usual) in usual.as_object().into_iter().flatten() {
        if value.get(key).is_none() {
            value[key] = usual.clone();
        }
    }
}
