//! One image: its build, its push, and the proof that the registry has what was built.

use std::{
    error::Error,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{
    Builder, Goal,
    abilities::Store,
    caches, content,
    diagnose::{self, SolveFault, Subject},
    explain::{self, is_temporary},
    filesync::{FileSync, Monitor, SharedDir, Source},
    gateway::{self, Links},
    load::Intake,
    node::{self, Node},
    progress::Progress,
    readback::{self, Before},
    recipe::{Context, Dockerfile, LARGEST_DOCKERFILE, Recipe, host_of},
    request::{self, Export, solve_request},
    session::{self, Offer, Session},
    split,
};
use crate::{
    domain::{
        digest::Digest,
        event::{ImageEvent, ImageResult},
        run::{Failure, Stage},
    },
    events::Events,
    inputs::typed::CompressionKind,
    plan::images::Purpose,
    registry::index::Index,
    regular_file,
};

/// How often a push that broke is tried, the first time included.
pub(super) const ATTEMPTS: u32 = 4;

/// An image that is built, and pushed where BuildKit does that.
#[derive(Debug)]
pub struct Built {
    /// What the exporter reports; of the classic store the configuration's digest.
    digest: Option<Digest>,
    /// The index of what several builders pushed, which no tag points to yet.
    index: Option<Index>,
    /// What the first tag pointed to before.
    before: Before,
    /// Compressed bytes, if the engine told them.
    size: Option<u64>,
    steps: usize,
    cached: usize,
    started: Instant,
}

/// What a solve came to.
#[derive(Debug)]
pub(super) struct Solved {
    /// What the exporter reports.
    pub(super) digest: Option<Digest>,
    /// Dockerfile steps.
    pub(super) steps: usize,
    /// How many of them came from the cache.
    pub(super) cached: usize,
}

/// Builds one image and, where BuildKit can, pushes it.
pub async fn build(
    builder: &Builder,
    (recipe, links): (&Recipe, &Links),
    goal: Goal,
    events: &Events,
) -> Result<Built, Failure> {
    let goal = goal_of(recipe, goal);
    let started = Instant::now();
    events.image(&recipe.name, ImageEvent::Started).await;
    // What the tag points to is asked while the build runs.
    let (built, before) =
        tokio::join!(on_nodes(builder, (recipe, links), goal, events), readback::before(builder, recipe, goal));
    let (Solved { digest, steps, cached }, index, size) = built?;
    Ok(Built { digest, index, before, size, steps, cached, started })
}

/// Builds on the node or nodes that the platforms need. Tells the compressed bytes too, if the daemon does.
async fn on_nodes(
    builder: &Builder,
    (recipe, links): (&Recipe, &Links),
    goal: Goal,
    events: &Events,
) -> Result<(Solved, Option<Index>, Option<u64>), Failure> {
    let shares = node::shares(&builder.nodes, &recipe.platforms).map_err(|platform| Failure {
        image: Some(recipe.name.clone()),
        ..Failure::new(
            Stage::Build,
            format!("none of the builders builds for {platform}"),
            Some(format!("add an endpoint with `platform={platform}` to the input `builder`")),
        )
    })?;
    let [share] = &shares[..] else {
        let export = if goal.pushes() { Export::PushByDigest } else { Export::Discard };
        let (solved, index) = split::build(builder, (recipe, links), &shares, export, events).await?;
        return Ok((solved, index, None));
    };
    let node = share.node;
    let export = match (goal, node.abilities.store) {
        (Goal::Check, _) | (Goal::Measure, Store::Classic) => Export::Discard,
        (Goal::Measure, Store::Containerd | Store::Standalone) => Export::Pack,
        (Goal::Push, Store::Containerd) | (Goal::Push | Goal::PushAndLoad, Store::Standalone) => Export::Push,
        (Goal::PushAndLoad, Store::Containerd) => Export::PushAndLoad,
        (Goal::Load, Store::Standalone) => Export::Send,
        (Goal::Load, _) | (Goal::Push | Goal::PushAndLoad, Store::Classic) => Export::Load,
    };
    let mut progress = progress_of(recipe);
    let digest = solve(builder, node, (recipe, links), export, &mut progress, events).await?;
    if (goal, export) == (Goal::PushAndLoad, Export::Push) {
        // Everything is in the cache now. Two exports in one solve would tell only one of their digests.
        let mut quiet = progress_of(recipe);
        let (unheard, _) = events.branch();
        solve(builder, node, (recipe, links), Export::Send, &mut quiet, &unheard).await?;
    }
    // At once: what nothing in the daemon refers to may be gone a moment later.
    let size = match &digest {
        Some(digest) if goal != Goal::Check && node.abilities.store != Store::Classic => {
            content::image_size(node.control.channel(), digest).await
        }
        _ => None,
    };
    let (steps, cached) = progress.counts();
    Ok((Solved { digest, steps, cached }, None, size))
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
        let same = |digest: &Digest| recipe.repositories().map(|repository| (repository, digest.clone())).collect();
        let pushed: Vec<(&str, Digest)> = if let Some(index) = &built.index {
            same(&split::publish(builder, recipe, index, events).await?)
        } else if builder.engine_pushes() {
            events.image(&recipe.name, ImageEvent::Pushing).await;
            push(builder, recipe, events).await?
        } else {
            digest.as_ref().map(same).unwrap_or_default()
        };
        let (_, own) =
            pushed.first().ok_or_else(|| push_failure(recipe, "the builder did not tell the image's digest"))?;
        let size_known = async {
            match size {
                Some(size) => Some(size),
                None => readback::size(builder, recipe, own).await,
            }
        };
        let (verified, bytes) = tokio::join!(readback::verify(builder, recipe, &pushed), size_known);
        verified?;
        size = bytes;
        digest = Some(own.clone());
    }
    let (previous, previous_size) = match &built.before {
        Before::Image(before, size) => (goal.pushes().then(|| before.clone()), *size),
        Before::Unknown | Before::Nothing => (None, None),
    };
    let result = ImageResult {
        changed: match &built.before {
            _ if !goal.pushes() => None,
            Before::Unknown => None,
            Before::Nothing => Some(true),
            Before::Image(before, _) => Some(digest.as_ref() != Some(before)),
        },
        // What is only measured is nowhere.
        digest: digest.filter(|_| goal != Goal::Measure),
        size,
        previous,
        previous_size,
        pushed: goal.pushes(),
        platforms: platforms(builder, recipe),
        steps: built.steps,
        cached: built.cached,
        duration: built.started.elapsed(),
    };
    events.image(&recipe.name, ImageEvent::Finished(Box::new(result))).await;
    Ok(())
}

/// What the image was built for: without a word, the builder's own platform.
fn platforms(builder: &Builder, recipe: &Recipe) -> Vec<String> {
    if recipe.platforms.is_empty() {
        builder.nodes.first().and_then(|node| node.worker.platforms.first()).cloned().into_iter().collect()
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

/// What tells how a build of the recipe goes.
pub(super) fn progress_of(recipe: &Recipe) -> Progress {
    let progress = Progress::new(&recipe.name, &recipe.dockerfile_place);
    if recipe.check { progress } else { progress.without_warnings() }
}

/// Builds on one node, again and again where the fault may pass.
pub(super) async fn solve(
    builder: &Builder,
    node: &Node,
    (recipe, links): (&Recipe, &Links),
    export: Export,
    progress: &mut Progress,
    events: &Events,
) -> Result<Option<Digest>, Failure> {
    let files = FileSync::new(shared_dirs(recipe));
    let monitor = files.monitor();
    let intake = match (&builder.engine, export) {
        (Some(engine), Export::Send) => Some(Intake(engine.clone())),
        _ => None,
    };
    let session = open_session(builder, node, recipe, files, intake).await?;
    let mut attempt = 1;
    let mut without_caches = None;
    loop {
        let recipe = without_caches.as_ref().unwrap_or(recipe);
        let request = node.adapt(solve_request(recipe, export, &session::new_id(), session.id()));
        let answer = if links.concern(recipe) {
            gateway::solve(&node.control, request, (links, recipe), progress, events).await
        } else {
            node.control.solve(request, progress, events).await
        };
        let status = match answer {
            Ok(response) => {
                links.release_bases_of(recipe);
                return Ok(response.get("containerimage.digest").and_then(|text| text.parse().ok()));
            }
            Err(status) => status,
        };
        if let Some(cause) = node::innermost(&status) {
            return Err(broken(recipe, node, cause));
        }
        let fault = SolveFault::new(status.message(), status.details());
        if without_caches.is_none() && recipe.has_caches() && caches::is_about(&fault.message) {
            events.emit(caches::refused(&recipe.name, &fault.message)).await;
            for event in progress.give_caches_up() {
                events.emit(event).await;
            }
            without_caches = Some(recipe.without_caches());
            continue;
        }
        if fault.vertex.as_deref().is_some_and(|vertex| progress.leaves_out(vertex)) {
            // It is a step of a base, whose own build fails with it and says so; that ends this one too.
            std::future::pending::<()>().await;
        }
        if attempt == ATTEMPTS || !is_temporary(&fault) {
            return Err(solve_failure(&fault, progress, recipe, &monitor));
        }
        attempt += 1;
        progress.begin_attempt();
        pause(recipe, &fault.message, attempt, events).await;
    }
}

/// The connection to the builder broke, for which it has no words of its own.
fn broken(recipe: &Recipe, node: &Node, cause: &dyn Error) -> Failure {
    let hint = if recipe.compression.kind == CompressionKind::Estargz {
        "`compression: estargz` ends a BuildKit that was compiled with Go 1.27; does `compression: zstd` do?"
    } else {
        "did it stop or restart? What it says itself stands in its own log; then run the job again"
    };
    let headline = format!("the connection to {} broke: {cause}", node.reach);
    Failure { image: Some(recipe.name.clone()), ..Failure::new(Stage::Build, headline, Some(hint.to_owned())) }
}

async fn open_session(
    builder: &Builder,
    node: &Node,
    recipe: &Recipe,
    files: FileSync,
    intake: Option<Intake>,
) -> Result<Session, Failure> {
    let offer = Offer {
        files,
        intake,
        credentials: builder.credentials.clone(),
        secrets: builder.secrets.get(&recipe.name).cloned().unwrap_or_default(),
        ssh: builder.ssh.get(&recipe.name).cloned().unwrap_or_default(),
        shared_key: recipe.shared_key.clone(),
    };
    Session::open(&node.reach, &node.control, offer).await.map_err(|error| Failure {
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
            dirs.push(dir(&request::named_directory(name), path));
        }
    }
    dirs
}

/// Waits before try number `attempt`, from 2: 1, 2, 4 seconds.
pub(super) async fn pause(recipe: &Recipe, reason: &str, attempt: u32, events: &Events) {
    let wait = Duration::from_secs(1 << (attempt - 2));
    events.image(&recipe.name, ImageEvent::Retrying { reason: reason.to_owned(), attempt, wait }).await;
    tokio::time::sleep(wait).await;
}

fn solve_failure(fault: &SolveFault, progress: &Progress, recipe: &Recipe, monitor: &Monitor) -> Failure {
    if let Some(error) = monitor.failure() {
        // BuildKit says of it only that the transfer failed.
        return Failure {
            image: Some(recipe.name.clone()),
            ..Failure::new(Stage::Build, format!("send the build context: {error}"), None)
        };
    }
    let text = match &recipe.dockerfile {
        Dockerfile::File { directory, name } => regular_file::read_text(&directory.join(name), LARGEST_DOCKERFILE).ok(),
        Dockerfile::Inline(text) => Some(text.clone()),
        Dockerfile::InContext(_) => None,
    };
    let subject = Subject {
        image: &recipe.name,
        dockerfile_place: &recipe.dockerfile_place,
        dockerfile: text.as_deref(),
        registry: recipe.registry_in(&fault.message),
    };
    let failure = diagnose::failure(fault, progress.failed_step(fault.vertex.as_deref()), &subject);
    if explain::is_lint(&fault.message) && failure.place.is_none() {
        return Failure { place: progress.broken_rule(&fault.message).cloned(), ..failure };
    }
    failure
}

/// The classic store: the engine pushes, tag by tag; the layers travel with the first. An engine may pack the layers of
/// a base image anew for a registry that it did not come from, so each repository has a digest of its own.
async fn push<'a>(builder: &Builder, recipe: &'a Recipe, events: &Events) -> Result<Vec<(&'a str, Digest)>, Failure> {
    let mut pushed: Vec<(&str, Digest)> = Vec::new();
    for (repository, tag) in recipe.names() {
        let login = builder.credentials.for_host(host_of(repository));
        let mut attempt = 1;
        let digest = loop {
            let Some(engine) = &builder.engine else { return Err(push_failure(recipe, "there is no engine")) };
            let message = match engine.push(repository, tag, login).await {
                Ok(digest) => break digest,
                Err(error) => error.to_string(),
            };
            let fault = SolveFault { message, ..SolveFault::default() };
            if attempt == ATTEMPTS || !is_temporary(&fault) {
                return Err(push_failure(recipe, &fault.message));
            }
            attempt += 1;
            pause(recipe, &fault.message, attempt, events).await;
        };
        if pushed.last().is_none_or(|(last, _)| *last != repository) {
            pushed.push((repository, digest));
        }
    }
    Ok(pushed)
}

pub(super) fn push_failure(recipe: &Recipe, message: &str) -> Failure {
    let explained = explain::push(message, recipe.registry_in(message));
    Failure { image: Some(recipe.name.clone()), ..Failure::new(explained.stage, explained.headline, explained.hint) }
}
