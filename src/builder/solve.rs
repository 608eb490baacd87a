//! Solves an image on one node, with retries, and interprets failures.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Builder, caches,
    diagnose::{self, FailedImage},
    explain,
    node::Node,
    progress::Progress,
    spec::BuildSpec,
};
use crate::{
    buildkit::{
        SolveError,
        build::CompressionKind,
        caches as cache_errors,
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
        event::{Event, ImageEvent},
        failure::Failure,
        redact::Redactor,
        stage::Stage,
    },
    events::Events,
    registry::remote::RawManifest,
    retry::{Retry, RetryPolicy},
};

/// How long to wait for a base's own build to report the failure of its step.
const BASE_REPORTS: Duration = Duration::from_secs(10);

/// One image of a run, and its builder.
#[derive(Clone, Copy)]
pub(super) struct ImageBuild<'a> {
    /// The builder.
    pub(super) builder: &'a Builder,
    /// The image to build.
    pub(super) spec: &'a BuildSpec,
    /// The builds of the run that are contexts of each other.
    pub(super) links: &'a LinkedBuilds,
}

/// The result of a solve.
#[derive(Debug)]
pub(super) struct Solved {
    /// The digest that the exporter reports.
    pub(super) digest: Option<Digest>,
    /// The number of Dockerfile steps.
    pub(super) steps: usize,
    /// How many of them came from the cache.
    pub(super) cached: usize,
}

/// The result of a build on all nodes that it needed.
#[derive(Debug)]
pub(super) struct BuildOutcome {
    /// All solves in one.
    pub(super) solved: Solved,
    /// The manifest or index, if it is known.
    pub(super) manifest: Option<RawManifest>,
    /// The compressed size in bytes, if it is known.
    pub(super) size: Option<u64>,
}

/// Reports the progress of an image's build to `events`.
pub(super) fn progress_of(spec: &BuildSpec, events: &Events) -> Progress {
    let registry = spec.destinations.repository.host();
    Progress::new(&spec.name, &spec.dockerfile_place, spec.check, events).uploading_to(registry)
}

impl ImageBuild<'_> {
    /// Solves on one node, again after a temporary failure, and without caches if they are the reason. Returns the digest
    /// that the exporter reports.
    pub(super) async fn solve(
        self,
        node: &Node,
        export: Export,
        progress: &mut Progress,
    ) -> Result<Option<Digest>, Failure> {
        let Self { builder, spec, links } = self;
        let events = progress.report.events().clone();
        let files = FileSync::new(shared_dirs(&spec.build));
        let monitor = files.monitor();
        let receiver = match (&builder.engine, export) {
            (Some(engine), Export::Send) => Some(engine.clone() as Arc<dyn ImageReceiver>),
            _ => None,
        };
        let session = self.open_session(node, files, receiver).await?;
        let names = spec.image_names();
        let mut attempt = 1;
        let mut without_caches = None;
        loop {
            let began = Instant::now();
            let build = without_caches.as_ref().unwrap_or(&spec.build);
            let request = node.adapt(solve_request(build, export, &names, &session::new_id(), session.id()));
            let Progress { steps, report } = &mut *progress;
            let answer = Box::pin(links.solve(&node.client, (&spec.name, build), request, steps, report)).await;
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
                return Err(connection_lost(spec, node, cause));
            }
            // Redacted here, because parts of the message are cut out later and no secret may be cut in two.
            let error = SolveError::new(&events.redactor().redact(status.message()), status.details());
            if without_caches.is_none() && build.has_caches() && cache_errors::is_cause(&error.message) {
                events.emit(caches::refused(&spec.name, &error.message)).await;
                progress.cancel_cache_steps().await;
                without_caches = Some(build.without_caches());
                continue;
            }
            if error.vertex.as_deref().is_some_and(|vertex| progress.steps.hides(vertex)) && !error.is_temporary() {
                // A step of a base failed. The base's own build fails too, reports it and stops this one, unless it is
                // over already.
                tokio::time::sleep(BASE_REPORTS).await;
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

    async fn open_session(
        self,
        node: &Node,
        files: FileSync,
        receiver: Option<Arc<dyn ImageReceiver>>,
    ) -> Result<Session, Failure> {
        let Self { builder, spec, .. } = self;
        let attachables = Attachables {
            files,
            receiver,
            credentials: builder.registries.credentials().clone(),
            secrets: builder.secrets.get(&spec.name).cloned().unwrap_or_default(),
            ssh: builder.ssh.get(&spec.name).cloned().unwrap_or_default(),
            shared_key: spec.shared_key.clone(),
        };
        let failed = |error| Failure::new(Stage::Build, format!("cannot open a build session: {error}"), None);
        let opened = Session::open(&node.endpoint, &node.client, "build-deploy", attachables).await;
        opened.map_err(|error| failed(error).of_image(&spec.name))
    }
}

/// The warning about an SSH agent that failed; `failure` is such as `/run/agent.sock: did not answer within 10 s`.
fn agent_warning(image: &str, failure: &str) -> Event {
    Event::Diagnostic(Diagnostic {
        severity: Severity::Warning,
        title: "SSH agent".to_owned(),
        message: format!("{image}: SSH agent {failure}; check that an SSH agent listens on the socket"),
        place: None,
    })
}

/// The failure of a build whose connection to the builder was lost, so that the builder reports no reason.
fn connection_lost(spec: &BuildSpec, node: &Node, cause: &dyn Error) -> Failure {
    let hint = if spec.build.compression.kind == CompressionKind::Estargz {
        "BuildKit compiled with Go 1.27 crashes on `compression: estargz`; use `compression: zstd`"
    } else {
        "check the builder's own log for a crash or a restart, then run the job again"
    };
    let headline = format!("the connection to {} was lost: {cause}", node.endpoint);
    Failure::new(Stage::Build, headline, Some(hint.to_owned())).of_image(&spec.name)
}

fn solve_failure(
    error: &SolveError,
    progress: &Progress,
    (builder, spec, redactor): (&Builder, &BuildSpec, &Redactor),
    files: &Monitor,
) -> Failure {
    if let Some(reason) = files.failure() {
        // BuildKit reports only that the transfer failed.
        let hint = reason.hint().map(str::to_owned);
        return Failure::new(Stage::Build, format!("build context: {reason}"), hint).of_image(&spec.name);
    }
    let text = spec.dockerfile_text();
    let image = FailedImage {
        name: &spec.name,
        dockerfile_place: &spec.dockerfile_place,
        dockerfile: text.as_deref(),
        target: builder.push_target(spec, &error.message),
        redactor,
    };
    let failure = diagnose::failure(error, progress.failed_step(error.vertex.as_deref()), &image);
    if explain::is_lint(&error.message) && failure.place.is_none() {
        return Failure { place: progress.broken_rule(&error.message).cloned(), ..failure };
    }
    failure
}

/// The failure of a push, from the message of the engine or the registry.
pub(super) fn push_failure(builder: &Builder, spec: &BuildSpec, message: &str) -> Failure {
    let explained = explain::push(message, builder.push_target(spec, message));
    Failure::new(explained.stage, explained.headline, explained.hint).of_image(&spec.name)
}
