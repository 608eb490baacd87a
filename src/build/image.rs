//! One image: its build, its push, and the proof that the registry has what was built.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;

use super::{
    Builder, Goal, content,
    diagnose::{self, SolveFault, Subject},
    engine::ApiError,
    explain::{self, is_temporary},
    filesync::{FileSync, Monitor, SharedDir, Source},
    gateway::{self, Links},
    progress::Progress,
    recipe::{Context, Dockerfile, Recipe},
    request::{self, Export, solve_request},
    session::{self, Offer, Session},
    solve::Store,
};
use crate::{
    domain::{
        credentials::Login,
        digest::Digest,
        event::{ImageEvent, ImageResult},
        run::{Failure, Stage},
    },
    events::Events,
    plan::images::Purpose,
    registry::client,
};

/// How often a push that broke is tried, the first time included.
const ATTEMPTS: u32 = 4;

/// An image that is built, and pushed where BuildKit does that.
#[derive(Debug)]
pub struct Built {
    /// What the exporter reports; of the classic store the configuration's digest.
    digest: Option<Digest>,
    /// What the first tag pointed to before.
    before: Before,
    /// Compressed bytes, if the engine told them.
    size: Option<u64>,
    steps: usize,
    cached: usize,
    started: Instant,
}

/// What a tag pointed to before the run.
#[derive(Debug, PartialEq, Eq)]
enum Before {
    /// The registry did not tell.
    Unknown,
    /// There was no such tag.
    Nothing,
    /// An image.
    Image(Digest),
}

/// Builds one image and, where the engine's BuildKit can, pushes it.
pub async fn build(
    builder: &Builder,
    (recipe, links): (&Recipe, &Links),
    goal: Goal,
    events: &Events,
) -> Result<Built, Failure> {
    let goal = goal_of(recipe, goal);
    let started = Instant::now();
    events.image(&recipe.name, ImageEvent::Started).await;
    let export = match (goal, builder.worker.store) {
        (Goal::Check, _) => Export::Discard,
        (Goal::Push, Store::Containerd) => Export::Push,
        (Goal::PushAndLoad, Store::Containerd) => Export::PushAndLoad,
        (Goal::Load, _) | (Goal::Push | Goal::PushAndLoad, Store::Classic) => Export::Load,
    };
    let mut progress = Progress::new(&recipe.name, &recipe.dockerfile_place);
    if !recipe.check {
        progress = progress.without_warnings();
    }
    // What the tag points to is asked while the build runs.
    let (digest, before) = tokio::join!(
        solve(builder, (recipe, links), export, &mut progress, events),
        digest_before(builder, recipe, goal)
    );
    let digest = digest?;
    // At once: what nothing in the engine refers to may be gone a moment later.
    let size = match &digest {
        Some(digest) if goal.pushes() && builder.worker.store == Store::Containerd => {
            content::image_size(builder.control.channel(), digest).await
        }
        _ => None,
    };
    let (steps, cached) = progress.counts();
    Ok(Built { digest, before, size, steps, cached, started })
}

/// Pushes an image that BuildKit could not, proves that the registry has what was built, and says so.
pub async fn publish(
    builder: &Builder,
    recipe: &Recipe,
    built: &Built,
    goal: Goal,
    events: &Events,
) -> Result<(), Failure> {
    let goal = goal_of(recipe, goal);
    let mut digest = built.digest.clone();
    let mut size = built.size;
    if goal.pushes() {
        if builder.worker.store == Store::Classic {
            events.image(&recipe.name, ImageEvent::Pushing).await;
            digest = Some(push(builder, recipe, events).await?);
        }
        let pushed =
            digest.as_ref().ok_or_else(|| push_failure(recipe, "the engine did not tell the image's digest"))?;
        let (verified, bytes) =
            tokio::join!(verify(builder, recipe, pushed), size_in_registry(builder, recipe, pushed));
        verified?;
        size = size.or(bytes);
    }
    let result = ImageResult {
        changed: match &built.before {
            Before::Unknown => None,
            Before::Nothing => Some(true),
            Before::Image(before) => Some(digest.as_ref() != Some(before)),
        },
        digest,
        size,
        pushed: goal.pushes(),
        platforms: platforms(builder, recipe),
        steps: built.steps,
        cached: built.cached,
        duration: built.started.elapsed(),
    };
    events.image(&recipe.name, ImageEvent::Finished(Box::new(result))).await;
    Ok(())
}

/// What the image was built for: without a word, the engine's own platform.
fn platforms(builder: &Builder, recipe: &Recipe) -> Vec<String> {
    if recipe.platforms.is_empty() {
        builder.worker.platforms.first().cloned().into_iter().collect()
    } else {
        recipe.platforms.clone()
    }
}

/// What is only a context for others goes nowhere.
fn goal_of(recipe: &Recipe, goal: Goal) -> Goal {
    match recipe.purpose {
        Purpose::Wanted => goal,
        Purpose::Context => Goal::Check,
    }
}

async fn solve(
    builder: &Builder,
    (recipe, links): (&Recipe, &Links),
    export: Export,
    progress: &mut Progress,
    events: &Events,
) -> Result<Option<Digest>, Failure> {
    let files = FileSync::new(shared_dirs(recipe));
    let monitor = files.monitor();
    let session = open_session(builder, recipe, files).await?;
    let mut attempt = 1;
    loop {
        let request = solve_request(recipe, export, &session::new_id(), session.id());
        let answer = if links.concern(recipe) {
            gateway::solve(&builder.control, request, (links, recipe), progress, events).await
        } else {
            builder.control.solve(request, progress, events).await
        };
        let status = match answer {
            Ok(response) => {
                links.release_bases_of(recipe);
                return Ok(response.get("containerimage.digest").and_then(|text| text.parse().ok()));
            }
            Err(status) => status,
        };
        let fault = SolveFault::new(status.message(), status.details());
        if fault.vertex.as_deref().is_some_and(|vertex| progress.leaves_out(vertex)) {
            // It is a step of a base, whose own build fails with it and says so; that ends this one too.
            std::future::pending::<()>().await;
        }
        if attempt == ATTEMPTS || !is_temporary(&fault) {
            return Err(solve_failure(&fault, progress, recipe, &monitor).await);
        }
        attempt += 1;
        progress.begin_attempt();
        pause(recipe, &fault.message, attempt, events).await;
    }
}

async fn open_session(builder: &Builder, recipe: &Recipe, files: FileSync) -> Result<Session, Failure> {
    let offer = Offer {
        files,
        credentials: builder.credentials.clone(),
        secrets: builder.secrets.get(&recipe.name).cloned().unwrap_or_default(),
        ssh: builder.ssh.get(&recipe.name).cloned().unwrap_or_default(),
        shared_key: recipe.shared_key.clone(),
    };
    Session::open(builder.engine.address(), offer).await.map_err(|error| Failure {
        image: Some(recipe.name.clone()),
        ..Failure::new(Stage::Build, format!("no build session: {error}"), None)
    })
}

fn shared_dirs(recipe: &Recipe) -> Vec<SharedDir> {
    let dir = |name: &str, path: &PathBuf| SharedDir { name: name.to_owned(), source: Source::Path(path.clone()) };
    let mut dirs = Vec::new();
    if let Context::Directory(path) = &recipe.context {
        dirs.push(dir(request::CONTEXT, path));
    }
    match &recipe.dockerfile {
        Dockerfile::File { directory, .. } => dirs.push(dir(request::DOCKERFILE, directory)),
        Dockerfile::Inline(text) => dirs.push(SharedDir {
            name: request::DOCKERFILE.to_owned(),
            source: Source::Memory(vec![(request::INLINE_NAME.to_owned(), text.clone().into_bytes())]),
        }),
        Dockerfile::InContext(_) => {}
    }
    for (name, context) in &recipe.named_contexts {
        if let Context::Directory(path) = context {
            dirs.push(dir(name, path));
        }
    }
    dirs
}

/// Waits before try number `attempt`, from 2: 1, 2, 4 seconds.
async fn pause(recipe: &Recipe, reason: &str, attempt: u32, events: &Events) {
    let wait = Duration::from_secs(1 << (attempt - 2));
    events.image(&recipe.name, ImageEvent::Retrying { reason: reason.to_owned(), attempt, wait }).await;
    tokio::time::sleep(wait).await;
}

async fn solve_failure(fault: &SolveFault, progress: &Progress, recipe: &Recipe, monitor: &Monitor) -> Failure {
    if let Some(error) = monitor.failure() {
        // BuildKit says of it only that the transfer failed.
        return Failure {
            image: Some(recipe.name.clone()),
            ..Failure::new(Stage::Build, format!("send the build context: {error}"), None)
        };
    }
    let text = match &recipe.dockerfile {
        Dockerfile::File { directory, name } => tokio::fs::read_to_string(directory.join(name)).await.ok(),
        Dockerfile::Inline(text) => Some(text.clone()),
        Dockerfile::InContext(_) => None,
    };
    let subject = Subject {
        image: &recipe.name,
        dockerfile_place: &recipe.dockerfile_place,
        dockerfile: text.as_deref(),
        registry: recipe.registry(),
    };
    let failure = diagnose::failure(fault, progress.failed_step(fault.vertex.as_deref()), &subject);
    if explain::is_lint(&fault.message) && failure.place.is_none() {
        return Failure { place: progress.broken_rule(&fault.message).cloned(), ..failure };
    }
    failure
}

/// The classic store: the engine pushes, tag by tag; the layers travel with the first.
async fn push(builder: &Builder, recipe: &Recipe, events: &Events) -> Result<Digest, Failure> {
    let login = builder.credentials.for_host(recipe.registry());
    let mut pushed = None;
    for tag in &recipe.tags {
        let mut attempt = 1;
        pushed = Some(loop {
            let message = match builder.engine.push(&recipe.repository, tag, login).await {
                Ok(digest) => break digest,
                Err(error) => error.to_string(),
            };
            let fault = SolveFault { message, ..SolveFault::default() };
            if attempt == ATTEMPTS || !is_temporary(&fault) {
                return Err(push_failure(recipe, &fault.message));
            }
            attempt += 1;
            pause(recipe, &fault.message, attempt, events).await;
        });
    }
    pushed.ok_or_else(|| push_failure(recipe, "there is no tag to push"))
}

/// Reads every tag back: what the registry serves must be what was built.
async fn verify(builder: &Builder, recipe: &Recipe, built: &Digest) -> Result<(), Failure> {
    let login = builder.credentials.for_host(recipe.registry());
    try_join_all(recipe.references().map(|reference| async move {
        let wrong = |headline: String, hint: &str| Failure {
            image: Some(recipe.name.clone()),
            ..Failure::new(Stage::Push, headline, Some(hint.to_owned()))
        };
        let served = registry_digest(builder, &reference, login)
            .await
            .map_err(|error| push_failure(recipe, &format!("read {reference} back: {error}")))?;
        match served {
            Some(served) if served == *built => Ok(()),
            Some(served) => Err(wrong(
                format!("{reference} was pushed as {built}, but the registry serves {served}"),
                "does another run push the same tag? Give the workflow a `concurrency:` group",
            )),
            None => Err(wrong(
                format!("{reference} was pushed, but the registry does not have it"),
                "does a retention rule of the registry delete it?",
            )),
        }
    }))
    .await
    .map(drop)
}

async fn registry_digest(
    builder: &Builder,
    reference: &str,
    login: Option<&Login>,
) -> Result<Option<Digest>, ApiError> {
    let mut attempt = 1;
    loop {
        match builder.engine.registry_digest(reference, login).await {
            Err(error) if attempt < ATTEMPTS && error.status().is_none_or(|status| status >= 500 || status == 429) => {
                tokio::time::sleep(Duration::from_secs(1 << (attempt - 1))).await;
                attempt += 1;
            }
            answer => return answer,
        }
    }
}

async fn digest_before(builder: &Builder, recipe: &Recipe, goal: Goal) -> Before {
    let Some(reference) = recipe.references().next().filter(|_| goal.pushes()) else { return Before::Unknown };
    let login = builder.credentials.for_host(recipe.registry());
    match builder.engine.registry_digest(&reference, login).await {
        Ok(Some(digest)) => Before::Image(digest),
        Ok(None) => Before::Nothing,
        Err(_) => Before::Unknown,
    }
}

/// Compressed bytes as the registry itself tells them, which is asked only where [`Builder::http`] says so.
async fn size_in_registry(builder: &Builder, recipe: &Recipe, digest: &Digest) -> Option<u64> {
    let login = builder.credentials.for_host(recipe.registry());
    client::image_size(builder.http.as_ref()?, &recipe.repository, digest, login).await
}

fn push_failure(recipe: &Recipe, message: &str) -> Failure {
    let explained = explain::push(message, recipe.registry());
    Failure { image: Some(recipe.name.clone()), ..Failure::new(explained.stage, explained.headline, explained.hint) }
}
