//! Checks before anything is built: the checkout exists, the engine answers, and the registry accepts the
//! credentials.

mod builder;
mod caches;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

pub use builder::builder;

use crate::{
    builder::{Builder, explain, spec::BuildSpec, support},
    buildkit::{
        build::{Context, Dockerfile},
        session::{BuildSecret, LARGEST_SECRET},
        ssh::{AgentSource, Agents},
    },
    compose::{self, Access},
    context::RunContext,
    domain::{
        diagnostic::{Diagnostic, Place},
        failure::Failure,
        stage::Stage,
    },
    plan::{Plan, images::Purpose},
    registry::permissions::PushTarget,
    regular_file::{self, ReadError},
};

/// Maximum size in bytes up to which an ignore file is read here, to find out its type.
const LARGEST_IGNORE_FILE: u64 = 1 << 20;

/// Returns the build specs of the plan's images with every path resolved; fails if a path does not exist.
pub fn build_specs(plan: &Plan, cx: &RunContext) -> Result<Vec<BuildSpec>, Failure> {
    let mut specs: Vec<BuildSpec> =
        plan.images.iter().map(|image| BuildSpec::new(image, &cx.project, &cx.place)).collect();
    let mut problems = Vec::new();
    for spec in &mut specs {
        take_lower_case(spec);
        let goes_out = spec.purpose == Purpose::Wanted && (plan.push.enabled || plan.load);
        if goes_out && spec.destinations.tags.is_empty() {
            return Err(wrong(
                &spec.name,
                format!("no tag for {}: no rule of `tags` fits this event", spec.destinations.repository),
                "add a rule that fits, such as `type=ref,event=branch` or `type=sha`, or run this workflow on other events",
            ));
        }
        problems.extend(missing_paths(plan, cx, spec));
    }
    if let Some(failure) = all_of(problems) {
        return Err(failure);
    }
    for (image, secrets) in &cx.secrets {
        for (id, secret) in secrets {
            if let BuildSecret::File(path) = secret
                && let Err(error) = regular_file::read(path, LARGEST_SECRET)
            {
                let headline = format!("build secret {id}: {}: {error}", shown(path, cx));
                return Err(wrong(image, headline, "check the input `secret-files` and `secrets` in the compose file"));
            }
        }
    }
    Ok(specs)
}

/// Returns the failures for the contexts and the Dockerfile of an image that do not exist.
fn missing_paths(plan: &Plan, cx: &RunContext, spec: &BuildSpec) -> Vec<Failure> {
    let image = plan.images.iter().find(|image| image.name == spec.name);
    let at = |failure: Failure, access: &Access| {
        let position = image.and_then(|image| image.build.positions.get(access));
        let place = position.map(|position| Place {
            file: compose::join(&cx.place, &position.at.file),
            line: position.at.line,
            end_line: position.at.line,
        });
        Failure { place, ..failure }
    };
    let mut problems = Vec::new();
    for (name, context) in &spec.build.named_contexts {
        if let Context::Directory(path) = context
            && !path.is_dir()
        {
            let headline = format!("the additional context {name}={} is not a directory", shown(path, cx));
            let hint = "check `additional_contexts`, whose paths are relative to the compose file, or the input `build-contexts`";
            problems.push(at(wrong(&spec.name, headline, hint), &Access::NamedContext(name.clone())));
        }
    }
    if let Context::Directory(path) = &spec.build.context
        && !path.is_dir()
    {
        let headline = format!("the build context {} is not a directory", shown(path, cx));
        let hint = "check `context`; it is relative to the compose file, or else to the working directory";
        problems.push(at(wrong(&spec.name, headline, hint), &Access::Context));
        return problems;
    }
    if let Dockerfile::File { directory, name } = &spec.build.dockerfile
        && !directory.join(name).is_file()
    {
        let path = directory.join(name);
        let problem = if path.exists() { "is not a regular file" } else { "does not exist" };
        let headline = format!("the Dockerfile {} {problem}", shown(&path, cx));
        let hint = "check `dockerfile`, which is relative to the build context, or the input `file`, which is relative to the \
                    working directory";
        problems.push(at(wrong(&spec.name, headline, hint), &Access::Dockerfile));
    }
    for path in ignore_files(spec) {
        if let Err(error @ ReadError::Special(_)) = regular_file::read(&path, LARGEST_IGNORE_FILE) {
            let headline = format!("{}: {error}", shown(&path, cx));
            problems.push(wrong(&spec.name, headline, "replace it with a regular file, or remove it"));
        }
    }
    problems
}

/// Returns the ignore files that the daemon may read. It would wait forever for a named pipe.
fn ignore_files(spec: &BuildSpec) -> Vec<PathBuf> {
    let contexts =
        std::iter::once(&spec.build.context).chain(spec.build.named_contexts.iter().map(|(_, context)| context));
    let mut files: Vec<PathBuf> = contexts
        .filter_map(|context| match context {
            Context::Directory(path) => Some(path.join(".dockerignore")),
            _ => None,
        })
        .collect();
    if let Dockerfile::File { directory, name } = &spec.build.dockerfile {
        files.push(directory.join(format!("{name}.dockerignore")));
    }
    files
}

/// Combines failures into one that lists all of them.
fn all_of(mut problems: Vec<Failure>) -> Option<Failure> {
    if problems.len() < 2 {
        return problems.pop();
    }
    let line = |failure: &Failure| {
        let place = failure.place.as_ref().map_or_else(String::new, |place| format!("{}:{}: ", place.file, place.line));
        format!("{place}{}: {}", failure.image().unwrap_or_default(), failure.headline)
    };
    let headline = problems.iter().map(line).collect::<Vec<_>>().join("\n");
    let first = problems.swap_remove(0);
    Some(Failure { place: first.place, ..Failure::invalid(first.stage, headline, first.hint) })
}

/// Uses the file `dockerfile` if `Dockerfile` does not exist, as all of Docker's clients do
/// (<https://github.com/moby/moby/pull/10858>).
pub fn take_lower_case(spec: &mut BuildSpec) {
    let Dockerfile::File { directory, name } = &mut spec.build.dockerfile else { return };
    if name == "Dockerfile" && !directory.join("Dockerfile").exists() && directory.join("dockerfile").is_file() {
        spec.dockerfile_place.truncate(spec.dockerfile_place.len() - name.len());
        *name = name.to_lowercase();
        spec.dockerfile_place.push_str(name);
    }
}

/// Adapts the specs to the builder. Fails if the builder does not support an option; `Ok` holds warnings about options
/// that it may not support.
pub async fn support(builder: &Builder, specs: &mut [BuildSpec]) -> Result<Vec<Diagnostic>, Failure> {
    let mut doubts = Vec::new();
    let runs: Vec<String> = builder.nodes.iter().flat_map(|node| node.worker.platforms.iter().cloned()).collect();
    for spec in specs {
        if builder.nodes.len() > 1 && spec.build.bases().next().is_some() {
            let hint =
                "name one endpoint in the input `builder`, or push the base first and name it as `docker-image://`";
            return Err(wrong(
                &spec.name,
                "its base is another image of this run; that requires a single builder".into(),
                hint,
            ));
        }
        match builder.nodes.iter().find_map(|node| node.worker.host_gateway.as_ref()) {
            Some(address) => spec.build.set_host_gateway(address),
            None if spec.build.needs_host_gateway() => {
                let hint = "write the host's address as the containers see it, such as 172.17.0.1";
                return Err(wrong(
                    &spec.name,
                    "this builder does not report the address of `host-gateway`".to_owned(),
                    hint,
                ));
            }
            None => {}
        }
        if builder.engine_pushes() {
            support::of_classic_store(spec)?;
        }
        let text = spec.dockerfile_text();
        if support::is_new(spec) && builder.is_old().await {
            support::of_old_engine(spec, text.as_deref())?;
        }
        let text = text.unwrap_or_default();
        doubts.extend(support::without_emulation(spec, &runs, &text));
    }
    Ok(doubts)
}

/// Reads the keys for SSH mounts.
fn agents(cx: &RunContext) -> Result<HashMap<String, Agents>, Failure> {
    let read = |(image, sources): (&String, &Vec<(String, AgentSource)>)| {
        let agents = Agents::read(sources).map_err(|error| wrong(image, error.to_string(), error.hint()))?;
        Ok((image.clone(), agents))
    };
    cx.ssh.iter().map(read).collect()
}

/// Resolves when a registry rejects the credentials; otherwise never.
///
/// An inconclusive answer (the registry is unreachable at the moment, or has no login) is ignored; the push will show.
pub async fn refused_login(builder: &Builder, plan: &Plan) -> Failure {
    for host in plan.hosts().into_iter().filter(|_| plan.push.enabled) {
        let (Some(engine), Some(login)) = (&builder.engine, builder.registries.credentials().for_host(host)) else {
            continue;
        };
        if let Err(error) = engine.check_login(host, login).await
            && explain::is_refused_login(error.status(), &error.to_string())
        {
            let hint = explain::refusal_hint(PushTarget { host, has_login: true }, &error.to_string());
            return Failure::new(Stage::Preflight, format!("{host} does not accept the credentials"), Some(hint));
        }
    }
    std::future::pending().await
}

fn shown(path: &Path, cx: &RunContext) -> String {
    path.strip_prefix(&cx.project).unwrap_or(path).display().to_string()
}

fn wrong(image: &str, headline: String, hint: &str) -> Failure {
    Failure::invalid(Stage::Preflight, headline, Some(hint.to_owned())).of_image(image)
}
