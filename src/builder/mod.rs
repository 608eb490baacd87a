//! Builds all images of a run with BuildKit, and uploads them.
//!
//! In reading order: what is built ([`spec`]) and with what ([`node`], [`container`], [`buildkitd`], [`engine`]); what a
//! builder supports ([`capabilities`], [`support`], [`caches`]); one image ([`image`]), on several builders (`split`); what is
//! reported ([`progress`]) and why a build failed ([`diagnose`], [`explain`]); what is read back ([`content`]).

pub mod buildkitd;
pub mod caches;
pub mod capabilities;
pub mod container;
pub mod content;
pub mod diagnose;
pub mod engine;
pub mod explain;
pub mod image;
mod lines;
mod load;
pub mod node;
pub mod progress;
pub mod spec;
mod split;
pub mod support;

use std::{collections::HashMap, sync::Arc};

use futures_util::{StreamExt as _, stream::FuturesUnordered};

pub use self::image::{Built, Content};
use self::{capabilities::Store, engine::Engine, node::Node, spec::BuildSpec};
use crate::{
    buildkit::{Build, build::NoCache, gateway::LinkedBuilds, session::BuildSecret, ssh::Agents},
    domain::{digest::Digest, event::ImageEvent, failure::Failure},
    events::Events,
    plan::images::Purpose,
    registry::{permissions::PushTarget, registries::Registries},
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
    /// The registries, with their credentials.
    pub registries: Registries,
    /// Build secrets: by image, then by id.
    pub secrets: HashMap<String, HashMap<String, BuildSecret>>,
    /// SSH agents of each image.
    pub ssh: HashMap<String, Agents>,
}

impl Builder {
    /// The registry that an error of a push is about.
    fn push_target<'a>(&self, spec: &'a BuildSpec, message: &str) -> PushTarget<'a> {
        let host = spec.registry_in(message);
        PushTarget { host, has_login: self.registries.credentials().for_host(host).is_some() }
    }

    /// Whether it is none of an engine's own BuildKit.
    pub fn is_outside_engine(&self) -> bool {
        self.nodes.iter().any(|node| node.capabilities.store == Store::Standalone)
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
        self.nodes.iter().any(|node| node.capabilities.store == Store::Classic)
    }
}

/// Builds all images at the same time. Those that are to be pushed are uploaded, so that their registry has them under
/// their digests; no tag is touched. An engine with the classic store uploads later, in [`crate::publish`]. The first
/// failure stops the others.
///
/// # Errors
/// The first image that could not be built or uploaded.
pub async fn all(builder: &Builder, specs: &[BuildSpec], goal: Goal, events: &Events) -> Result<Vec<Built>, Failure> {
    let links = LinkedBuilds::new(specs.iter().map(|spec| &spec.build));
    each(specs, events, |spec| image::build(builder, (spec, &links), goal, events)).await
}

/// Lets BuildKit push the images of `wanted` under their tags, for registries that it reaches and this process does
/// not. Everything is in its cache by now. Returns what each tag was given, by image.
///
/// # Errors
/// The first image that could not be pushed. Of its tags, and those of the others, some may have moved.
pub async fn push_by_name(
    builder: &Builder,
    wanted: &[BuildSpec],
    all: &[BuildSpec],
    events: &Events,
) -> Result<HashMap<String, Digest>, Failure> {
    let specs = with_bases(wanted, all);
    let links = LinkedBuilds::new(specs.iter().map(|spec| &spec.build));
    // Everything was told when it was built.
    let quiet = events.unheard();
    let pushed = each(&specs, &quiet, |spec| image::push_by_name(builder, (spec, &links), &quiet)).await?;
    Ok(specs.iter().zip(pushed).filter_map(|(spec, digest)| Some((spec.name.clone(), digest?))).collect())
}

/// The wanted images and those that they are built upon, which are only built.
fn with_bases(wanted: &[BuildSpec], all: &[BuildSpec]) -> Vec<BuildSpec> {
    // What was built a moment ago is the newest in the builder's cache.
    let cached = |spec: &BuildSpec| spec.with(Build { no_cache: NoCache::Never, ..spec.build.without_caches() });
    let mut specs: Vec<BuildSpec> = wanted.iter().map(cached).collect();
    let mut next = 0;
    while let Some(spec) = specs.get(next) {
        let is_missing = |name: &&str| !specs.iter().any(|known| known.name == *name);
        let missing: Vec<&str> = spec.build.bases().filter(is_missing).collect();
        let bases = all.iter().filter(|one| missing.contains(&one.name.as_str()));
        let bases: Vec<BuildSpec> = bases.map(|base| BuildSpec { purpose: Purpose::Context, ..cached(base) }).collect();
        specs.extend(bases);
        next += 1;
    }
    specs
}

/// Does `work` for every image at once; at the first failure the rest is dropped, which stops it in the daemon too.
async fn each<'a, R, F>(
    items: &'a [BuildSpec],
    events: &Events,
    work: impl Fn(&'a BuildSpec) -> F,
) -> Result<Vec<R>, Failure>
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
                events.image(&items[index].name, ImageEvent::Failed(Box::new(failure.clone()))).await;
                let unfinished = results.iter().zip(items).enumerate();
                for (_, (_, item)) in unfinished.filter(|(other, (done, _))| *other != index && done.is_none()) {
                    events.image(&item.name, ImageEvent::Cancelled).await;
                }
                return Err(failure);
            }
        }
    }
    Ok(results.into_iter().flatten().collect())
}
