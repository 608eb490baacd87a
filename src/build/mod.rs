//! Builds all images of a run with BuildKit, and pushes them.
//!
//! In reading order: what is built ([`recipe`]), how the daemon is asked ([`request`], pure), how it is reached
//! ([`reach`], [`transport`], [`solve`], [`gateway`], [`engine`], [`container`]), what it can do and is waited for
//! ([`abilities`], [`support`], [`caches`], [`patience`], pure), who builds what ([`node`]), what it is served
//! ([`session`], [`filesync`], [`ssh`]), and what its answers mean ([`progress`], [`diagnose`], [`explain`], pure).

pub mod abilities;
pub mod buildkitd;
pub mod caches;
pub mod container;
pub mod content;
pub mod diagnose;
pub mod engine;
pub mod exec;
pub mod explain;
pub mod filesync;
pub mod gateway;
pub mod image;
pub mod load;
pub mod node;
pub mod patience;
pub mod progress;
pub mod reach;
mod readback;
pub mod recipe;
pub mod request;
pub mod session;
pub mod solve;
mod split;
pub mod ssh;
pub mod support;
pub mod tls;
pub mod transport;
pub mod tunnel;

use std::{collections::HashMap, sync::Arc};

use futures_util::{StreamExt as _, stream::FuturesUnordered};

use self::{
    abilities::Store, engine::Engine, gateway::Links, image::Built, node::Node, recipe::Recipe, session::BuildSecret,
    ssh::Agents,
};
use crate::{
    domain::{credentials::Credentials, event::ImageEvent, run::Failure},
    events::Events,
    http::OnDemand,
};

/// What the images are built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// To see whether they build.
    Check,
    /// The same, and to see how large they get, where the engine can tell.
    Measure,
    /// To be pushed.
    Push,
    /// To be used in the engine.
    Load,
    /// Both.
    PushAndLoad,
}

impl Goal {
    /// Whether the images are left in the engine.
    pub fn loads(self) -> bool {
        matches!(self, Self::Load | Self::PushAndLoad)
    }

    /// Whether the images go to a registry.
    pub fn pushes(self) -> bool {
        matches!(self, Self::Push | Self::PushAndLoad)
    }
}

/// What the images of a run are built with.
#[derive(Debug)]
pub struct Builder {
    /// What builds. At least one; more only if they are endpoints.
    pub nodes: Vec<Node>,
    /// The runner's engine, where it is needed or there.
    pub engine: Option<Arc<Engine>>,
    /// Registry credentials.
    pub credentials: Credentials,
    /// Build secrets: by image, then by id.
    pub secrets: HashMap<String, HashMap<String, BuildSecret>>,
    /// SSH agents of each image.
    pub ssh: HashMap<String, Agents>,
    /// For what only the registry itself knows.
    pub http: OnDemand,
    /// Tag of the images that sizes are compared with where nothing is pushed.
    pub compare_with: Option<String>,
}

impl Builder {
    /// Whether it is none of an engine's own BuildKit.
    fn is_outside_engine(&self) -> bool {
        self.nodes.iter().any(|node| node.abilities.store == Store::Standalone)
    }

    /// Whether it is the BuildKit of Docker 20.10 or older. An engine that does not tell its version is not called old.
    pub async fn is_old(&self) -> bool {
        match &self.engine {
            Some(engine) if !self.is_outside_engine() => engine.is_old().await.unwrap_or(false),
            _ => false,
        }
    }

    /// Whether BuildKit cannot push and the engine does.
    pub fn engine_pushes(&self) -> bool {
        self.nodes.iter().any(|node| node.abilities.store == Store::Classic)
    }
}

/// Builds all images at the same time and, if that is the goal, pushes them. The first failure stops the others. What
/// came out is told by events.
pub async fn all(builder: &Builder, recipes: &[Recipe], goal: Goal, events: &Events) -> Result<(), Failure> {
    let links = Links::new(recipes);
    let built = each(recipes, events, |recipe| image::build(builder, (recipe, &links), goal, events)).await?;
    // The classic store's images are pushed when all are built: a run that fails has moved no tag.
    let pairs: Vec<(&Recipe, Built)> = recipes.iter().zip(built).collect();
    each(&pairs, events, |(recipe, built)| image::publish(builder, recipe, built, goal, events)).await.map(drop)
}

/// Names the image that a piece of work is about.
trait Named {
    fn image(&self) -> &str;
}

impl Named for Recipe {
    fn image(&self) -> &str {
        &self.name
    }
}

impl Named for (&Recipe, Built) {
    fn image(&self) -> &str {
        &self.0.name
    }
}

/// Does `work` for every item at once; at the first failure the rest is dropped, which stops it in the daemon too.
async fn each<'a, T: Named, R, F>(items: &'a [T], events: &Events, work: impl Fn(&'a T) -> F) -> Result<Vec<R>, Failure>
where
    F: Future<Output = Result<R, Failure>>,
{
    let numbered = |(index, item)| {
        let done = work(item);
        async move { (index, done.await) }
    };
    let mut running: FuturesUnordered<_> = items.iter().enumerate().map(numbered).collect();
    let mut results: Vec<Option<R>> = items.iter().map(|_| None).collect();
    while let Some((index, result)) = running.next().await {
        match result {
            Ok(done) => results[index] = Some(done),
            Err(failure) => {
                drop(running);
                events.image(items[index].image(), ImageEvent::Failed(Box::new(failure.clone()))).await;
                let unfinished = results.iter().zip(items).enumerate();
                for (_, (_, item)) in unfinished.filter(|(other, (done, _))| *other != index && done.is_none()) {
                    events.image(item.image(), ImageEvent::Cancelled).await;
                }
                return Err(failure);
            }
        }
    }
    Ok(results.into_iter().flatten().collect())
}
