//! All images of a run, built at the same time.

use std::collections::HashMap;

use futures_util::{StreamExt as _, stream::FuturesUnordered};

use super::{Builder, Goal, built::Built, image, solve::ImageBuild, spec::BuildSpec};
use crate::{
    buildkit::{Build, build::NoCache, gateway::LinkedBuilds},
    domain::{digest::Digest, event::ImageEvent, failure::Failure},
    events::Events,
    plan::images::Purpose,
};

/// Builds all images at the same time. Those that are to be pushed are uploaded, so that their registry has them under
/// their digests; no tag is touched. An engine with the classic store uploads later, in [`crate::publish`]. The first
/// failure stops the other builds.
///
/// # Errors
/// The first image that could not be built or uploaded.
pub async fn all(builder: &Builder, specs: &[BuildSpec], goal: Goal, events: &Events) -> Result<Vec<Built>, Failure> {
    let links = LinkedBuilds::new(specs.iter().map(|spec| &spec.build));
    each(specs, events, |spec| image::build(ImageBuild { builder, spec, links: &links }, goal, events)).await
}

/// Lets BuildKit push the images of `wanted` under their tags, to registries that BuildKit can reach and this process
/// cannot. All images are in BuildKit's cache by now. Returns the digest that each image was pushed under, by name.
///
/// # Errors
/// The first image that could not be pushed. Some of its tags, and of the other images' tags, may have moved.
pub async fn push_by_name(
    builder: &Builder,
    wanted: &[BuildSpec],
    all: &[BuildSpec],
    events: &Events,
) -> Result<HashMap<String, Digest>, Failure> {
    let specs = with_bases(wanted, all);
    let links = LinkedBuilds::new(specs.iter().map(|spec| &spec.build));
    // The build was reported when it ran.
    let muted = events.unheard();
    let push = |spec| image::push_by_name(ImageBuild { builder, spec, links: &links }, &muted);
    let pushed = each(&specs, &muted, push).await?;
    Ok(specs.iter().zip(pushed).filter_map(|(spec, digest)| Some((spec.name.clone(), digest?))).collect())
}

/// The wanted images and their bases, which are only built.
fn with_bases(wanted: &[BuildSpec], all: &[BuildSpec]) -> Vec<BuildSpec> {
    // The steps that just ran are in the builder's cache, also those that ignored it.
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

/// Does `work` for all images concurrently. At the first failure the other futures are dropped, which stops their builds in
/// the daemon too.
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
