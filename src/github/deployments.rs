//! GitHub deployments: what the repository's page shows under "Environments".
//!
//! API: <https://docs.github.com/en/rest/deployments>; needs the permission `deployments: write`.

use serde::{Deserialize, Serialize};

use super::client::{ApiError, Client};

/// Longest description of a status, in characters.
const LONGEST_DESCRIPTION: usize = 140;
/// How many of an environment's newest deployments are looked at to find the one that the job itself made.
const NEWEST: usize = 10;
/// Who makes the deployments of jobs with `environment:`.
const ACTIONS: &str = "github-actions[bot]";

/// A deployment that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Name of the environment.
    pub environment: String,
    /// The commit: 40 hex digits.
    pub sha: String,
    /// What for, in a few words.
    pub description: String,
    /// How long the environment lives.
    pub lifetime: Lifetime,
}

/// How long an environment lives, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as its pull request.
    PullRequest,
    /// For good.
    Lasting,
}

/// A step in the life of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is being made.
    InProgress,
    /// It stands.
    Success,
    /// It failed.
    Failure,
    /// It was called off: the deployment before it stays the active one.
    Inactive,
}

/// What is told of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Where it is.
    pub state: State,
    /// The page of the job's log.
    pub log_url: String,
    /// Where the deployed site can be seen.
    pub environment_url: Option<String>,
    /// In a few words; cut at 140 characters.
    pub description: String,
}

#[derive(Serialize)]
struct NewDeployment<'a> {
    #[serde(rename = "ref")]
    reference: &'a str,
    environment: &'a str,
    description: &'a str,
    /// Merging the default branch into what is deployed is nobody's wish here.
    auto_merge: bool,
    /// All commit statuses may be open: ours is one of them.
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
struct Told {
    log_url: Option<String>,
    target_url: Option<String>,
}

/// The deployment that GitHub made for this run because the job has `environment:` of the same name. `commits` are the
/// run's: of a pull request, its newest and the merge that is tried.
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
            let statuses: Vec<Told> = client.get(&statuses_of(deployment.id), &[]).await?;
            let is_of_run = |url: &str| url.split("/actions/runs/").nth(1).is_some_and(|rest| begins_with(rest, run));
            let mut urls = statuses.iter().flat_map(|told| [&told.log_url, &told.target_url]).flatten();
            if urls.any(|url| is_of_run(url)) {
                return Ok(Some(deployment.id));
            }
        }
    }
    Ok(None)
}

/// Makes a deployment and returns its number.
pub async fn create(client: &Client, wanted: &Wanted) -> Result<u64, ApiError> {
    let body = NewDeployment {
        reference: &wanted.sha,
        environment: &wanted.environment,
        description: &wanted.description,
        auto_merge: false,
        required_contexts: [],
        transient_environment: wanted.lifetime == Lifetime::PullRequest,
        production_environment: wanted.lifetime == Lifetime::Lasting && is_production(&wanted.environment),
    };
    let made: Deployment = client.post("/deployments", &body).await?;
    Ok(made.id)
}

/// Tells where a deployment is. When it succeeds, GitHub calls the ones before it inactive.
pub async fn tell(client: &Client, deployment: u64, status: &Status) -> Result<(), ApiError> {
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

/// Whether end users meet the environment, by its name: `production`, `prod-eu`, `Production/blue`.
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
    fn production_goes_by_its_name() {
        for yes in ["production", "Production", "prod", "prod-eu", "production/blue"] {
            assert!(is_production(yes), "{yes}");
        }
        for no in ["staging", "pre-production", "product", "review/prod", ""] {
            assert!(!is_production(no), "{no}");
        }
    }

    #[test]
    fn runs_are_told_apart_by_their_whole_number() {
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
