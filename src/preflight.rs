//! What must be true before anything is built: the checkout is there, the engine answers, the registry takes the
//! credentials.

use std::{
    collections::HashMap,
    error::Error as _,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    build::{
        Builder,
        engine::{self, Engine},
        explain,
        recipe::{Context, Dockerfile, Recipe},
        session::BuildSecret,
        solve::{Control, Store},
    },
    domain::{
        credentials::Credentials,
        run::{Failure, Stage},
    },
    http,
    plan::Plan,
};

/// The world around a run.
#[derive(Clone, Debug)]
pub struct Edges {
    /// The project's directory, absolute.
    pub project: PathBuf,
    /// The same, relative to the repository.
    pub place: String,
    /// The variable `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// Registry credentials.
    pub credentials: Credentials,
    /// Build secrets: by image, then by id.
    pub secrets: HashMap<String, HashMap<String, BuildSecret>>,
}

/// The plan's images with every path resolved, once all of them are there.
pub fn recipes(plan: &Plan, edges: &Edges) -> Result<Vec<Recipe>, Failure> {
    let recipes: Vec<Recipe> =
        plan.images.iter().map(|image| Recipe::new(image, &edges.project, &edges.place)).collect();
    for recipe in &recipes {
        if recipe.tags.is_empty() && (plan.push.enabled || plan.load) {
            return Err(wrong(
                &recipe.name,
                format!("there is no tag to give {}: no rule of `tags` fits this event", recipe.repository),
                "add a rule that does, such as `type=ref,event=branch` or `type=sha`, or run this workflow on other events",
            ));
        }
        let named = recipe.named_contexts.iter().map(|(_, context)| context);
        for context in named.chain([&recipe.context]) {
            if let Context::Directory(path) = context
                && !path.is_dir()
            {
                return Err(wrong(
                    &recipe.name,
                    format!("the build context {} is no directory", shown(path, edges)),
                    "check `context` in the compose file; it is relative to that file",
                ));
            }
        }
        if let Dockerfile::File { directory, name } = &recipe.dockerfile
            && !directory.join(name).is_file()
        {
            return Err(wrong(
                &recipe.name,
                format!("the Dockerfile {} does not exist", shown(&directory.join(name), edges)),
                "check `dockerfile`; it is relative to the build context",
            ));
        }
    }
    for (image, secrets) in &edges.secrets {
        for (id, secret) in secrets {
            if let BuildSecret::File(path) = secret
                && let Err(error) = fs::metadata(path)
            {
                let headline = format!("build secret {id}: {}: {error}", shown(path, edges));
                return Err(wrong(image, headline, "check the input `secret-files` and `secrets` in the compose file"));
            }
        }
    }
    Ok(recipes)
}

/// Connects to the engine.
pub async fn builder(plan: &Plan, edges: &Edges) -> Result<Builder, Failure> {
    let failed = |headline, hint: &str| Failure::new(Stage::Preflight, headline, Some(hint.to_owned()));
    let address =
        engine::locate(edges.docker_host.as_deref()).map_err(|error| failed(error.to_string(), error.hint()))?;
    let control = Control::connect(&address).await.map_err(|error| {
        let reason = error.source().map_or_else(String::new, |source| format!(": {source}"));
        failed(format!("{error}{reason}"), "is Docker running on this runner, and may this user open its socket?")
    })?;
    let store = control.store().await.map_err(|status| {
        let headline = format!("the engine's BuildKit does not answer: {}", status.message());
        failed(headline, "Docker Engine 20.10 or newer is needed")
    })?;
    Ok(Builder {
        engine: Engine::new(address),
        control,
        store,
        credentials: edges.credentials.clone(),
        secrets: edges.secrets.clone(),
        // Only images of the classic store leave a question for the registry itself.
        http: (store == Store::Classic && plan.push.enabled).then(|| http::builder().build().ok()).flatten(),
    })
}

/// Resolves when a registry says that it does not accept the credentials; else never.
///
/// An answer that proves nothing (a registry that cannot be reached just now, one without a login of its own) is left
/// to the push.
pub async fn refused_login(builder: &Builder, plan: &Plan) -> Failure {
    let mut hosts: Vec<&str> = plan.images.iter().map(|image| image.repository.host()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    for host in hosts.into_iter().filter(|_| plan.push.enabled) {
        let Some(login) = builder.credentials.for_host(host) else { continue };
        if let Err(error) = builder.engine.check_login(host, login).await
            && explain::is_refused_login(error.status(), &error.to_string())
        {
            let hint = explain::refusal_hint(host, &error.to_string());
            return Failure::new(Stage::Preflight, format!("{host} does not accept the credentials"), Some(hint));
        }
    }
    std::future::pending().await
}

fn shown(path: &Path, edges: &Edges) -> String {
    path.strip_prefix(&edges.project).unwrap_or(path).display().to_string()
}

fn wrong(image: &str, headline: String, hint: &str) -> Failure {
    Failure { image: Some(image.to_owned()), ..Failure::new(Stage::Plan, headline, Some(hint.to_owned())) }
}
