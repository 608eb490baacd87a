//! Registry logins: collects the credentials of a run from all their sources.
//!
//! The first source that matches a host is used: the inputs; on a laptop, the credential helpers of its user; `config.json`
//! in `DOCKER_CONFIG`, to which Docker prefers the helpers too; for `ghcr.io` the job's own token; for Amazon ECR a login
//! from AWS. The credentials are secret and must be masked before anything is shown.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use futures_util::future::join_all;

use super::{job::JobContext, observers::chat::warning};
use crate::{
    aws::{ecr, endpoint::Endpoint, error::AwsError, keys::Keys},
    builder::spec::LARGEST_DOCKERFILE,
    compose::ContextSource,
    domain::{
        credentials::{Credentials, Login},
        diagnostic::Diagnostic,
        ecr::EcrHost,
        failure::Failure,
        repository::{Repository, host_of},
        secret::Secret,
        stage::Stage,
    },
    http,
    inputs::{
        runner::RunnerEnv,
        typed::{self, Inputs, MissingRepository},
    },
    plan::Plan,
    registry::docker_config::DockerConfig,
    regular_file,
};

use aws_keys::{KeySource, NoKeys};
use helpers::{Helpers, Unused};

mod aws_keys;
mod helpers;

/// Time limit for AWS and GitHub together, and for the credential helpers, which may ask their user.
const LIMIT: Duration = Duration::from_secs(30);
/// Maximum size of Docker's `config.json` in bytes.
const LARGEST_CONFIG: u64 = 1 << 20;
/// The registry that accepts GitHub's own token as password.
const GHCR: &str = "ghcr.io";
/// The registry of base images without one.
const DOCKER_HUB: &str = "docker.io";

/// The logins of a run.
#[derive(Debug, Default)]
pub struct Logins {
    /// The logins.
    pub credentials: Credentials,
    /// Values to mask that are not in the inputs.
    pub secrets: Vec<Secret>,
    /// Warnings for the user.
    pub warnings: Vec<Diagnostic>,
    /// The reason why the run cannot push.
    pub failure: Option<Failure>,
    helpers: Helpers,
    /// Those of `credentials` that are written in `config.json`.
    in_file: Credentials,
}

/// An Amazon registry that the run needs.
struct Wanted {
    host: String,
    ecr: EcrHost,
    /// The repositories that the run pushes to.
    pushes: Vec<String>,
    /// Whether the workflow names it, so that it expects a login.
    named: bool,
}

impl Logins {
    /// Returns the logins that need no request: those of the inputs, of `DOCKER_CONFIG`, and the job's own for
    /// `ghcr.io`.
    pub fn given(inputs: &Inputs, env: &RunnerEnv) -> Self {
        let mut logins = Self::written(inputs, env);
        logins.of_job(inputs);
        logins
    }

    /// Returns the logins of the inputs and of `DOCKER_CONFIG`.
    fn written(inputs: &Inputs, env: &RunnerEnv) -> Self {
        let mut logins = Self::default();
        for given in inputs.registry.credentials.iter().filter(|given| key_of(given).is_none()) {
            logins.credentials.insert(&given.registry, login_of(given));
        }
        if let Some(directory) = env.var("DOCKER_CONFIG") {
            logins.docker_config(Path::new(directory));
        }
        logins
    }

    /// Adds the job's own login for `ghcr.io`.
    fn of_job(&mut self, inputs: &Inputs) {
        if let Some(github) = &inputs.registry.github {
            self.credentials.insert_missing(GHCR, login_of(github));
        }
    }

    /// Collects the logins for the registries of the plan. Asks AWS only for Amazon registries without a login.
    pub async fn gather(plan: &Plan, inputs: &Inputs, env: &RunnerEnv, context: &JobContext) -> Self {
        let mut logins = Self::written(inputs, env);
        // As in docker/login-action, user name and password may be an access key, which AWS exchanges for a login.
        let given = inputs.registry.credentials.iter();
        let keys: Vec<_> = given.filter_map(|given| Some((given.registry.clone(), key_of(given)?))).collect();
        let hosts = hosts(plan, inputs);
        let texts = texts(plan, context);
        // Base images come from Docker Hub unless they name another registry.
        let named = texts.iter().flat_map(|text| logins.helpers.named_in(text));
        let asked = hosts.iter().copied().chain([DOCKER_HUB]).chain(named);
        let asked = asked.filter(|host| !keys.iter().any(|(registry, _)| registry == host));
        let asked = asked.map(String::from).collect();
        let absent = logins.ask_helpers(asked, env).await;
        logins.of_job(inputs);
        let wanted = wanted(plan, inputs, &hosts, &texts);
        if tokio::time::timeout(LIMIT, logins.ecr(&wanted, &keys, inputs, env)).await.is_err() {
            logins.failure = Some(Failure::new(
                Stage::Preflight,
                format!("the login at AWS timed out after {} s", LIMIT.as_secs()),
                Some("run the job again".to_owned()),
            ));
        }
        logins.warn_of_absent(&absent, env);
        logins
    }

    /// Adds the logins of `config.json` for registries without a login.
    fn docker_config(&mut self, directory: &Path) {
        let path = directory.join("config.json");
        let shown = path.display();
        let text = match regular_file::read_text(&path, LARGEST_CONFIG) {
            Ok(text) => text,
            Err(error) => {
                let hint = if error.is_missing() {
                    "; move it into the workspace or `${{ runner.temp }}`; no other directory is mounted into the action"
                } else {
                    ""
                };
                self.warnings.push(warning("DOCKER_CONFIG", format!("{shown}: {error}{hint}")));
                return;
            }
        };
        let Some(config) = DockerConfig::parse(&text) else {
            // The content is not quoted: it may be secret.
            self.warnings.push(warning("DOCKER_CONFIG", format!("{shown} is not a valid Docker configuration")));
            return;
        };
        self.secrets.extend(config.encoded);
        for (registry, login) in config.logins {
            self.secrets.push(login.password.clone());
            if self.credentials.for_host(&registry).is_none() {
                self.in_file.insert(&registry, login.clone());
                self.credentials.insert(&registry, login);
            }
        }
        self.helpers = Helpers::new(shown.to_string(), config.helpers, &config.empty);
    }

    /// Asks the credential helpers for the registries without a login in the inputs. Returns those whose helper cannot run
    /// here.
    async fn ask_helpers(&mut self, registries: BTreeSet<String>, env: &RunnerEnv) -> Vec<String> {
        let is_open = |registry: &String| {
            self.credentials.for_host(registry).is_none() || self.in_file.for_host(registry).is_some()
        };
        let asked = registries.into_iter().filter(is_open);
        let asked = asked.filter_map(|registry| self.helpers.of(&registry).map(String::from).zip(Some(registry)));
        let answers = asked.map(|(helper, registry)| async move {
            let answer = tokio::time::timeout(LIMIT, helpers::login(&helper, &registry, env)).await;
            let slow = |_| Err(Unused::Failed(format!("no answer within {} s", LIMIT.as_secs())));
            (registry, helper, answer.unwrap_or_else(slow))
        });
        let mut absent = Vec::new();
        for (registry, helper, answer) in join_all(answers).await {
            match answer {
                Ok(Some(login)) => {
                    self.secrets.extend([login.password.clone(), Secret::new(login.basic_token())]);
                    self.credentials.insert(&registry, login);
                }
                Ok(None) => {}
                Err(Unused::Absent) => absent.push(registry),
                Err(Unused::Failed(problem)) => {
                    let message = format!(
                        "the credential helper `docker-credential-{helper}` failed for {registry}: {problem}; run `docker \
                         login {registry}`"
                    );
                    self.warnings.push(warning("DOCKER_CONFIG", message));
                }
            }
        }
        absent
    }

    /// Warns of helpers that cannot run, if their registries have no login from elsewhere either.
    fn warn_of_absent(&mut self, registries: &[String], env: &RunnerEnv) {
        // `gcloud auth configure-docker` writes the same one for six registries.
        let mut by_helper: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for registry in registries.iter().filter(|registry| self.credentials.for_host(registry).is_none()) {
            if let Some(helper) = self.helpers.of(registry) {
                by_helper.entry(helper).or_default().push(registry);
            }
        }
        let file = &self.helpers.file;
        let why = if env.is_github_actions() { "cannot run inside this action" } else { "was not found" };
        let message = |(helper, registries): (&str, Vec<&str>)| {
            let registries = registries.join(", ");
            let message = format!(
                "the credential helper `docker-credential-{helper}` for {registries} in {file} {why}; pass the credentials \
                 with `username` and `password` or with `registries`"
            );
            warning("DOCKER_CONFIG", message)
        };
        self.warnings.extend(by_helper.into_iter().map(message));
    }

    /// Requests the logins of Amazon registries from AWS.
    async fn ecr(&mut self, wanted: &[Wanted], given: &[(String, Keys)], inputs: &Inputs, env: &RunnerEnv) {
        let mut source = KeySource::new(inputs, env);
        for one in wanted {
            let own = given.iter().find(|(host, _)| *host == one.host).map(|(_, keys)| keys.clone());
            let create = inputs.registry.missing_repository == MissingRepository::Create && !one.pushes.is_empty();
            if own.is_none() && self.credentials.for_host(&one.host).is_some() && !create {
                continue;
            }
            let result = self.ecr_login(one, own, create, &mut source, env).await;
            let Err((headline, hint)) = result else { continue };
            if one.pushes.is_empty() {
                self.warnings.push(warning("Amazon ECR", format!("{headline}; {hint}")));
            } else {
                self.failure = Some(Failure::new(Stage::Preflight, headline, Some(hint)));
                return;
            }
        }
    }

    /// Requests the login for one registry. The error is a headline and a hint.
    async fn ecr_login(
        &mut self,
        wanted: &Wanted,
        own: Option<Keys>,
        create: bool,
        source: &mut KeySource<'_>,
        env: &RunnerEnv,
    ) -> Result<(), (String, String)> {
        let host = &wanted.host;
        let client = http::builder()
            .build()
            .map_err(|error| (format!("failed to create an HTTP client: {error}"), String::new()))?;
        let keys = match own {
            Some(keys) => keys,
            None => match source.keys(&client, &wanted.ecr, &mut self.secrets).await {
                Ok(keys) => keys,
                // A registry that is only guessed from a Dockerfile may not need a login.
                Err(NoKeys { is_absent: true, .. }) if wanted.pushes.is_empty() && !wanted.named => return Ok(()),
                Err(NoKeys { headline, hint, .. }) => return Err((format!("no login for {host}: {headline}"), hint)),
            },
        };
        let endpoint = ecr::endpoint(&wanted.ecr, |name| env.var(name));
        if self.credentials.for_host(host).is_none() {
            let refused = |error: AwsError| (format!("no login for {host}: {error}"), error.hint());
            let login = ecr::login(&client, &endpoint, &keys).await.map_err(refused)?;
            self.secrets.extend([login.password.clone(), Secret::new(login.basic_token())]);
            self.credentials.insert(host, login);
        }
        if create {
            self.create(wanted, &client, &endpoint, &keys).await;
        }
        Ok(())
    }

    /// Creates missing repositories. A failure is only a warning: the repository may exist.
    async fn create(&mut self, wanted: &Wanted, client: &reqwest::Client, endpoint: &Endpoint, keys: &Keys) {
        for path in &wanted.pushes {
            if let Err(error) = ecr::create_repository(client, endpoint, keys, path).await {
                let message = format!("failed to create {}/{path}: {error}; {}", wanted.host, error.hint());
                self.warnings.push(warning("ecr-create-repository", message));
            }
        }
    }
}

fn login_of(given: &typed::Credentials) -> Login {
    Login { username: given.username.clone(), password: given.password.clone() }
}

/// Returns the access key in a login for Amazon ECR, which the format of its id shows
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids>).
fn key_of(given: &typed::Credentials) -> Option<Keys> {
    let id = &given.username;
    let is_key = id.starts_with("AKIA") && id.len() >= 16 && id.bytes().all(|b| b.is_ascii_alphanumeric());
    EcrHost::parse(&given.registry).filter(|_| is_key)?;
    Some(Keys { id: id.clone(), secret: given.password.clone(), session: None })
}

/// Returns the hosts that the run pushes to, uses as caches, or names.
fn hosts<'a>(plan: &'a Plan, inputs: &'a Inputs) -> BTreeSet<&'a str> {
    let mut hosts = plan.hosts();
    hosts.extend(inputs.registry.hosts.iter().map(String::as_str));
    hosts.extend(inputs.registry.credentials.iter().map(|given| given.registry.as_str()));
    let references = inputs.deploy.digests.iter().filter_map(|(_, value)| value.rsplit_once('@'));
    // Without a host, it is a name on Docker Hub.
    let named = references.filter(|(repository, _)| Repository::parse(repository).is_ok());
    hosts.extend(named.map(|(repository, _)| host_of(repository)));
    for image in &plan.images {
        for cache in image.cache_from.iter().chain(&image.cache_to) {
            let references = cache.attributes.iter().filter(|(name, _)| name == "ref");
            hosts.extend(references.filter_map(|(_, reference)| reference.split('/').next()));
        }
    }
    hosts
}

/// Returns everything in which builds name registries: Dockerfiles, build arguments and additional contexts.
fn texts(plan: &Plan, context: &JobContext) -> Vec<String> {
    let mut read = BTreeSet::new();
    let mut texts = Vec::new();
    for image in &plan.images {
        let file = image.dockerfile.as_ref().filter(|path| read.insert(path.as_str()));
        let file = file.and_then(|path| regular_file::read_text(&context.project.join(path), LARGEST_DOCKERFILE).ok());
        let contexts = image.build.additional_contexts.iter().filter_map(|(_, source)| match source {
            ContextSource::Remote(url) => Some(url.clone()),
            ContextSource::Path(_) | ContextSource::Service(_) => None,
        });
        texts.extend(image.build_args.values().cloned().chain(contexts).chain(file));
        texts.extend(image.build.dockerfile_inline.clone());
    }
    texts
}

/// Returns the Amazon registries of the run, including those that its builds name.
fn wanted(plan: &Plan, inputs: &Inputs, hosts: &BTreeSet<&str>, texts: &[String]) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = hosts.iter().filter_map(|host| Wanted::new(host, plan, true)).collect();
    for host in texts.iter().flat_map(|text| EcrHost::private_in(text)) {
        if !wanted.iter().any(|known| known.host == host) {
            wanted.extend(Wanted::new(host, plan, inputs.aws.role.is_some()));
        }
    }
    wanted
}

impl Wanted {
    fn new(host: &str, plan: &Plan, named: bool) -> Option<Self> {
        let all = plan.images.iter().flat_map(|image| image.destinations.repositories());
        let pushed = all.filter(|repository| plan.push.enabled && repository.host() == host);
        Some(Self {
            host: host.to_owned(),
            ecr: EcrHost::parse(host)?,
            pushes: pushed.map(|repository| repository.path().to_owned()).collect(),
            named,
        })
    }
}
