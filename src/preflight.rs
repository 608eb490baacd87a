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
        ssh::{AgentSource, Agents},
        support,
    },
    domain::{
        credentials::Credentials,
        event::Diagnostic,
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
    /// SSH agents of each image, by id.
    pub ssh: HashMap<String, Vec<(String, AgentSource)>>,
}

/// The plan's images with every path resolved, once all of them are there.
pub fn recipes(plan: &Plan, edges: &Edges) -> Result<Vec<Recipe>, Failure> {
    let recipes: Vec<Recipe> =
        plan.images.iter().map(|image| Recipe::new(image, &edges.project, &edges.place)).collect();
    for recipe in &recipes {
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

/// Fits the recipes to the engine, or says what it cannot do; `Ok` holds what it may not be able to do.
pub async fn support(builder: &Builder, recipes: &mut [Recipe]) -> Result<Vec<Diagnostic>, Failure> {
    let mut doubts = Vec::new();
    for recipe in recipes {
        match &builder.worker.host_gateway {
            Some(address) => recipe.resolve_host(address),
            None if recipe.names_host() => {
                let hint = "write the host's address as the containers see it, such as 172.17.0.1";
                return Err(wrong(&recipe.name, "this engine does not tell what `host-gateway` is".to_owned(), hint));
            }
            None => {}
        }
        if builder.worker.store == Store::Classic {
            support::of_classic_store(recipe)?;
        }
        let text = match &recipe.dockerfile {
            Dockerfile::File { directory, name } => fs::read_to_string(directory.join(name)).ok(),
            Dockerfile::Inline(text) => Some(text.clone()),
            Dockerfile::InContext(_) => None,
        };
        // An engine that does not tell its version is not called old for that.
        if support::is_new(recipe) && builder.engine.is_old().await.unwrap_or(false) {
            support::of_old_engine(recipe, text.as_deref())?;
        }
        let text = text.unwrap_or_default();
        doubts.extend(support::without_emulation(recipe, &builder.worker.platforms, &text));
    }
    Ok(doubts)
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
    let worker = control.worker().await.map_err(|status| {
        let headline = format!("the engine's BuildKit does not answer: {}", status.message());
        failed(headline, "Docker Engine 20.10 or newer is needed")
    })?;
    Ok(Builder {
        engine: Engine::new(address),
        control,
        credentials: edges.credentials.clone(),
        secrets: edges.secrets.clone(),
        ssh: agents(edges)?,
        // Only images of the classic store leave a question for the registry itself.
        http: (worker.store == Store::Classic && plan.push.enabled).then(|| http::builder().build().ok()).flatten(),
        worker,
    })
}

/// Reads the keys for SSH mounts.
fn agents(edges: &Edges) -> Result<HashMap<String, Agents>, Failure> {
    let read = |(image, sources): (&String, &Vec<(String, AgentSource)>)| {
        let agents = Agents::read(sources).map_err(|error| wrong(image, error.to_string(), error.hint()))?;
        Ok((image.clone(), agents))
    };
    edges.ssh.iter().map(read).collect()
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
