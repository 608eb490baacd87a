//! Builds all images of a run with the engine's BuildKit, and pushes them.
//!
//! In reading order: what is built ([`recipe`]), how the daemon is asked ([`request`], pure), how it is reached
//! ([`transport`], [`solve`], [`gateway`], [`engine`]), what it is served ([`session`], [`filesync`]), and what its answers mean
//! ([`progress`], [`diagnose`], [`explain`], pure).

pub mod content;
pub mod diagnose;
pub mod engine;
pub mod explain;
pub mod filesync;
pub mod gateway;
pub mod image;
pub mod progress;
pub mod recipe;
pub mod request;
pub mod session;
pub mod solve;
pub mod ssh;
pub mod support;
pub mod transport;

use std::collections::HashMap;

use futures_util::{StreamExt as _, stream::FuturesUnordered};

use self::{
    engine::Engine,
    gateway::Links,
    image::Built,
    recipe::Recipe,
    session::BuildSecret,
    solve::{Control, Worker},
    ssh::Agents,
};
use crate::{
    domain::{credentials::Credentials, event::ImageEvent, run::Failure},
    events::Events,
};

/// What the images are built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// To see whether they build.
    Check,
    /// To be pushed.
    Push,
    /// To be used in the engine.
    Load,
    /// Both.
    PushAndLoad,
}

impl Goal {
    /// Whether the images go to a registry.
    pub fn pushes(self) -> bool {
        matches!(self, Self::Push | Self::PushAndLoad)
    }
}

/// What the images of a run are built with.
#[derive(Debug)]
pub struct Builder {
    /// The engine's API.
    pub engine: Engine,
    /// The engine's BuildKit.
    pub control: Control,
    /// What it builds with.
    pub worker: Worker,
    /// Registry credentials.
    pub credentials: Credentials,
    /// Build secrets: by image, then by id.
    pub secrets: HashMap<String, HashMap<String, BuildSecret>>,
    /// SSH agents of each image.
    pub ssh: HashMap<String, Agents>,
    /// For what only the registry itself knows; `None` where it need not be asked.
    pub http: Option<reqwest::Client>,
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
