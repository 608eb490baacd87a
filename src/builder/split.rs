//! One image that several builders build, each for some platforms: all push by digest, and this process combines their
//! images in an index and pushes that by digest too.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future::try_join_all, stream};
use tokio::{sync::mpsc, time::timeout};

use super::{
    Builder, caches,
    node::Assignment,
    solve::{BuildOutcome, ImageBuild, Solved, progress_of, push_failure},
    spec::BuildSpec,
};
use crate::{
    buildkit::{Build, request::Export},
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

/// How long a registry may take to report an image's size.
const SIZE_TIMEOUT: Duration = Duration::from_secs(5);

/// Builds on all nodes at the same time. The first failure stops the other builds.
pub(super) async fn build(
    image: ImageBuild<'_>,
    assignments: &[Assignment<'_>],
    export: Export,
    events: &Events,
) -> Result<BuildOutcome, Failure> {
    let ImageBuild { builder, spec, .. } = image;
    let (index_annotations, annotations): (Vec<_>, Vec<_>) =
        spec.build.annotations.iter().cloned().partition(|(key, _)| key.starts_with(INDEX_LEVEL));
    let mut senders = Vec::new();
    let mut receivers = Vec::new();
    for assignment in assignments {
        let (sender, receiver) = events.branch();
        senders.push(sender);
        receivers.push((assignment.platforms.join(","), receiver));
    }
    let build = try_join_all(assignments.iter().zip(senders).map(|(assignment, events)| {
        let platforms = assignment.platforms.clone();
        let mut part = Build { platforms, annotations: annotations.clone(), ..spec.build.clone() };
        caches::divide(&mut part);
        let part = spec.with(part);
        async move {
            let mut progress = progress_of(&part, &events);
            let image = ImageBuild { spec: &part, ..image };
            let digest = Box::pin(image.solve(assignment.node, export, &mut progress)).await;
            let digest = digest.map_err(|failure| with_node(failure, assignment))?;
            let (steps, cached) = progress.counts();
            Ok::<_, Failure>(Solved { digest, steps, cached })
        }
    }));
    let (parts, ()) = tokio::join!(build, merge(receivers, events));
    let parts = parts?;
    let counts = parts.iter().fold((0, 0), |(steps, cached), part| (steps + part.steps, cached + part.cached));
    let solved = |digest| Solved { digest, steps: counts.0, cached: counts.1 };
    if export == Export::Discard {
        return Ok(BuildOutcome { solved: solved(None), manifest: None, size: None });
    }
    let index = combine(builder, spec, assignments, &parts, &index_annotations).await?;
    push(builder, spec, &index).await?;
    let size = async {
        let remote = remote(builder, spec, &spec.destinations.repository).ok()?;
        client::image_size(&remote, &index.digest).await
    };
    let size = timeout(SIZE_TIMEOUT, size).await.ok().flatten();
    Ok(BuildOutcome { solved: solved(Some(index.digest.clone())), manifest: Some(index), size })
}

/// The level of annotations that belong to the index alone.
const INDEX_LEVEL: &str = "index:";

fn with_node(failure: Failure, assignment: &Assignment<'_>) -> Failure {
    let (platforms, endpoint) = (assignment.platforms.join(", "), &assignment.node.endpoint);
    Failure { headline: format!("{} ({platforms} on {endpoint})", failure.headline), ..failure }
}

/// Merges the events of all nodes into one stream. Each step gets a new number, and its platform in its name.
async fn merge(receivers: Vec<(String, mpsc::Receiver<Event>)>, events: &Events) {
    let streams = receivers.into_iter().enumerate().map(|(node, (prefix, receiver))| {
        let tagged = move |event| (node, prefix.clone(), event);
        tokio_stream::wrappers::ReceiverStream::new(receiver).map(tagged).boxed()
    });
    let mut all = stream::select_all(streams);
    let mut numbers: HashMap<(usize, StepId), StepId> = HashMap::new();
    while let Some((node, prefix, mut event)) = all.next().await {
        if let Event::Image { event, .. } = &mut event {
            match event {
                ImageEvent::StepStarted { step, name } => {
                    let number = numbers.len();
                    *step = *numbers.entry((node, *step)).or_insert(number);
                    *name = with_platform(name, &prefix);
                }
                ImageEvent::StepLog { step, .. } | ImageEvent::StepFinished { step, .. } => {
                    let Some(number) = numbers.get(&(node, *step)) else { continue };
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

/// Makes an index of the images that the nodes pushed.
async fn combine(
    builder: &Builder,
    spec: &BuildSpec,
    assignments: &[Assignment<'_>],
    solved: &[Solved],
    annotations: &[(String, String)],
) -> Result<RawManifest, Failure> {
    let failed = |message: String| push_failure(builder, spec, &message);
    let remote = remote(builder, spec, &spec.destinations.repository)?;
    let parts = try_join_all(assignments.iter().zip(solved).map(async |(assignment, solved)| {
        let endpoint = &assignment.node.endpoint;
        let missing = || failed(format!("{endpoint} did not report the image's digest"));
        let digest = solved.digest.as_ref().ok_or_else(missing)?;
        let stored = RetryPolicy::default().quietly(async || remote.manifest(digest.as_str()).await).await;
        let stored = stored.map_err(|error| failed(error.to_string()))?;
        let absent = || failed(format!("{endpoint} pushed {digest}, but the registry does not have it"));
        let platform = assignment.platforms.first().map_or_else(String::new, |platform| normal(platform));
        Ok::<_, Failure>(Part { stored: stored.ok_or_else(absent)?, platform })
    }))
    .await?;
    let order: Vec<String> = spec.build.platforms.iter().map(|platform| normal(platform)).collect();
    let plain: Vec<(String, String)> = annotations
        .iter()
        .map(|(key, value)| (key.strip_prefix(INDEX_LEVEL).unwrap_or(key).to_owned(), value.clone()))
        .collect();
    index::index(&parts, &order, &plain).map_err(|error| failed(error.to_string()))
}

/// Pushes the index to every repository, under its digest.
async fn push(builder: &Builder, spec: &BuildSpec, index: &RawManifest) -> Result<(), Failure> {
    let pushed = try_join_all(spec.destinations.repositories().map(async |repository| {
        let remote = remote(builder, spec, repository)?;
        let put = RetryPolicy::default().quietly(async || remote.put(index.digest.as_str(), index).await).await;
        put.map_err(|error| push_failure(builder, spec, &format!("push {repository}@{}: {error}", index.digest)))
    }));
    pushed.await.map(drop)
}

fn remote(builder: &Builder, spec: &BuildSpec, repository: &Repository) -> Result<Arc<Remote>, Failure> {
    let remote = builder.registries.repository(repository.as_str(), Access::Push);
    remote.ok_or_else(|| {
        push_failure(builder, spec, "no HTTPS client could be created; check that the runner has CA certificates")
    })
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
