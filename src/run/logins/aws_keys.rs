//! The AWS keys of a run: those of a role, by the job's OIDC token, or else those in the usual variables. Requested
//! once.

use reqwest::Client;

use crate::{
    aws::{
        ecr::PUBLIC_REGION,
        endpoint::{Endpoint, Service},
        keys::Keys,
        sts::{self, Claims},
    },
    domain::{ecr::EcrHost, secret::Secret},
    github::oidc,
    inputs::{runner::RunnerEnv, typed::Inputs},
};

/// The reason for missing keys.
#[derive(Clone, Debug)]
pub(super) struct NoKeys {
    pub(super) headline: String,
    pub(super) hint: String,
    /// Whether the workflow does not pass any.
    pub(super) is_absent: bool,
}

/// The source of the keys.
pub(super) struct KeySource<'a> {
    inputs: &'a Inputs,
    env: &'a RunnerEnv,
    known: Option<Result<Keys, NoKeys>>,
}

impl<'a> KeySource<'a> {
    pub(super) fn new(inputs: &'a Inputs, env: &'a RunnerEnv) -> Self {
        Self { inputs, env, known: None }
    }

    /// Returns the keys, which are valid for every registry of the run. Adds new secret values to `secrets`.
    pub(super) async fn keys(
        &mut self,
        http: &Client,
        host: &EcrHost,
        secrets: &mut Vec<Secret>,
    ) -> Result<Keys, NoKeys> {
        if let Some(known) = &self.known {
            return known.clone();
        }
        let found = match &self.inputs.aws.role {
            Some(role) => self.of_role(http, role, host, secrets).await,
            None => self.of_variables(),
        };
        self.known = Some(found.clone());
        found
    }

    fn of_variables(&self) -> Result<Keys, NoKeys> {
        let var = |name: &str| self.env.var(name);
        match (var("AWS_ACCESS_KEY_ID"), var("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => Ok(Keys {
                id: id.to_owned(),
                secret: Secret::new(secret),
                session: var("AWS_SESSION_TOKEN").map(Secret::new),
            }),
            _ => Err(NoKeys {
                headline: "no AWS credentials were found".to_owned(),
                hint:
                    "set `aws-role` and add `id-token: write` to the job's `permissions`, or set AWS_ACCESS_KEY_ID and \
                       AWS_SECRET_ACCESS_KEY in `env:`, or `username` and `password`"
                        .to_owned(),
                is_absent: true,
            }),
        }
    }

    async fn of_role(
        &self,
        http: &Client,
        role: &str,
        host: &EcrHost,
        secrets: &mut Vec<Secret>,
    ) -> Result<Keys, NoKeys> {
        let failed = |headline: String, hint: String| NoKeys { headline, hint, is_absent: false };
        let var = |name: &str| self.env.var(name);
        let (Some(url), Some(bearer)) = (var("ACTIONS_ID_TOKEN_REQUEST_URL"), var("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
        else {
            return Err(failed(
                "the job is not allowed to request an OIDC token from GitHub, which `aws-role` requires".to_owned(),
                "add `id-token: write` to the job's `permissions`; pull requests from forks never have it".to_owned(),
            ));
        };
        let token = oidc::id_token(http, url, &Secret::new(bearer), sts::AUDIENCE).await.map_err(|error| {
            failed(error.to_string(), "add `id-token: write` to the job's `permissions`".to_owned())
        })?;
        secrets.push(token.clone());
        let given =
            self.inputs.aws.region.as_deref().or_else(|| var("AWS_REGION")).or_else(|| var("AWS_DEFAULT_REGION"));
        let (region, domain) = match host {
            EcrHost::Private { region, domain, .. } => (given.unwrap_or(region), *domain),
            EcrHost::Public => (given.unwrap_or(PUBLIC_REGION), "amazonaws.com"),
        };
        let endpoint = Endpoint::new(Service::Sts, region, domain, var);
        let session = format!("build-deploy-{}", var("GITHUB_RUN_ID").unwrap_or("local"));
        let keys = sts::assume_role(http, &endpoint, role, &session, &token).await.map_err(|error| {
            failed(format!("failed to assume the role {role}: {error}"), sts::hint(&error, &Claims::of(&token)))
        })?;
        secrets.extend(keys.secrets().cloned());
        Ok(keys)
    }
}
