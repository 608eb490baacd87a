//! GitHub deployments, which the page of a repository lists under "Environments".
//!
//! API: <https://docs.github.com/en/rest/deployments>; needs the permission `deployments: write`.

use serde::{Deserialize, Serialize};

use super::client::{ApiError, Client};

/// Maximum length of a description in characters.
const LONGEST_DESCRIPTION: usize = 140;
/// How many of an environment's newest deployments are searched for the one of the job.
const NEWEST: usize = 10;
/// The creator of the deployments of jobs with `environment:`.
const ACTIONS: &str = "github-actions[bot]";

/// A deployment to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Name of the environment.
    pub environment: String,
    /// The commit: 40 hex digits.
    pub sha: String,
    /// A short description.
    pub description: String,
    /// How long the environment exists.
    pub lifetime: Lifetime,
}

/// How long an environment exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as its pull request.
    PullRequest,
    /// Permanently.
    Permanent,
}

/// The state of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// In progress.
    InProgress,
    /// Succeeded.
    Success,
    /// Failed.
    Failure,
    /// Cancelled: the previous deployment remains active.
    Inactive,
}

/// A status update of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The state.
    pub state: State,
    /// URL of the job's log.
    pub log_url: String,
    /// URL of the deployed site.
    pub environment_url: Option<String>,
    /// A short description, cut to 140 characters.
    pub description: String,
}

#[derive(Serialize)]
struct NewDeployment<'a> {
    #[serde(rename = "ref")]
    reference: &'a str,
    environment: &'a str,
    description: &'a str,
    /// Always `false`: GitHub must not merge the default branch into the deployed commit.
    auto_merge: bool,
    /// Always empty: the status of this job is still pending, among others.
    required_contexts: [&'a str; 0],
    transient_environment: bool,
    production_environment: bool,
}

#[derive(Serialize)]
struct NewStatus<'a> {
    state: State,
    log_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment_url: Option<&'a str>,
    description: String,
}

#[derive(Deserialize)]
struct Deployment {
    id: u64,
    creator: Option<Creator>,
}

#[derive(Deserialize)]
struct Creator {
    login: String,
}

#[derive(Deserialize)]
struct StatusAnswer {
    log_url: Option<String>,
    target_url: Option<String>,
}

/// Finds the deployment that GitHub created for this run because the job has `environment:` with the same name. `commits`
/// are those of the run: for a pull request, its head and the merge commit.
pub async fn of_run(client: &Client, environment: &str, commits: &[&str], run: u64) -> Result<Option<u64>, ApiError> {
    for (index, sha) in commits.iter().enumerate() {
        if commits[..index].contains(sha) {
            continue;
        }
        let query =
            [("environment", environment.to_owned()), ("sha", (*sha).to_owned()), ("per_page", NEWEST.to_string())];
        let found: Vec<Deployment> = client.get("/deployments", &query).await?;
        let by_actions = |one: &&Deployment| one.creator.as_ref().is_some_and(|creator| creator.login == ACTIONS);
        for deployment in found.iter().filter(by_actions) {
            let statuses: Vec<StatusAnswer> = client.get(&statuses_of(deployment.id), &[]).await?;
            let is_of_run = |url: &str| url.split("/actions/runs/").nth(1).is_some_and(|rest| begins_with(rest, run));
            let mut urls = statuses.iter().flat_map(|status| [&status.log_url, &status.target_url]).flatten();
            if urls.any(|url| is_of_run(url)) {
                return Ok(Some(deployment.id));
            }
        }
    }
    Ok(None)
}

/// Creates a deployment and returns its id.
pub async fn create(client: &Client, wanted: &Wanted) -> Result<u64, ApiError> {
    let body = NewDeployment {
        reference: &wanted.sha,
        environment: &wanted.environment,
        description: &wanted.description,
        auto_merge: false,
        required_contexts: [],
        transient_environment: wanted.lifetime == Lifetime::PullRequest,
        production_environment: wanted.lifetime == Lifetime::Permanent && is_production(&wanted.environment),
    };
    let created: Deployment = client.post("/deployments", &body).await?;
    Ok(created.id)
}

/// Updates the status of a deployment. When it succeeds, GitHub marks the previous ones as inactive.
pub async fn update(client: &Client, deployment: u64, status: &Status) -> Result<(), ApiError> {
    let body = NewStatus {
        state: status.state,
        log_url: &status.log_url,
        environment_url: status.environment_url.as_deref(),
        description: shortened(&status.description),
    };
    client.post::<serde_json::Value>(&statuses_of(deployment), &body).await.map(drop)
}

fn statuses_of(deployment: u64) -> String {
    format!("/deployments/{deployment}/statuses")
}

fn begins_with(rest: &str, run: u64) -> bool {
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse() == Ok(run)
}

/// Whether the name indicates a production environment: `production`, `prod-eu`, `Production/blue`.
fn is_production(environment: &str) -> bool {
    let first = environment.split(|character: char| !character.is_alphanumeric()).next().unwrap_or_default();
    ["production", "prod"].iter().any(|word| first.eq_ignore_ascii_case(word))
}

fn shortened(description: &str) -> String {
    match description.char_indices().nth(LONGEST_DESCRIPTION) {
        None => description.to_owned(),
        Some(_) => description.chars().take(LONGEST_DESCRIPTION - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{begins_with, is_production, shortened};

    #[test]
    fn recognizes_production_by_its_name() {
        for yes in ["production", "Production", "prod", "prod-eu", "production/blue"] {
            assert!(is_production(yes), "{yes}");
        }
        for no in ["staging", "pre-production", "product", "review/prod", ""] {
            assert!(!is_production(no), "{no}");
        }
    }

    #[test]
    fn compares_whole_run_ids() {
        assert!(begins_with("12/job/3", 12) && begins_with("12", 12));
        assert!(!begins_with("123/job/3", 12) && !begins_with("1", 12) && !begins_with("", 12));
    }

    #[test]
    fn descriptions_are_short() {
        assert_eq!(shortened("built"), "built");
        let cut = shortened(&"é".repeat(141));
        assert_eq!((cut.chars().count(), cut.ends_with('…')), (140, true));
    }
}
