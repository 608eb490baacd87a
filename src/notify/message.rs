//! What a message says of a run, whatever the channel. PURE.
//!
//! [`Message::of`] draws it from the [`RunState`]; `discord.rs` and its like put it into their channel's words.
//! Every text in a message is as untrusted as it came: a renderer makes all of it inert, without exception.

mod fields;
mod phase;

use std::{borrow::Cow, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use self::phase::{Phase, Role};

use crate::domain::{
    failure::Failure,
    history::Change,
    run::{ImageStatus, RunInfo, RunState},
    stage::Stage,
};

/// A message about a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Where the run stands.
    pub phase: Phase,
    /// Repository and branch. With [`Message::status`] it is the title; where room is short, it is what gives.
    pub place: String,
    /// How it goes, in a few words that begin with the phase's word.
    pub status: String,
    /// What the title links to: the run, at this attempt.
    pub url: String,
    /// Who did what, and what came of it.
    pub intro: Vec<Line>,
    /// Why it failed.
    pub failure: Option<FailureBlock>,
    /// One an image, then warnings.
    pub fields: Vec<Field>,
    /// Where to read on.
    pub links: Line,
    /// A few words of little weight.
    pub footer: String,
    /// When the run ended; `None` while it runs.
    pub ended: Option<DateTime<Utc>>,
}

/// A headed block of lines, the most important line first: a channel that runs out of room drops the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// Where the thing stands, as a sign.
    pub sign: Cow<'static, str>,
    /// Its name.
    pub name: String,
    /// What there is to say.
    pub lines: Vec<Line>,
}

/// Why a run failed, for someone who does not open the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailureBlock {
    /// What went wrong.
    pub headline: String,
    /// Image, stage, place, exit code.
    pub facts: Line,
    /// The Dockerfile instruction, line by line.
    pub instruction: Vec<String>,
    /// The last lines of its output, the newest last.
    pub log: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// A line of text.
pub type Line = Vec<Span>;

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Span {
    /// Text as it is.
    Text(String),
    /// Text that stands out.
    Strong(String),
    /// Something literal: a tag, a digest, a command.
    Code(String),
    /// A literal that leads somewhere: label, address. An empty address leads nowhere.
    CodeLink(String, String),
    /// Words that lead somewhere: label, address.
    Link(String, String),
    /// A moment, shown as how long ago it was.
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
    /// The message for the run as it is.
    pub fn of(state: &RunState) -> Self {
        Self::at(state, Phase::of(state))
    }

    /// The message for a run that stands where the state alone does not tell: see [`Phase`].
    pub fn at(state: &RunState, phase: Phase) -> Self {
        Self::new(state, phase, Scope::Here)
    }

    /// The message for a job that builds by other means: its images and the reason of a failure are not known.
    pub fn elsewhere(state: &RunState) -> Self {
        let phase = if state.outcome.is_some() { Phase::of(state) } else { Phase::Underway };
        Self::new(state, phase, Scope::Elsewhere)
    }

    fn new(state: &RunState, phase: Phase, scope: Scope) -> Self {
        let info = &state.info;
        let told = state.failure().filter(|_| scope == Scope::Here);
        let elapsed = elapsed(state);
        let place: Vec<&str> =
            [short_repository(info), &info.ref_name].into_iter().filter(|part| !part.is_empty()).collect();
        let images = state.images.iter().map(|image| fields::image_field(image, state));
        let fields = images.chain(fields::warnings(state)).collect();
        let footer = [&info.workflow, &info.repository].into_iter().filter(|part| !part.is_empty());
        Self {
            phase,
            place: place.join(" · "),
            status: status(state, phase, told),
            url: info.run_url.clone(),
            intro: intro(state, phase, scope),
            failure: told.map(|failure| failure_block(failure, info)),
            fields,
            links: links(info, phase),
            footer: footer.cloned().collect::<Vec<_>>().join(" · "),
            ended: elapsed.and_then(|elapsed| Some(state.started + chrono::Duration::from_std(elapsed).ok()?)),
        }
    }

    /// Where the job can be looked at, else the run; empty if nowhere.
    pub fn job_url(&self) -> &str {
        match self.links.as_slice() {
            [Span::Link(_, url), ..] => url,
            _ => &self.url,
        }
    }
}

/// Whether the run is one of ours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Here,
    Elsewhere,
}

/// How long the run took; `None` while it runs, and where nobody counted.
fn elapsed(state: &RunState) -> Option<Duration> {
    state.outcome.as_ref().map(|(_, elapsed)| *elapsed).filter(|elapsed| !elapsed.is_zero())
}

/// `owner/name` is the footer's; titles have room for the name only.
fn short_repository(info: &RunInfo) -> &str {
    info.repository.rsplit('/').next().unwrap_or_default()
}

fn status(state: &RunState, phase: Phase, told: Option<&Failure>) -> String {
    let word = phase.word();
    let took = |joint: &str| elapsed(state).map_or_else(String::new, |time| format!(" {joint} {}", duration(time)));
    let status = match phase {
        Phase::Running(_) => {
            let done = state.images.iter().filter(|i| matches!(i.status, ImageStatus::Done(_))).count();
            match state.images.len() {
                0 | 1 => word.to_owned(),
                all => format!("{word} {done} of {all} images done"),
            }
        }
        Phase::Succeeded => format!("{word}{}", took("in")),
        Phase::Failed => match told {
            Some(failure) => format!("{word} {}", what_failed(failure)),
            None => format!("{word}{}", took("after")),
        },
        Phase::Cancelled | Phase::TimedOut => format!("{word}{}", took("after")),
        Phase::Interrupted | Phase::RolledBack | Phase::RollbackFailed | Phase::Underway => word.to_owned(),
    };
    match state.change() {
        Some(Change::Broke) => format!("{status} · broke"),
        Some(Change::StillFailing(count)) => format!("{status} · still failing ({})", ordinal(count)),
        Some(Change::Fixed) => format!("{status} · fixed"),
        None => status,
    }
}

/// `2nd`, `3rd`, `11th`.
fn ordinal(number: u32) -> String {
    let ending = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// What a failure failed to do: `to build django`.
fn what_failed(failure: &Failure) -> String {
    let image = failure.image();
    match (failure.stage, image) {
        (Stage::Plan, _) => "to plan the build".to_owned(),
        (Stage::Preflight, _) => "before the build began".to_owned(),
        (Stage::Build, Some(image)) => format!("to build {image}"),
        (Stage::Build, None) => "to build".to_owned(),
        (Stage::Publish, Some(image)) => format!("to publish {image}"),
        (Stage::Publish, None) => "to publish".to_owned(),
        (Stage::Deploy, _) => "to deploy".to_owned(),
    }
}

fn intro(state: &RunState, phase: Phase, scope: Scope) -> Vec<Line> {
    let info = &state.info;
    let mut who = Line::new();
    if !info.actor.is_empty() {
        let did = match info.event_name.as_str() {
            "push" => " pushed ",
            "pull_request" | "pull_request_target" => " proposes ",
            "merge_group" => " merges ",
            _ => " started ",
        };
        who.extend([Span::Strong(info.actor.clone()), Span::text(did)]);
    }
    if let Some(short) = info.sha.get(..7) {
        who.extend([Span::CodeLink(short.to_owned(), info.commit_url.clone()), Span::text(" ")]);
    }
    who.push(Span::text(info.subject.clone()));
    let outcome = match phase {
        Phase::Running(_) | Phase::Underway | Phase::Failed => None,
        Phase::Succeeded => (scope == Scope::Here).then(|| success(state)),
        Phase::Cancelled => Some("Stopped by hand or by a newer run".to_owned()),
        Phase::TimedOut => Some("Stopped: it took longer than the input timeout allows".to_owned()),
        Phase::Interrupted => Some("The job ended before this step could say how it went".to_owned()),
        Phase::RolledBack => Some("The new release was bad; the one before runs again".to_owned()),
        Phase::RollbackFailed => {
            Some("The new release is bad, and the one before could not be put back: look at it now".to_owned())
        }
    };
    let mut when: Line = outcome.map(Span::text).into_iter().collect();
    // Of a run that is over, the start is known only if its time was taken.
    if phase.is_open() || elapsed(state).is_some() {
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
    match (pushed.len(), built.len()) {
        (0, 0) => "Nothing to build".to_owned(),
        (0, n) => format!("{} built, not pushed", images(n)),
        (n, 0) => format!("{} built and pushed", images(n)),
        (p, b) => format!("{} built, {p} of them pushed", images(p + b)),
    }
}

fn images(n: usize) -> String {
    format!("{n} image{}", if n == 1 { "" } else { "s" })
}

fn links(info: &RunInfo, phase: Phase) -> Line {
    let label = if phase.is_open() { "Watch the job" } else { "Open the job log" };
    // The title leads to the run already.
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
        // The file's page at this commit, on the line; only if the path needs no escaping to be one.
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
    fact(vec![Span::text(format!("stage {}", failure.stage.word()))]);
    if let Some(code) = failure.exit_code {
        fact(vec![Span::text(format!("exit code {code}"))]);
    }
    FailureBlock {
        headline: failure.headline.clone(),
        facts,
        instruction: failure.instruction.iter().flat_map(|text| text.lines().map(str::to_owned)).collect(),
        log: failure.log.clone(),
        hint: failure.hint.clone(),
    }
}

/// A duration in the two units that matter: `4.2s`, `42s`, `1m 12s`, `1h 02m`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", duration.as_secs_f64().min(9.9)),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Bytes as registries show them, in powers of ten: `183.4 MB`.
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
    fn writes_numbers_for_people() {
        for (millis, want) in [(0, "0.0s"), (9_990, "9.9s"), (59_999, "59s"), (72_000, "1m 12s"), (3_725_000, "1h 02m")]
        {
            assert_eq!(duration(Duration::from_millis(millis)), want);
        }
        for (bytes, want) in [(12, "12 B"), (1_500, "1.5 kB"), (183_456_789, "183.4 MB"), (2_000_000_000, "2.0 GB")] {
            assert_eq!(size(bytes), want);
        }
    }
}
