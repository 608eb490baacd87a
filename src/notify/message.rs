//! The content of a message about a run, independent of the chat service. PURE.
//!
//! [`Message::of`] builds it from the [`RunState`]; each service's module renders it. All texts in a message are
//! untrusted: a renderer must escape every one of them.

mod fields;
mod phase;
mod targets;

use std::{borrow::Cow, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use self::phase::{Phase, PhaseKind};

use super::text::first_line;
use crate::domain::{
    deploy::DeployResult,
    failure::Failure,
    history::Change,
    run::{ImageStatus, RunInfo, RunState, TargetState, Work},
    stage::Stage,
};

/// A message about a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The phase of the run.
    pub phase: Phase,
    /// Repository and branch. Together with [`Message::status`] it forms the title; if the title is too long, this part is
    /// shortened.
    pub source: String,
    /// The state of the run in a few words. Begins with [`Phase::label`].
    pub status: String,
    /// The page of the run, at this attempt; the title links to it.
    pub url: String,
    /// Who started the run, for which commit, and its result.
    pub intro: Vec<Line>,
    /// Why it failed.
    pub failure: Option<FailureBlock>,
    /// One field per image, then the warnings.
    pub fields: Vec<Field>,
    /// Links to more details.
    pub links: Line,
    /// Workflow and repository, in small print.
    pub footer: String,
    /// When the run ended; `None` while it runs.
    pub ended: Option<DateTime<Utc>>,
}

/// A block of lines with a heading. The most important line comes first: a channel with too little room drops the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// The state of the item as an emoji.
    pub emoji: Cow<'static, str>,
    /// The heading.
    pub name: String,
    /// The lines.
    pub lines: Vec<Line>,
}

/// Why a run failed, so that readers need not open the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailureBlock {
    /// What went wrong.
    pub headline: String,
    /// File and line, image, stage, exit code.
    pub facts: Line,
    /// The Dockerfile instruction, line by line.
    pub instruction: Vec<String>,
    /// The last lines of the output of the failed step.
    pub log: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// A line of text.
pub type Line = Vec<Span>;

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Span {
    /// Plain text.
    Text(String),
    /// Bold text.
    Strong(String),
    /// Code: a tag, a digest, a command.
    Code(String),
    /// A link in code style: label, URL. With an empty URL it is not a link.
    CodeLink(String, String),
    /// A link: label, URL.
    Link(String, String),
    /// A point in time, shown as the time since then.
    Ago(DateTime<Utc>),
}

impl Span {
    fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    fn code(text: impl Into<String>) -> Self {
        Self::Code(text.into())
    }
}

impl Message {
    /// The message for the current state of a run.
    pub fn of(state: &RunState) -> Self {
        Self::at(state, Phase::of(state))
    }

    /// The message for a run in a phase that does not follow from its state: see [`Phase::of`].
    pub fn at(state: &RunState, phase: Phase) -> Self {
        Self::new(state, phase, Scope::Run)
    }

    /// The message for a job that builds by other means, whose images and cause of failure are unknown.
    pub fn external_job(state: &RunState) -> Self {
        let phase = if state.outcome.is_some() { Phase::of(state) } else { Phase::RunningExternal };
        Self::new(state, phase, Scope::ExternalJob)
    }

    fn new(state: &RunState, phase: Phase, scope: Scope) -> Self {
        let info = &state.info;
        let failure = state.failure().filter(|_| scope == Scope::Run);
        let elapsed = elapsed(state);
        // A carriage return in a name overwrites no other part of the title.
        let source = [short_repository(info), &info.ref_name].map(first_line);
        let source: Vec<String> = source.into_iter().filter(|part| !part.is_empty()).collect();
        let images = state.images.iter().map(|image| fields::image_field(image, state));
        let targets = state.targets.iter().map(|target| targets::target_field(target, state));
        // During and after a deployment, the targets are what readers look for.
        let fields = if state.stage == Stage::Deploy {
            targets.chain(images).chain(fields::warnings(state)).collect()
        } else {
            images.chain(targets).chain(fields::warnings(state)).collect()
        };
        let footer = [&info.workflow, &info.repository].map(|part| first_line(part));
        Self {
            phase,
            source: source.join(" · "),
            status: status(state, phase, failure),
            url: info.run_url.clone(),
            intro: intro(state, phase, scope),
            failure: failure.map(|failure| failure_block(failure, info)),
            fields,
            links: links(info, phase),
            footer: footer.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · "),
            ended: elapsed.and_then(|elapsed| Some(state.started + chrono::Duration::from_std(elapsed).ok()?)),
        }
    }

    /// The page of the job, or that of the run if the job's is unknown. May be empty.
    pub fn job_url(&self) -> &str {
        match self.links.as_slice() {
            [Span::Link(_, url), ..] => url,
            _ => &self.url,
        }
    }
}

/// What the message is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// A run of this action.
    Run,
    /// A job that builds by other means.
    ExternalJob,
}

/// The duration of a finished run; `None` if it is unknown.
fn elapsed(state: &RunState) -> Option<Duration> {
    state.outcome.as_ref().map(|(_, elapsed)| *elapsed).filter(|elapsed| !elapsed.is_zero())
}

/// The name without the owner, for titles. The footer shows both.
fn short_repository(info: &RunInfo) -> &str {
    info.repository.rsplit('/').next().unwrap_or_default()
}

fn status(state: &RunState, phase: Phase, failure: Option<&Failure>) -> String {
    let label = phase.label();
    let took = |joint: &str| elapsed(state).map_or_else(String::new, |time| format!(" {joint} {}", duration(time)));
    let status = match phase {
        Phase::Running(_) => {
            let done = state.images.iter().filter(|i| matches!(i.status, ImageStatus::Done(_))).count();
            match state.images.len() {
                0 | 1 => label.to_owned(),
                all => format!("{label} {done} of {all} images done"),
            }
        }
        Phase::Succeeded if state.work == Work::Rollback => format!("rolled back on request{}", took("in")),
        Phase::Succeeded => format!("{label}{}", took("in")),
        Phase::Failed => match failure {
            Some(failure) => format!("{label} {}", what_failed(failure)),
            None => format!("{label}{}", took("after")),
        },
        Phase::Cancelled | Phase::TimedOut => format!("{label}{}", took("after")),
        Phase::Interrupted | Phase::RolledBack | Phase::RollbackFailed | Phase::RunningExternal => label.to_owned(),
    };
    match state.change() {
        Some(Change::Broke) => format!("{status} · new failure"),
        Some(Change::StillFailing(count)) => format!("{status} · {} failure in a row", ordinal(count)),
        Some(Change::Fixed) => format!("{status} · fixed"),
        None => status,
    }
}

/// `2nd`, `3rd`, `11th`.
fn ordinal(number: u32) -> String {
    let suffix = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}

/// The action that failed: `to build django`.
fn what_failed(failure: &Failure) -> String {
    let shown = |name: &str| Some(first_line(name)).filter(|name| !name.is_empty());
    let (image, target) = (failure.image().and_then(shown), failure.target().and_then(shown));
    match (failure.stage, image) {
        (Stage::Plan, _) => "to plan the build".to_owned(),
        (Stage::Preflight, _) => "before the build started".to_owned(),
        (Stage::Build, Some(image)) => format!("to build {image}"),
        (Stage::Build, None) => "to build".to_owned(),
        (Stage::Publish, Some(image)) => format!("to publish {image}"),
        (Stage::Publish, None) => "to publish".to_owned(),
        (Stage::Deploy, _) => target.map_or_else(|| "to deploy".to_owned(), |target| format!("to deploy to {target}")),
    }
}

fn intro(state: &RunState, phase: Phase, scope: Scope) -> Vec<Line> {
    let info = &state.info;
    let mut who = Line::new();
    if !info.actor.is_empty() {
        let did = match (state.work, info.event_name.as_str()) {
            (Work::Rollback, _) => " requested a rollback in a run of ",
            (_, "push") => " pushed ",
            (_, "pull_request" | "pull_request_target") => " wants to merge ",
            (_, "merge_group") => " is merging ",
            _ => " started a run of ",
        };
        who.extend([Span::Strong(info.actor.clone()), Span::text(did)]);
    }
    if let Some(short) = info.sha.get(..7) {
        who.extend([Span::CodeLink(short.to_owned(), info.commit_url.clone()), Span::text(" ")]);
    }
    who.push(Span::text(info.subject.clone()));
    let outcome = match phase {
        Phase::Running(_) | Phase::RunningExternal | Phase::Failed => None,
        Phase::Succeeded => (scope == Scope::Run).then(|| success(state)),
        Phase::Cancelled => Some("Cancelled by someone or by a newer run".to_owned()),
        Phase::TimedOut => Some("Took longer than the input timeout allows".to_owned()),
        Phase::Interrupted => Some("The job was stopped before this step could report a result".to_owned()),
        Phase::RolledBack => Some("Deployment failed; rolled back to the previous release".to_owned()),
        Phase::RollbackFailed => Some("Deployment failed, and so did the rollback: check the target now".to_owned()),
    };
    let mut when: Line = outcome.map(Span::text).into_iter().collect();
    // The start of a finished run is known only if its duration is.
    if phase.is_running() || elapsed(state).is_some() {
        if !when.is_empty() {
            when.push(Span::text(" · "));
        }
        when.extend([Span::text("started "), Span::Ago(state.started)]);
    }
    [who, when].into_iter().filter(|line| !line.is_empty()).collect()
}

/// `2 images built and pushed`.
fn success(state: &RunState) -> String {
    let results = state.images.iter().filter_map(|image| match &image.status {
        ImageStatus::Done(result) => Some(result),
        _ => None,
    });
    let (pushed, built): (Vec<_>, Vec<_>) = results.partition(|result| result.pushed);
    let done = match (pushed.len(), built.len()) {
        (0, 0) => "Nothing to build".to_owned(),
        (0, n) => format!("{} built, not pushed", images(n)),
        (n, 0) => format!("{} built and pushed", images(n)),
        (p, b) => format!("{} built, {p} of them pushed", images(p + b)),
    };
    let deployed = state.targets.iter().filter_map(TargetState::report).map(|report| report.result);
    let deployed = deployed.filter(|result| *result == DeployResult::Deployed).count();
    let targets = |preposition: &str| match (deployed, state.targets.len()) {
        (1, 1) => String::new(),
        (n, _) => format!(" {preposition} {n} target{}", if n == 1 { "" } else { "s" }),
    };
    let done = match (state.work, deployed) {
        (Work::Pipeline, 0) => done,
        (Work::Pipeline, _) => format!("{done}, deployed{}", targets("to")),
        (Work::Deploy, 0) => "Nothing to deploy".to_owned(),
        (Work::Deploy, _) => format!("Deployed{}", targets("to")),
        (Work::Rollback, 0) => "Nothing to roll back".to_owned(),
        (Work::Rollback, _) => format!("An earlier release runs again{}", targets("on")),
    };
    match state.superseded.as_deref().and_then(|newer| newer.get(..7)) {
        Some(newer) => format!("{done}; superseded by the newer commit {newer}"),
        None => done,
    }
}

fn images(n: usize) -> String {
    format!("{n} image{}", if n == 1 { "" } else { "s" })
}

fn links(info: &RunInfo, phase: Phase) -> Line {
    let label = if phase.is_running() { "Watch the job" } else { "Open the job log" };
    // The title already links to the run.
    let url = if info.job_url.is_empty() { &info.run_url } else { &info.job_url };
    if url.is_empty() { Line::new() } else { vec![Span::Link(label.to_owned(), url.clone())] }
}

fn failure_block(failure: &Failure, info: &RunInfo) -> FailureBlock {
    let mut facts = Line::new();
    let mut fact = |spans: Vec<Span>| {
        if !facts.is_empty() {
            facts.push(Span::text(" · "));
        }
        facts.extend(spans);
    };
    if let Some(place) = &failure.place {
        let label = format!("{}:{}", place.file, place.line);
        // Link to the line of the file at this commit, if the path needs no escaping.
        let blob = info.commit_url.strip_suffix(&format!("/commit/{}", info.sha)).filter(|_| !info.sha.is_empty());
        let plain = place.file.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
        fact(match blob {
            Some(base) if plain => {
                let url = format!("{base}/blob/{}/{}#L{}", info.sha, place.file, place.line);
                vec![Span::CodeLink(label, url)]
            }
            _ => vec![Span::code(label)],
        });
    }
    if let Some(image) = failure.image() {
        fact(vec![Span::text("image "), Span::Strong(image.to_owned())]);
    }
    if let Some(target) = failure.target() {
        fact(vec![Span::text("target "), Span::Strong(target.to_owned())]);
    }
    fact(vec![Span::text(format!("stage: {}", failure.stage.word()))]);
    if let Some(code) = failure.exit_code {
        fact(vec![Span::text(format!("exit code {code}"))]);
    }
    FailureBlock {
        // Emphasis does not span lines in every service.
        headline: failure.headline.replace('\n', "; "),
        facts,
        instruction: failure.instruction.iter().flat_map(|text| text.lines().map(str::to_owned)).collect(),
        log: failure.log.clone(),
        hint: failure.hint.clone(),
    }
}

/// A duration in at most two units: `4.2s`, `42s`, `1m 12s`, `1h 02m`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", duration.as_secs_f64().min(9.9)),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A size in decimal units, as registries show it: `183.4 MB`.
pub fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_000 => return format!("{bytes} B"),
        1_000..1_000_000 => (1_000, "kB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{duration, size};

    #[test]
    fn formats_numbers() {
        for (millis, want) in [(0, "0.0s"), (9_990, "9.9s"), (59_999, "59s"), (72_000, "1m 12s"), (3_725_000, "1h 02m")]
        {
            assert_eq!(duration(Duration::from_millis(millis)), want);
        }
        for (bytes, want) in [(12, "12 B"), (1_500, "1.5 kB"), (183_456_789, "183.4 MB"), (2_000_000_000, "2.0 GB")] {
            assert_eq!(size(bytes), want);
        }
    }
}
