//! One image: its build, and its upload to the registry under its digest.

use std::time::Instant;

use super::{
    Builder, Goal,
    built::{Built, Content},
    capabilities::Store,
    content, load,
    node::{self, Node},
    solve::{BuildOutcome, ImageBuild, Solved, progress_of, push_failure},
    split,
};
use crate::{
    buildkit::{Build, build::NoCache, request::Export},
    domain::{
        digest::Digest,
        event::{ImageEvent, ImageResult},
        failure::Failure,
        stage::Stage,
    },
    events::Events,
    plan::images::Purpose,
    registry::remote::RawManifest,
};

/// Builds one image and uploads it, if it is to be pushed and BuildKit can push.
pub(super) async fn build(image: ImageBuild<'_>, goal: Goal, events: &Events) -> Result<Built, Failure> {
    let ImageBuild { builder, spec, links } = image;
    // Images that are only contexts of others are exported nowhere.
    let goal = if spec.purpose == Purpose::Context { Goal::Check } else { goal };
    let started = Instant::now();
    events.image(&spec.name, ImageEvent::Started).await;
    let BuildOutcome { solved, manifest, size } = Box::pin(on_nodes(image, goal, events)).await?;
    links.release_bases_of(&spec.build);
    let Solved { digest, steps, cached } = solved;
    let loaded = match &builder.engine {
        Some(engine) if goal.loads() => load::name(engine, spec, events).await,
        _ => Vec::new(),
    };
    let content = match digest.clone() {
        _ if !goal.pushes() => Content::Unpublished,
        _ if builder.engine_pushes() => Content::InEngine,
        Some(digest) => Content::Uploaded { digest, manifest },
        None => return Err(push_failure(builder, spec, "the builder did not report the image's digest")),
    };
    let result = ImageResult {
        // The classic store reports the digest of the configuration; an image that is only measured is stored nowhere.
        digest: digest.filter(|_| goal != Goal::Measure && !matches!(content, Content::InEngine)),
        size,
        uploaded: matches!(content, Content::Uploaded { .. }),
        pushed: false,
        loaded,
        changed: None,
        platforms: platforms(image),
        steps,
        cached,
        duration: started.elapsed(),
    };
    events.image(&spec.name, ImageEvent::Finished(Box::new(result))).await;
    Ok(Built { image: spec.name.clone(), content })
}

/// Builds on the nodes that the platforms need.
async fn on_nodes(image: ImageBuild<'_>, goal: Goal, events: &Events) -> Result<BuildOutcome, Failure> {
    let ImageBuild { builder, spec, .. } = image;
    let assignments = node::assign(&builder.nodes, &spec.build.platforms).map_err(|platform| {
        let hint = format!("add an endpoint with `platform={platform}` to the input `builder`");
        Failure::new(Stage::Build, format!("no builder supports {platform}"), Some(hint)).of_image(&spec.name)
    })?;
    let [assignment] = &assignments[..] else {
        let export = if goal.pushes() { Export::PushByDigest } else { Export::Discard };
        return split::build(image, &assignments, export, events).await;
    };
    Box::pin(on_node(image, assignment.node, goal, events)).await
}

async fn on_node(image: ImageBuild<'_>, node: &Node, goal: Goal, events: &Events) -> Result<BuildOutcome, Failure> {
    let ImageBuild { builder, spec, .. } = image;
    let export = match (goal, node.capabilities.store) {
        (Goal::Check, _) | (Goal::Measure, Store::Classic) => Export::Discard,
        (Goal::Measure, Store::Containerd | Store::Standalone) => Export::Pack,
        // Attestations contain the image's names, so those of the two exports would differ, and their digests too.
        (Goal::PushAndLoad, Store::Containerd)
            if spec.build.attestations.is_empty() && supports_several_exporters(builder).await =>
        {
            Export::PushByDigestAndLoad
        }
        (Goal::Push | Goal::PushAndLoad, Store::Containerd | Store::Standalone) => Export::PushByDigest,
        (Goal::Load, Store::Standalone) => Export::Send,
        (Goal::Load, _) | (Goal::Push | Goal::PushAndLoad, Store::Classic) => Export::Load,
    };
    let mut progress = progress_of(spec, events);
    let digest = Box::pin(image.solve(node, export, &mut progress)).await?;
    let (steps, cached) = progress.counts();
    // Read back at once: the daemon may delete content soon that nothing refers to.
    let (manifest, size) = match &digest {
        Some(digest) if goal != Goal::Check && node.capabilities.store != Store::Classic => {
            manifest_and_size(node, digest).await
        }
        _ => (None, None),
    };
    if goal == Goal::PushAndLoad && export == Export::PushByDigest {
        // A second solve, which finds everything in the cache: one solve with two exporters of different kinds reports
        // only one of the digests.
        let load = if node.capabilities.store == Store::Containerd { Export::Load } else { Export::Send };
        let cached = spec.with(Build { no_cache: NoCache::Never, ..spec.build.without_caches() });
        let mut muted = progress_of(spec, &events.unheard());
        let image = ImageBuild { spec: &cached, ..image };
        Box::pin(image.solve(node, load, &mut muted)).await?;
    }
    Ok(BuildOutcome { solved: Solved { digest, steps, cached }, manifest, size })
}

async fn manifest_and_size(node: &Node, digest: &Digest) -> (Option<RawManifest>, Option<u64>) {
    let manifest = content::manifest(&node.client, digest).await;
    let size = match &manifest {
        Some(manifest) => content::size_of(&node.client, &manifest.body).await,
        None => content::image_size(&node.client, digest).await,
    };
    (manifest, size)
}

async fn supports_several_exporters(builder: &Builder) -> bool {
    match &builder.engine {
        Some(engine) => engine.supports_several_exporters().await.unwrap_or(false),
        None => false,
    }
}

/// Solves once more and lets BuildKit push under the image's names. An image that is only a base is exported nowhere.
pub(super) async fn push_by_name(image: ImageBuild<'_>, events: &Events) -> Result<Option<Digest>, Failure> {
    let ImageBuild { builder, spec, links } = image;
    let assignments = node::assign(&builder.nodes, &spec.build.platforms).unwrap_or_default();
    let [assignment] = &assignments[..] else {
        return Err(push_failure(
            builder,
            spec,
            "this action combines the images of several builders, and it cannot reach the registry",
        ));
    };
    let export = if spec.purpose == Purpose::Context { Export::Discard } else { Export::Push };
    let mut progress = progress_of(spec, events);
    let digest = Box::pin(image.solve(assignment.node, export, &mut progress)).await?;
    links.release_bases_of(&spec.build);
    Ok(digest)
}

/// The platforms that the image was built for: by default, the builder's own.
fn platforms(image: ImageBuild<'_>) -> Vec<String> {
    if image.spec.build.platforms.is_empty() {
        let first = image.builder.nodes.first();
        first.and_then(|node| node.worker.platforms.first()).cloned().into_iter().collect()
    } else {
        image.spec.build.platforms.clone()
    }
}
