//! One image: its build, and its upload to the registry under its digest.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Builder, Goal, caches,
    capabilities::Store,
    content,
    diagnose::{self, Subject},
    explain,
    node::{self, Node},
    progress::Progress,
    spec::{BuildSpec, host_of},
    split,
};
use crate::{
    buildkit::{
        Build, SolveError,
        build::{CompressionKind, NoCache},
        caches as cache_steps,
        error::root_cause,
        export::ImageReceiver,
        filesync::{FileSync, Monitor},
        gateway::LinkedBuilds,
        request::{Export, shared_dirs, solve_request},
        session::{self, Attachables, Session},
        ssh::Agents,
    },
    domain::{
        diagnostic::{Diagnostic, Severity},
        digest::Digest,
        event::{Event, ImageEvent, ImageResult},
        failure::Failure,
        redact::Redactor,
        stage::Stage,
    },
    events::Events,
    plan::images::Purpose,
    registry::remote::RawManifest,
    retry::{Retry, RetryPolicy},
};

/// How long a failure in a step of a base is left to the base's own build to tell.
const OF_BASE: Duration = Duration::from_secs(10);

/// An image that is built.
#[derive(Clone, Debug)]
pub struct Built {
    /// Its name in the plan.
    pub image: String,
    /// Where it is.
    pub content: Content,
}

/// Where a built image is.
#[derive(Clone, Debug)]
pub enum Content {
    /// Nowhere that a tag could be given to: it was built only to see whether it builds, or to be used in the engine.
    Unpublished,
    /// In all of its repositories, under this digest.
    Uploaded {
        /// The digest of its manifest or index.
        digest: Digest,
        /// Its manifest or index, if it is at hand.
        manifest: Option<RawManifest>,
    },
    /// In the classic image store of the engine, which uploads it together with its first tag.
    InEngine,
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

/// What came of a build on all nodes that it needed.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) solved: Solved,
    /// The manifest or index, if it is at hand.
    pub(super) manifest: Option<RawManifest>,
    /// Compressed bytes, if they are known.
    pub(super) size: Option<u64>,
}

/// Builds one image and, where it is to be pushed and BuildKit can, uploads it.
pub(super) async fn build(
    builder: &Builder,
    (spec, links): (&BuildSpec, &LinkedBuilds),
    goal: Goal,
    events: &Events,
) -> Result<Built, Failure> {
    let goal = goal_of(spec, goal);
    let started = Instant::now();
    events.image(&spec.name, ImageEvent::Started).await;
    let Outcome { solved, manifest, size } = Box::pin(on_nodes(builder, (spec, links), goal, events)).await?;
    links.release_bases_of(&spec.build);
    let Solved { digest, steps, cached } = solved;
    let content = match digest.clone() {
        _ if !goal.pushes() => Content::Unpublished,
        _ if builder.engine_pushes() => Content::InEngine,
        Some(digest) => Content::Uploaded { digest, manifest },
        None => return Err(push_failure(builder, spec, "the builder did not report the image's digest")),
    };
    let result = ImageResult {
        // The classic store reports the configuration's digest; an image that is only measured is nowhere.
        digest: digest.filter(|_| goal != Goal::Measure && !matches!(content, Content::InEngine)),
        size,
        uploaded: matches!(content, Content::Uploaded { .. }),
        pushed: false,
        changed: None,
        platforms: platforms(builder, spec),
        steps,
        cached,
        duration: started.elapsed(),
    };
    events.image(&spec.name, ImageEvent::Finished(Box::new(result))).await;
    Ok(Built { image: spec.name.clone(), content })
}

/// Builds on the node or nodes that the platforms need.
async fn on_nodes(
    builder: &Builder,
    (spec, links): (&BuildSpec, &LinkedBuilds),
    goal: Goal,
    events: &Events,
) -> Result<Outcome, Failure> {
    let shares = node::shares(&builder.nodes, &spec.build.platforms).map_err(|platform| {
        Failure::new(
            Stage::Build,
            format!("none of the builders builds for {platform}"),
            Some(format!("add an endpoint with `platform={platform}` to the input `builder`")),
        )
        .of_image(&spec.name)
    })?;
    let [share] = &shares[..] else {
        let export = if goal.pushes() { Export::PushByDigest } else { Export::Discard };
        return split::build(builder, (spec, links), &shares, export, events).await;
    };
    let node = share.node;
    let export = match (goal, node.capabilities.store) {
        (Goal::Check, _) | (Goal::Measure, Store::Classic) => Export::Discard,
        (Goal::Measure, Store::Containerd | Store::Standalone) => Export::Pack,
        // Attestations name what they are about, so that one for the tags is not the one for the digest.
        (Goal::PushAndLoad, Store::Containerd)
            if spec.build.attestations.is_empty() && has_several_exporters(builder).await =>
        {
            Export::PushByDigestAndLoad
        }
        (Goal::Push | Goal::PushAndLoad, Store::Containerd | Store::Standalone) => Export::PushByDigest,
        (Goal::Load, Store::Standalone) => Export::Send,
        (Goal::Load, _) | (Goal::Push | Goal::PushAndLoad, Store::Classic) => Export::Load,
    };
    let mut progress = progress_of(spec, events);
    let digest = solve(builder, node, (spec, links), export, &mut progress).await?;
    let (steps, cached) = progress.counts();
    // At once: what nothing in the daemon refers to may be gone a moment later.
    let (manifest, size) = match &digest {
        Some(digest) if goal != Goal::Check && node.capabilities.store != Store::Classic => {
            let client = &node.client;
            let manifest = content::stored(client, digest).await;
            let size = match &manifest {
                Some(manifest) => content::size_of(client, &manifest.body).await,
                None => content::image_size(client, digest).await,
            };
            (manifest, size)
        }
        _ => (None, None),
    };
    if goal == Goal::PushAndLoad && export == Export::PushByDigest {
        // Everything is in the cache now, the newest of it first. Two exports of different kinds in one solve would tell
        // only one of their digests.
        let again = if node.capabilities.store == Store::Containerd { Export::Load } else { Export::Send };
        let cached = spec.with(Build { no_cache: NoCache::Never, ..spec.build.without_caches() });
        let quiet = events.unheard();
        solve(builder, node, (&cached, links), again, &mut progress_of(spec, &quiet)).await?;
    }
    Ok(Outcome { solved: Solved { digest, steps, cached }, manifest, size })
}

async fn has_several_exporters(builder: &Builder) -> bool {
    match &builder.engine {
        Some(engine) => engine.has_several_exporters().await.unwrap_or(false),
        None => false,
    }
}

/// Solves once more and lets BuildKit push under the image's names; what is only a base goes nowhere.
pub(super) async fn push_by_name(
    builder: &Builder,
    (spec, links): (&BuildSpec, &LinkedBuilds),
    quiet: &Events,
) -> Result<Option<Digest>, Failure> {
    let shares = node::shares(&builder.nodes, &spec.build.platforms).unwrap_or_default();
    let [share] = &shares[..] else {
        return Err(push_failure(
            builder,
            spec,
            "only this step can make the index of several builders' images, and it cannot reach the registry",
        ));
    };
    let export = if spec.purpose == Purpose::Context { Export::Discard } else { Export::Push };
    let digest = solve(builder, share.node, (spec, links), export, &mut progress_of(spec, quiet)).await?;
    links.release_bases_of(&spec.build);
    Ok(digest)
}

/// What the image was built for: without a word, the builder's own platform.
fn platforms(builder: &Builder, spec: &BuildSpec) -> Vec<String> {
    if spec.build.platforms.is_empty() {
        builder.nodes.first().and_then(|node| node.worker.platforms.first()).cloned().into_iter().collect()
    } else {
        spec.build.platforms.clone()
    }
}

/// What is only a context for others goes nowhere.
fn goal_of(spec: &BuildSpec, goal: Goal) -> Goal {
    match spec.purpose {
        Purpose::Wanted => goal,
        Purpose::Context => Goal::Check,
    }
}

/// What tells how a build of the spec goes.
pub(super) fn progress_of(spec: &BuildSpec, events: &Events) -> Progress {
    let registry = host_of(spec.destinations.repository.as_str());
    Progress::new(&spec.name, &spec.dockerfile_place, spec.check, events).uploading_to(registry)
}

/// Builds on one node, again and again where the fault may pass.
pub(super) async fn solve(
    builder: &Builder,
    node: &Node,
    (spec, links): (&BuildSpec, &LinkedBuilds),
    export: Export,
    progress: &mut Progress,
) -> Result<Option<Digest>, Failure> {
    let events = progress.report.events().clone();
    let files = FileSync::new(shared_dirs(&spec.build));
    let monitor = files.monitor();
    let receiver = match (&builder.engine, export) {
        (Some(engine), Export::Send) => Some(engine.clone() as Arc<dyn ImageReceiver>),
        _ => None,
    };
    let session = open_session(builder, node, spec, files, receiver).await?;
    let names = spec.image_names();
    let mut attempt = 1;
    let mut without_caches = None;
    loop {
        let began = Instant::now();
        let build = without_caches.as_ref().unwrap_or(&spec.build);
        let request = node.adapt(solve_request(build, export, &names, &session::new_id(), session.id()));
        let Progress { steps, report } = &mut *progress;
        let answer = links.solve(&node.client, (&spec.name, build), request, steps, report).await;
        for failure in builder.ssh.get(&spec.name).into_iter().flat_map(Agents::take_failures) {
            events.emit(agent_warning(&spec.name, &failure)).await;
        }
        let status = match answer {
            Ok(response) => {
                return Ok(response.get("containerimage.digest").and_then(|text| text.parse().ok()));
            }
            Err(status) => status,
        };
        if let Some(cause) = root_cause(&status) {
            return Err(broken(spec, node, cause));
        }
        // Parts of the message are cut out later: no secret may be cut in two.
        let error = SolveError::new(&events.redactor().redact(status.message()), status.details());
        if without_caches.is_none() && build.has_caches() && cache_steps::is_cause(&error.message) {
            events.emit(caches::refused(&spec.name, &error.message)).await;
            progress.cancel_cache_steps().await;
            without_caches = Some(build.without_caches());
            continue;
        }
        if error.vertex.as_deref().is_some_and(|vertex| progress.steps.hides(vertex)) && !error.is_temporary() {
            // It is a step of a base, whose own build fails with it and reports it; that ends this one too, unless the
            // base's build is over already.
            tokio::time::sleep(OF_BASE).await;
        }
        attempt += 1;
        let retry = if error.is_temporary() { Retry::Later } else { Retry::Never };
        let Some(wait) = RetryPolicy::default().pause(attempt, retry, began.elapsed()) else {
            return Err(solve_failure(&error, progress, (builder, spec, &events.redactor()), &monitor));
        };
        progress.steps.begin_attempt();
        events.image(&spec.name, ImageEvent::Retrying { reason: error.message, attempt, wait }).await;
        tokio::time::sleep(wait).await;
    }
}

/// The warning about an SSH agent that failed, such as `/run/agent.sock: did not answer within 10 s`.
fn agent_warning(image: &str, failure: &str) -> Event {
    Event::Diagnostic(Diagnostic {
        severity: Severity::Warning,
        title: "SSH agent".to_owned(),
        message: format!("{image}: SSH agent {failure}; check that the socket is that of an SSH agent"),
        place: None,
    })
}

/// The failure of a build whose connection to the builder broke.
fn broken(spec: &BuildSpec, node: &Node, cause: &dyn Error) -> Failure {
    let hint = if spec.build.compression.kind == CompressionKind::Estargz {
        "`compression: estargz` crashes a BuildKit that was compiled with Go 1.27; use `compression: zstd`"
    } else {
        "check in the builder's own log whether it stopped or restarted, then run the job again"
    };
    let headline = format!("the connection to {} broke: {cause}", node.endpoint);
    Failure::new(Stage::Build, headline, Some(hint.to_owned())).of_image(&spec.name)
}

async fn open_session(
    builder: &Builder,
    node: &Node,
    spec: &BuildSpec,
    files: FileSync,
    receiver: Option<Arc<dyn ImageReceiver>>,
) -> Result<Session, Failure> {
    let attachables = Attachables {
        files,
        receiver,
        credentials: builder.registries.credentials().clone(),
        secrets: builder.secrets.get(&spec.name).cloned().unwrap_or_default(),
        ssh: builder.ssh.get(&spec.name).cloned().unwrap_or_default(),
        shared_key: spec.shared_key.clone(),
    };
    Session::open(&node.endpoint, &node.client, "build-deploy", attachables)
        .await
        .map_err(|error| Failure::new(Stage::Build, format!("no build session: {error}"), None).of_image(&spec.name))
}

fn solve_failure(
    error: &SolveError,
    progress: &Progress,
    (builder, spec, redactor): (&Builder, &BuildSpec, &Redactor),
    monitor: &Monitor,
) -> Failure {
    if let Some(reason) = monitor.failure() {
        // BuildKit says of it only that the transfer failed.
        return Failure::new(Stage::Build, format!("send the build context: {reason}"), None).of_image(&spec.name);
    }
    let text = spec.dockerfile_text();
    let subject = Subject {
        image: &spec.name,
        dockerfile_place: &spec.dockerfile_place,
        dockerfile: text.as_deref(),
        target: builder.push_target(spec, &error.message),
        redactor,
    };
    let failure = diagnose::failure(error, progress.failed_step(error.vertex.as_deref()), &subject);
    if explain::is_lint(&error.message) && failure.place.is_none() {
        return Failure { place: progress.broken_rule(&error.message).cloned(), ..failure };
    }
    failure
}

/// The failure of a push, from what the engine or the registry says.
pub(super) fn push_failure(builder: &Builder, spec: &BuildSpec, message: &str) -> Failure {
    let explained = explain::push(message, builder.push_target(spec, message));
    Failure::new(explained.stage, explained.headline, explained.hint).of_image(&spec.name)
}
