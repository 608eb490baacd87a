//! What must be true before anything is built: the checkout is there, the engine answers, the registry takes the
//! credentials.

mod builder;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

pub use builder::builder;

use crate::{
    build::{
        Builder,
        caches::Accounts,
        container::Seats,
        explain,
        recipe::{Context, Dockerfile, Recipe},
        session::BuildSecret,
    },
    domain::{
        credentials::Credentials,
        run::{Failure, Stage},
    },
    inputs::builder::{BuilderInput, ContainerInput},
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
    /// What is to build.
    pub builder: BuilderInput,
    /// What a container that builds is made of.
    pub container: ContainerInput,
    /// What opens caches.
    pub accounts: Accounts,
    /// Directories of the runner's host, and where they are mounted here.
    pub mounts: Vec<(PathBuf, PathBuf)>,
    /// The containers that the run sits in, to be left after it.
    pub seats: Seats,
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

/// Resolves when a registry says that it does not accept the credentials; else never.
///
/// An answer that proves nothing (a registry that cannot be reached just now, one without a login of its own) is left
/// to the push.
pub async fn refused_login(builder: &Builder, plan: &Plan) -> Failure {
    let mut hosts: Vec<&str> = plan.images.iter().map(|image| image.repository.host()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    for host in hosts.into_iter().filter(|_| plan.push.enabled) {
        let (Some(engine), Some(login)) = (&builder.engine, builder.credentials.for_host(host)) else { continue };
        if let Err(error) = engine.check_login(host, login).await
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
