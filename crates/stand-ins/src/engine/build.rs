//! A build: the Dockerfile is read through the session, its steps are executed, and the result is exported.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bollard_buildkit_proto::{
    moby::buildkit::v1::{SolveRequest, SolveResponse},
    pb::Definition,
};
use serde_json::json;
use tonic::Status;

use super::{
    Seen,
    dockerfile::{self, Instruction, Step},
    errors::{About, failed},
    export::{self, Target},
    files::{self, Files, Wanted},
    job::{End, Ends, Job},
    session::Session,
    shell::{self, World},
    state::{Build, BuildEnd, State},
};
use crate::registry::digest;

/// Base images that there are.
const BASES: [&str; 2] = ["scratch", "busybox:1.36"];
const FRONTEND: &str = "dockerfile.v0";

/// Does what a caller of `Solve` asks for.
pub(super) async fn solve(state: &Arc<State>, request: SolveRequest) -> Result<SolveResponse, Status> {
    let targets = export::targets(&state.setup, &request)?;
    let running = state.begin(Build {
        exporters: targets.iter().map(|target| (target.kind.clone(), target.attributes.clone())).collect(),
        attributes: request.frontend_attrs.clone().into_iter().collect(),
        end: None,
    });
    let answer = work(state, &request, &targets).await;
    running.finish(match &answer {
        Ok(_) => BuildEnd::Done,
        Err(status) => BuildEnd::Failed(status.message().to_owned()),
    });
    answer
}

async fn work(state: &Arc<State>, request: &SolveRequest, targets: &[Target]) -> Result<SolveResponse, Status> {
    let job = state.jobs.begin(&request.r#ref)?;
    let _ends = Ends(job.clone());
    let made = match request.frontend.as_str() {
        FRONTEND => {
            let frontend = Frontend {
                state,
                job: &job,
                session: &request.session,
                attributes: &request.frontend_attrs,
                inputs: &request.frontend_inputs,
            };
            let planned = frontend.plan().await?;
            frontend.execute(&planned).await?
        }
        // The caller is the frontend.
        "" => state.bridges.converse(&request.r#ref, &request.session, job.clone()).await?,
        other => return Err(Status::unknown(format!("frontend {other} not found"))),
    };
    let exporter_response = export::export(state, &job, &request.session, &made, targets).await?;
    Ok(SolveResponse { exporter_response })
}

/// Dockerfile and steps of a build.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    text: String,
    /// The instructions of all stages.
    instructions: Vec<Instruction>,
    pub(super) steps: Vec<Step>,
    exclude: Vec<String>,
}

/// The result of a build.
#[derive(Clone, Debug, Default)]
pub(super) struct Made {
    /// Identifies the files in it.
    pub(super) key: String,
    pub(super) labels: BTreeMap<String, String>,
}

/// The frontend for Dockerfiles.
pub(super) struct Frontend<'a> {
    pub(super) state: &'a Arc<State>,
    pub(super) job: &'a Job,
    pub(super) session: &'a str,
    pub(super) attributes: &'a HashMap<String, String>,
    pub(super) inputs: &'a HashMap<String, Definition>,
}

impl Frontend<'_> {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// Reads the Dockerfile.
    pub(super) async fn plan(&self) -> Result<Planned, Status> {
        let session = self.state.sessions.get(self.session).await?;
        let name = self.attribute("filename").unwrap_or("Dockerfile");
        let follow = [name.to_owned(), format!("{name}.dockerignore"), "dockerfile".to_owned()];
        let wanted = Wanted { directory: "dockerfile", follow: follow.into(), exclude: Vec::new() };
        let step = format!("[internal] load build definition from {name}");
        let files = self.internal(&step, &session, &wanted).await?;
        let Some(content) = files.get(name) else {
            let message = format!("failed to read dockerfile: open {name}: no such file or directory");
            return Err(failed(&message, &About::default()));
        };
        let text = String::from_utf8_lossy(content).into_owned();
        let instructions = dockerfile::parse(&text).map_err(|mistake| {
            let lines = dockerfile::Lines { first: mistake.line, last: mistake.line };
            failed(&mistake.message, &About { source: Some((lines, &text)), ..About::default() })
        })?;
        let steps = dockerfile::steps(&instructions, self.attribute("target"))
            .map_err(|message| failed(&message, &About::default()))?;
        let wanted = Wanted { directory: "context", follow: vec![".dockerignore".to_owned()], exclude: Vec::new() };
        let ignore = self.internal("[internal] load .dockerignore", &session, &wanted).await?;
        let patterns = ignore.get(".dockerignore").map(|text| String::from_utf8_lossy(text).into_owned());
        let exclude = patterns.iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
        Ok(Planned { text, instructions, steps, exclude })
    }

    /// Takes files in a step of its own.
    async fn internal(&self, name: &str, session: &Session, wanted: &Wanted<'_>) -> Result<Files, Status> {
        let vertex = digest(format!("{name} {}", self.session).as_bytes());
        let started = self.job.started(&vertex, name);
        let taken = files::take(session, wanted).await;
        let end = taken.as_ref().map_or_else(|status| End::Failed(status.message()), |_| End::Done);
        self.job.completed(&vertex, name, started, end);
        taken
    }

    /// Executes the steps.
    pub(super) async fn execute(&self, planned: &Planned) -> Result<Made, Status> {
        let context = self.context(planned).await?;
        let mut key = String::new();
        for step in &planned.steps {
            let is_cached;
            (key, is_cached) = self.key(&key, step, &context)?;
            let started = self.job.started(&step.digest, &step.name);
            let done = if is_cached { Ok(()) } else { self.step(step, planned, &context).await };
            match done {
                Ok(()) => {
                    self.state.cache(&key);
                    let end = if is_cached { End::Cached } else { End::Done };
                    self.job.completed(&step.digest, &step.name, started, end);
                }
                Err(status) => {
                    self.job.completed(&step.digest, &step.name, started, End::Failed(status.message()));
                    return Err(status);
                }
            }
        }
        let labels = self
            .attributes
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix("label:")?.to_owned(), value.clone())));
        let commands = planned.instructions.iter().filter(|one| matches!(one.keyword.as_str(), "CMD" | "ENV"));
        let settings: Vec<&str> = commands.map(|one| one.rest.as_str()).collect();
        Ok(Made { key: digest(json!([key, settings]).to_string().as_bytes()), labels: labels.collect() })
    }

    /// The files that the steps copy.
    async fn context(&self, planned: &Planned) -> Result<Files, Status> {
        let copied: Vec<String> = planned.steps.iter().flat_map(sources).collect();
        if copied.is_empty() {
            return Ok(Files::new());
        }
        let session = self.state.sessions.get(self.session).await?;
        let all = copied.iter().any(|path| path == ".");
        let follow = if all { Vec::new() } else { copied };
        let wanted = Wanted { directory: "context", follow, exclude: planned.exclude.clone() };
        self.internal("[internal] load build context", &session, &wanted).await
    }

    /// What identifies the result of a step, and whether it is there already.
    fn key(&self, before: &str, step: &Step, context: &Files) -> Result<(String, bool), Status> {
        let copied = sources(step);
        let content: Vec<_> = context.iter().filter(|(path, _)| copied.iter().any(|one| lies_in(path, one))).collect();
        let base = step.instruction.rest.split(' ').next().unwrap_or_default();
        let input = match self.attribute(&format!("context:{base}")).and_then(|value| value.strip_prefix("input:")) {
            Some(input) if step.instruction.keyword == "FROM" => {
                let input = self.inputs.get(input).ok_or_else(|| Status::unknown(format!("no input {input}")))?;
                input.def.last().map(|definition| digest(definition)).unwrap_or_default()
            }
            _ => String::new(),
        };
        let key = digest(json!([before, step.digest, content, input]).to_string().as_bytes());
        let never = self.attributes.contains_key("no-cache");
        let is_cached = !never && self.state.is_cached(&key);
        Ok((key, is_cached))
    }

    async fn step(&self, step: &Step, planned: &Planned, context: &Files) -> Result<(), Status> {
        let Instruction { keyword, rest, lines } = &step.instruction;
        let source = Some((*lines, planned.text.as_str()));
        let about = About { vertex: Some(&step.digest), source, ..About::default() };
        let fail = |message: &str| Err(failed(message, &about));
        if let Err(status) = self.state.meet(Seen::Step(step.name.clone()), self.session).await {
            return fail(status.message());
        }
        match keyword.as_str() {
            "FROM" => {
                let base = rest.split(' ').next().unwrap_or_default();
                let is_stage = planned.instructions.iter().any(|one| {
                    let words: Vec<&str> = one.rest.split(' ').collect();
                    one.keyword == "FROM" && words.len() == 3 && words[2] == base
                });
                if BASES.contains(&base) || is_stage || self.attributes.contains_key(&format!("context:{base}")) {
                    return Ok(());
                }
                let full = if base.split('/').next().is_some_and(|host| host.contains(['.', ':']) && base.contains('/'))
                {
                    base.to_owned()
                } else {
                    format!("docker.io/{base}")
                };
                fail(&format!("{base}: failed to resolve source metadata for {full}: {full}: not found"))
            }
            "COPY" | "ADD" => {
                let missing = sources(step).into_iter().find(|one| !context.keys().any(|path| lies_in(path, one)));
                missing.map_or(Ok(()), |path| {
                    fail(&format!(
                        "failed to compute cache key: failed to calculate checksum of ref: \"/{path}\": not found"
                    ))
                })
            }
            "RUN" => {
                let mut world = context.iter().map(|(path, content)| (format!("/{path}"), content.clone())).collect();
                let command = match self.mounts(rest, &mut world).await {
                    Ok(command) => command,
                    Err(status) => return fail(status.message()),
                };
                let print = |text: &str| self.job.log(&step.digest, text);
                let code = shell::run(&command, &World { files: &world, print: &print }).await;
                if code == 0 {
                    return Ok(());
                }
                let message =
                    format!("process \"/bin/sh -c {command}\" did not complete successfully: exit code: {code}");
                Err(failed(&message, &About { exit_code: Some(code), ..about }))
            }
            _ => Ok(()),
        }
    }

    /// Takes the flags off a `RUN`, and gets the secrets that they name.
    async fn mounts(&self, run: &str, world: &mut Files) -> Result<String, Status> {
        let mut rest = run;
        while let Some((flag, command)) = rest.split_once(' ').filter(|(flag, _)| flag.starts_with("--")) {
            rest = command;
            let Some(options) = flag.strip_prefix("--mount=type=secret,") else { continue };
            let Some(id) = options.split(',').find_map(|option| option.strip_prefix("id=")) else { continue };
            let session = self.state.sessions.get(self.session).await?;
            match session.secret(id).await? {
                Some(secret) => drop(world.insert(format!("/run/secrets/{id}"), secret)),
                None if options.split(',').any(|option| option == "required=true" || option == "required") => {
                    return Err(Status::unknown(format!("secret {id}: not found")));
                }
                None => {}
            }
        }
        Ok(rest.to_owned())
    }
}

/// Paths of the context that a step copies.
fn sources(step: &Step) -> Vec<String> {
    if !matches!(step.instruction.keyword.as_str(), "COPY" | "ADD") || step.instruction.rest.contains("--from=") {
        return Vec::new();
    }
    let mut words: Vec<&str> = step.instruction.rest.split(' ').filter(|word| !word.starts_with("--")).collect();
    words.pop();
    words.into_iter().map(|word| word.trim_start_matches("./").trim_end_matches('/').to_owned()).collect()
}

fn lies_in(path: &str, directory: &str) -> bool {
    directory == "." || path == directory || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}
