//! Selects the builder of a run: the cheapest one that supports all requested options, or the one that the input names.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::future::try_join_all;

use super::caches::{leave_out, silent_services};
use crate::{
    builder::{
        Builder, Goal, caches,
        capabilities::{Store, version_in_engine},
        container::{self, ContainerError, ContainerLease},
        engine::{self, Engine},
        node::{Node, NodeError},
        spec::BuildSpec,
    },
    buildkit::{
        Endpoint,
        tls::{Tls, TlsFiles},
        transport::Address,
    },
    context::RunContext,
    domain::{
        diagnostic::{Diagnostic, Severity},
        event::Event,
        failure::Failure,
        stage::Stage,
    },
    events::Events,
    inputs::builder::{BuilderInput, EndpointAddress, EndpointInput, TlsInput},
    plan::{Plan, images::Purpose},
    registry::{plain::may_be_plain, registries::Registries},
};

/// Connects to the builder, and adapts the specs to it.
pub async fn builder(
    plan: &Plan,
    cx: &RunContext,
    specs: &mut [BuildSpec],
    goal: Goal,
    events: &Events,
) -> Result<Builder, Failure> {
    let registries = Registries::new(cx.credentials.clone());
    let http = registries.http();
    let github = cx.cache_credentials.github.as_ref();
    let (nodes, silent) =
        futures_util::try_join!(nodes(plan, cx, events), async { Ok(silent_services(specs, github, http).await) })?;
    let (mut nodes, engine) = nodes;
    if specs
        .iter()
        .any(|spec| spec.build.cache_from.iter().chain(&spec.build.cache_to).any(|cache| cache.kind == "gha"))
    {
        for node in &mut nodes {
            learn_version(node, engine.as_deref()).await;
        }
    }
    if goal.loads() && engine.is_none() {
        return Err(failed(
            "`load` requires a Docker engine, and none was found".to_owned(),
            "remove the input `load`, or run the job on a runner with Docker",
        ));
    }
    let outside = nodes.iter().any(|node| node.capabilities.store == Store::Standalone);
    let loaded = |spec: &&BuildSpec| goal.loads() && spec.purpose == Purpose::Wanted;
    if let Some(spec) = specs.iter().filter(loaded).find(|spec| outside && spec.build.platforms.len() > 1) {
        return Err(super::wrong(
            &spec.name,
            "`load` does not support multi-platform images from a builder outside the engine".to_owned(),
            "remove the input `load`, or build for one platform",
        ));
    }
    for spec in specs.iter_mut() {
        for node in &nodes {
            let unsupported = node.capabilities.remove_unsupported_caches(spec);
            if !unsupported.is_empty() {
                events.emit(caches::unsupported(&spec.name, &unsupported)).await;
            }
        }
    }
    for warning in leave_out(&silent, specs, github) {
        events.emit(warning).await;
    }
    for spec in specs.iter_mut() {
        cx.cache_credentials.add_to(&mut spec.build);
    }
    Ok(Builder { nodes, engine, registries, secrets: cx.secrets.clone(), ssh: super::agents(cx)? })
}

async fn nodes(plan: &Plan, cx: &RunContext, events: &Events) -> Result<(Vec<Node>, Option<Arc<Engine>>), Failure> {
    match &cx.builder {
        BuilderInput::Endpoints(list) => {
            for host in list.iter().filter_map(unencrypted_host) {
                events.emit(Event::Diagnostic(unencrypted_warning(host))).await;
            }
            endpoints(list, cx).await
        }
        BuilderInput::Engine => {
            // `support` rejects unsupported options later; unsupported caches are removed with a warning.
            let (node, engine) = of_engine(cx).await?;
            Ok((vec![node], Some(engine)))
        }
        BuilderInput::Container => {
            let engine = Arc::new(Engine::new(address(cx)?));
            Ok((vec![in_container(plan, cx, &engine, events).await?], Some(engine)))
        }
        BuilderInput::Auto => {
            let (mut node, engine) = of_engine(cx).await?;
            learn_version_for(plan, &mut node, &engine).await;
            let store = match node.capabilities.store {
                Store::Classic => "classic image store",
                Store::Containerd | Store::Standalone => "containerd image store",
            };
            let Some((image, requirement)) = node.capabilities.missing(&plan.images) else {
                events
                    .emit(Event::Note(format!("builder: the engine ({store}), which supports all requested options")))
                    .await;
                return Ok((vec![node], Some(engine)));
            };
            let why = format!(
                "builder: a container, because {image} {requirement}, which the engine ({store}) does not support"
            );
            events.emit(Event::Note(why)).await;
            match in_container(plan, cx, &engine, events).await {
                Ok(container) => Ok((vec![container], Some(engine))),
                Err(failure) if requirement.is_about_cache() => {
                    let hint = failure.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                    let message = format!(
                        "the cache cannot be used, because the builder container failed to start: {}{hint}",
                        failure.headline
                    );
                    events.emit(caches::warning(message)).await;
                    Ok((vec![node], Some(engine)))
                }
                Err(failure) => Err(failure),
            }
        }
    }
}

/// Learns BuildKit's version if the plan requests GitHub's cache, the only option that depends on it.
async fn learn_version_for(plan: &Plan, node: &mut Node, engine: &Engine) {
    let caches = plan.images.iter().flat_map(|image| image.cache_from.iter().chain(&image.cache_to));
    if caches.into_iter().any(|cache| cache.kind == "gha") {
        learn_version(node, Some(engine)).await;
    }
}

async fn learn_version(node: &mut Node, engine: Option<&Engine>) {
    if node.capabilities.version.is_some() {
        return;
    }
    node.learn_version().await;
    if let (None, Endpoint::Engine(_), Some(engine)) = (node.capabilities.version, &node.endpoint, engine) {
        node.capabilities.version = engine.version().await.and_then(|text| version_in_engine(&text));
    }
}

fn address(cx: &RunContext) -> Result<Address, Failure> {
    engine::locate(cx.docker_host.as_deref()).map_err(|error| failed(error.to_string(), error.hint()))
}

async fn of_engine(cx: &RunContext) -> Result<(Node, Arc<Engine>), Failure> {
    let address = address(cx)?;
    let node = Node::connect(Endpoint::Engine(address.clone()), Vec::new()).await.map_err(|error| match &error {
        NodeError::Unreachable(_) => failed(
            error.to_string(),
            "check that Docker is running on this runner and that this user may open its socket",
        ),
        NodeError::Unusable(_) => {
            failed(format!("the engine's BuildKit does not answer: {error}"), "use Docker Engine 20.10 or newer")
        }
    })?;
    Ok((node, Arc::new(Engine::new(address))))
}

async fn in_container(plan: &Plan, cx: &RunContext, engine: &Arc<Engine>, events: &Events) -> Result<Node, Failure> {
    let mut hosts = plan.hosts();
    let caches = plan.images.iter().flat_map(|image| image.cache_from.iter().chain(&image.cache_to));
    hosts.extend(caches.filter_map(|cache| cache.attribute("ref")?.split_once('/').map(|(host, _)| host)));
    let hosts: Vec<&str> = hosts.into_iter().collect();
    // The container may be shared with other runs, so it gets only the requested entitlements; its name contains them.
    let entitlements = plan.images.iter().flat_map(|image| &image.build.entitlements).map(String::as_str).collect();
    let asked = (&hosts[..], &entitlements);
    let made = container::node(engine, &cx.container, asked, &cx.credentials, &cx.leases, events).await;
    made.map_err(|error| {
        let hint = match &error {
            ContainerError::Pull { .. } => {
                "check the input `buildkit-image`, and that the engine can reach its registry (`buildkit-mirror` applies \
                 to the builds, not to this image)"
            }
            ContainerError::Engine { source, .. }
                if cx.container.network.is_some() && source.to_string().contains("not found") =>
            {
                "set `buildkit-network` to a network that `docker network ls` lists"
            }
            ContainerError::Engine { .. } => "check that this engine allows privileged containers",
            ContainerError::Exited(_) | ContainerError::Silent(_) => {
                "check that `buildkit-image` is an image of moby/buildkit and that its container may be privileged"
            }
        };
        failed(error.to_string(), hint)
    })
}

async fn endpoints(list: &[EndpointInput], cx: &RunContext) -> Result<(Vec<Node>, Option<Arc<Engine>>), Failure> {
    // Only some endpoints need the engine, but an engine may reach registries that this process cannot reach.
    let located = address(cx);
    let engine = located.as_ref().ok().map(|address| Arc::new(Engine::new(address.clone())));
    let nodes = try_join_all(list.iter().map(async |endpoint| {
        let connection = match &endpoint.address {
            EndpointAddress::Tcp(host) => {
                let tls = endpoint.tls.as_ref().map(|files| tls(files, host, cx)).transpose()?;
                Endpoint::Socket(Address::Tcp(host.clone()), tls)
            }
            EndpointAddress::Unix(path) => Endpoint::Socket(Address::Unix(cx.project.join(path)), None),
            EndpointAddress::Container(name) => match &engine {
                Some(engine) => ContainerLease::new(engine.clone(), name.clone()).endpoint(),
                None => return Err(located.clone().err().unwrap_or_else(|| failed("no engine was found".into(), ""))),
            },
        };
        Node::connect(connection, endpoint.platforms.clone()).await.map_err(|error| {
            let text = error.to_string();
            let headline = match error {
                NodeError::Unreachable(_) => text.clone(),
                NodeError::Unusable(_) => format!("builder {}: {text}", endpoint.address),
            };
            failed(headline, endpoint_hint(&text))
        })
    }));
    Ok((nodes.await?, engine))
}

/// Returns the hint for an endpoint that failed to connect, from the error of rustls, the daemon or the system.
fn endpoint_hint(error: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|words| error.contains(words));
    if says(&["UnknownIssuer"]) {
        "pass the certificate of the authority that signed the builder's certificate with `ca=`"
    } else if says(&["not valid for name"]) {
        "the builder's certificate is for another name: use that name in the address, or pass it with `servername=`"
    } else if says(&["certificate expired", "certificate not valid yet"]) {
        "renew the builder's certificate, and check the clock of this machine"
    } else if says(&["received fatal alert"]) {
        "the builder rejects the client certificate: pass one with `cert=` and `key=` that has not expired and that is \
         signed by the authority that buildkitd trusts (its `--tlscacert`)"
    } else if says(&["InvalidContentType"]) {
        "the server does not use TLS: remove `ca=`, `cert=` and `key=`, or check the port"
    } else if says(&["connection closed", "connection reset", "broken pipe", "h2 protocol error"]) {
        "the server closed the connection: check that it is buildkitd, and whether it requires TLS (`ca=`) and a client \
         certificate that it trusts and that has not expired (`cert=`, `key=`)"
    } else {
        "check that buildkitd is running, that it listens on this address, and that this step can reach it"
    }
}

/// Returns the host of an endpoint that is used without TLS although it is not in a private network.
fn unencrypted_host(endpoint: &EndpointInput) -> Option<&str> {
    match &endpoint.address {
        EndpointAddress::Tcp(host) if endpoint.tls.is_none() && !may_be_plain(host) => Some(host),
        _ => None,
    }
}

fn unencrypted_warning(host: &str) -> Diagnostic {
    Diagnostic {
        severity: Severity::Warning,
        title: "builder without TLS".to_owned(),
        message: format!(
            "the connection to tcp://{host} does not use TLS: sources, build secrets and registry passwords are sent \
             unencrypted; enable TLS in buildkitd, and add `ca=`, `cert=` and `key=` to the input `builder`"
        ),
        place: None,
    }
}

fn tls(files: &TlsInput, host: &str, cx: &RunContext) -> Result<Tls, Failure> {
    let path = |text: &str| resolve(text, cx);
    let resolved = TlsFiles {
        ca: files.ca.as_deref().map(path),
        identity: files.identity.as_ref().map(|(certificate, key)| (path(certificate), path(key))),
        server_name: files.server_name.clone(),
    };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    Tls::new(&resolved, name).map_err(|error| {
        let hint = "use a path that is relative to the working directory, or that is in the workspace or `RUNNER_TEMP`";
        failed(format!("builder tcp://{host}: {error}"), hint)
    })
}

/// Resolves a path in a line of `builder`. The runner translates a path of the host only if it is the whole value of an
/// input, so paths in mounted directories are translated here.
fn resolve(text: &str, cx: &RunContext) -> PathBuf {
    let path = Path::new(text);
    let mounted = cx.mounts.iter().find_map(|(host, here)| Some(here.join(path.strip_prefix(host).ok()?)));
    mounted.unwrap_or_else(|| cx.project.join(path))
}

fn failed(headline: String, hint: &str) -> Failure {
    Failure::new(Stage::Preflight, headline, Some(hint.to_owned()))
}
