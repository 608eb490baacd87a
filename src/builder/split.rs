//! One image of which several builders build a platform each: all push by digest, and the index of what they pushed is
//! put together and stored here, under its digest.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future::try_join_all, stream};
use tokio::{sync::mpsc, time::timeout};

use super::{
    Builder, caches,
    image::{self, Outcome, Solved, push_failure},
    node::Share,
    spec::BuildSpec,
};
use crate::{
    buildkit::{Build, gateway::LinkedBuilds, request::Export},
    domain::{
        event::{Event, ImageEvent, StepId},
        failure::Failure,
        platform::normal,
        repository::Repository,
        run::is_dockerfile_step,
    },
    events::Events,
    registry::{
        client,
        index::{self, Part},
        remote::{Access, RawManifest, Remote},
    },
    retry::RetryPolicy,
};

/// A registry that takes longer to tell an image's size is not waited for.
const SIZE: Duration = Duration::from_secs(5);

/// Builds each share on its node at the same time; the first that fails stops the others.
pub(super) async fn build(
    builder: &Builder,
    (spec, links): (&BuildSpec, &LinkedBuilds),
    shares: &[Share<'_>],
    export: Export,
    events: &Events,
) -> Result<Outcome, Failure> {
    let (index_annotations, annotations): (Vec<_>, Vec<_>) =
        spec.build.annotations.iter().cloned().partition(|(key, _)| key.starts_with(INDEX_LEVEL));
    let mut senders = Vec::new();
    let mut receivers = Vec::new();
    for share in shares {
        let (sender, receiver) = events.branch();
        let prefix = share.platforms.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        senders.push(sender);
        receivers.push((prefix, receiver));
    }
    let build = try_join_all(shares.iter().zip(senders).map(|(share, events)| {
        let platforms = share.platforms.clone();
        let mut part = Build { platforms, annotations: annotations.clone(), ..spec.build.clone() };
        caches::divide(&mut part);
        let part = spec.with(part);
        async move {
            let mut progress = image::progress_of(&part, &events);
            let digest = image::solve(builder, share.node, (&part, links), export, &mut progress).await;
            let digest = digest.map_err(|failure| of_share(failure, share))?;
            let (steps, cached) = progress.counts();
            Ok::<_, Failure>(Solved { digest, steps, cached })
        }
    }));
    let (parts, ()) = tokio::join!(build, merge(receivers, events));
    let parts = parts?;
    let counts = parts.iter().fold((0, 0), |(steps, cached), part| (steps + part.steps, cached + part.cached));
    let solved = |digest| Solved { digest, steps: counts.0, cached: counts.1 };
    if export == Export::Discard {
        return Ok(Outcome { solved: solved(None), manifest: None, size: None });
    }
    let index = assemble(builder, spec, shares, &parts, &index_annotations).await?;
    store(builder, spec, &index).await?;
    let size =
        async { client::image_size(&*remote(builder, spec, &spec.destinations.repository).ok()?, &index.digest).await };
    let size = timeout(SIZE, size).await.ok().flatten();
    Ok(Outcome { solved: solved(Some(index.digest.clone())), manifest: Some(index), size })
}

/// How an annotation begins that belongs to the index alone.
const INDEX_LEVEL: &str = "index:";

fn of_share(failure: Failure, share: &Share<'_>) -> Failure {
    let headline = format!("{} ({} on {})", failure.headline, share.platforms.join(", "), share.node.endpoint);
    Failure { headline, ..failure }
}

/// Tells the events of all shares in one stream: each step gets a number of its own, and its platform into its name.
async fn merge(receivers: Vec<(String, mpsc::Receiver<Event>)>, events: &Events) {
    let streams = receivers.into_iter().enumerate().map(|(share, (prefix, receiver))| {
        let tagged = move |event| (share, prefix.clone(), event);
        tokio_stream::wrappers::ReceiverStream::new(receiver).map(tagged).boxed()
    });
    let mut all = stream::select_all(streams);
    let mut numbers: HashMap<(usize, StepId), StepId> = HashMap::new();
    while let Some((share, prefix, mut event)) = all.next().await {
        if let Event::Image { event, .. } = &mut event {
            match event {
                ImageEvent::StepStarted { step, name } => {
                    let number = numbers.len();
                    *step = *numbers.entry((share, *step)).or_insert(number);
                    *name = with_platform(name, &prefix);
                }
                ImageEvent::StepLog { step, .. } | ImageEvent::StepFinished { step, .. } => {
                    let Some(number) = numbers.get(&(share, *step)) else { continue };
                    *step = *number;
                }
                _ => {}
            }
        }
        events.emit(event).await;
    }
}

/// `[2/5] RUN x` becomes `[linux/arm64 2/5] RUN x`, as BuildKit itself names the steps of several platforms.
fn with_platform(name: &str, platform: &str) -> String {
    match name.strip_prefix('[') {
        Some(rest) if is_dockerfile_step(name) && !rest.contains(platform) => {
            format!("[{platform} {}", rest.trim_start())
        }
        _ => name.to_owned(),
    }
}

async fn assemble(
    builder: &Builder,
    spec: &BuildSpec,
    shares: &[Share<'_>],
    solved: &[Solved],
    annotations: &[(String, String)],
) -> Result<RawManifest, Failure> {
    let failed = |message: String| push_failure(builder, spec, &message);
    let remote = remote(builder, spec, &spec.destinations.repository)?;
    let parts = try_join_all(shares.iter().zip(solved).map(async |(share, solved)| {
        let node = &share.node.endpoint;
        let digest = solved.digest.as_ref().ok_or_else(|| failed(format!("{node} did not tell the image's digest")))?;
        let stored = RetryPolicy::default().quietly(async || remote.manifest(digest.as_str()).await).await;
        let stored = stored.map_err(|error| failed(error.to_string()))?;
        let stored = stored.ok_or_else(|| failed(format!("{digest}, which {node} pushed, is not in the registry")))?;
        Ok::<_, Failure>(Part { stored, platform: share.platforms.first().map_or_else(String::new, |p| normal(p)) })
    }))
    .await?;
    let order: Vec<String> = spec.build.platforms.iter().map(|platform| normal(platform)).collect();
    let plain: Vec<(String, String)> = annotations
        .iter()
        .map(|(key, value)| (key.strip_prefix(INDEX_LEVEL).unwrap_or(key).to_owned(), value.clone()))
        .collect();
    index::index(&parts, &order, &plain).map_err(|error| failed(error.to_string()))
}

/// Stores the index under its digest in every repository.
async fn store(builder: &Builder, spec: &BuildSpec, index: &RawManifest) -> Result<(), Failure> {
    let stored = try_join_all(spec.destinations.repositories().map(async |repository| {
        let remote = remote(builder, spec, repository)?;
        let put = RetryPolicy::default().quietly(async || remote.put(index.digest.as_str(), index).await).await;
        put.map_err(|error| push_failure(builder, spec, &format!("push {repository}@{}: {error}", index.digest)))
    }));
    stored.await.map(drop)
}

fn remote(builder: &Builder, spec: &BuildSpec, repository: &Repository) -> Result<Arc<Remote>, Failure> {
    let remote = builder.registries.repository(repository.as_str(), Access::Push);
    remote.ok_or_else(|| push_failure(builder, spec, "there is no HTTP client for the registry"))
}

#[cfg(test)]
mod tests {
    use super::with_platform;
    use crate::domain::run::is_dockerfile_step;

    #[test]
    fn steps_name_their_platform() {
        let name = with_platform("[2/5] RUN make", "linux/arm64");
        assert_eq!(name, "[linux/arm64 2/5] RUN make");
        assert!(is_dockerfile_step(&name));
        assert_eq!(with_platform("[linux/arm64 1/2] RUN x", "linux/arm64"), "[linux/arm64 1/2] RUN x");
        assert_eq!(with_platform("exporting to image", "linux/arm64"), "exporting to image");
    }
}
