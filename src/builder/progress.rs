//! Reports the progress of one image's build as events, and remembers what a failure report needs.

use std::time::Duration;

use super::{caches, lines::Lines};
use crate::{
    buildkit::{
        client::Observer,
        steps::{Outcome, StepId, Steps, Update, Warning},
        transfers::{Received, Wait},
    },
    domain::{
        diagnostic::{Diagnostic, Place, Severity},
        event::{Event, ImageEvent, StepOutcome},
        run::is_dockerfile_step,
    },
    events::Events,
};

/// The progress of one image's build, over all attempts.
#[derive(Debug)]
pub struct Progress {
    /// The steps of the build.
    pub steps: Steps,
    /// Where they are reported.
    pub report: Report,
}

/// The step that made a build fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedStep {
    /// BuildKit's name for it.
    pub name: String,
    /// The last lines of its output.
    pub log: Vec<String>,
}

/// Turns the updates of one image's build into events.
#[derive(Debug)]
pub struct Report {
    image: String,
    dockerfile_place: String,
    /// The registry that the image is uploaded to.
    registry: String,
    events: Events,
    /// The output of each step, by its id.
    output: Vec<Lines>,
    /// Where rules of build checks were first broken.
    broken_rules: Vec<(String, Place)>,
    warns: bool,
}

impl Progress {
    /// Creates the progress of a build that has not started. `dockerfile_place` is the Dockerfile's path in the repository,
    /// for warnings about it; `warns` enables those.
    pub fn new(image: &str, dockerfile_place: &str, warns: bool, events: &Events) -> Self {
        let report = Report {
            image: image.to_owned(),
            dockerfile_place: dockerfile_place.to_owned(),
            registry: String::new(),
            events: events.clone(),
            output: Vec::new(),
            broken_rules: Vec::new(),
            warns,
        };
        Self { steps: Steps::default(), report }
    }

    /// Names the registry that the image is uploaded to.
    #[must_use]
    pub fn uploading_to(mut self, registry: &str) -> Self {
        registry.clone_into(&mut self.report.registry);
        self
    }

    /// How many steps of the Dockerfile had something to do, and how many of them came from the cache. A `FROM` runs
    /// nothing and is called done or cached at random, so it does not count.
    pub fn counts(&self) -> (usize, usize) {
        let steps = self.steps.all().iter();
        let steps = steps.filter(|step| is_dockerfile_step(&step.name) && !step.name.contains("] FROM "));
        steps.fold((0, 0), |(total, cached), step| (total + 1, cached + usize::from(step.cached)))
    }

    /// The failed step: the one with this digest, else the first that failed by itself.
    pub fn failed_step(&self, digest: Option<&str>) -> Option<FailedStep> {
        let id = self.steps.failed(digest)?;
        let name = self.steps.all().get(id)?.name.clone();
        Some(FailedStep { name, log: self.report.output.get(id).map(Lines::last).unwrap_or_default() })
    }

    /// Where the rule of the build checks that `message` names was first broken.
    pub fn broken_rule(&self, message: &str) -> Option<&Place> {
        self.report.broken_rules.iter().find(|(rule, _)| message.contains(rule)).map(|(_, place)| place)
    }

    /// Ends the cache steps that still run, since the next attempt uses no caches.
    pub async fn cancel_cache_steps(&mut self) {
        for update in self.steps.cancel_cache_steps() {
            self.report.update(update).await;
        }
    }
}

impl Observer for Report {
    async fn update(&mut self, update: Update) {
        for event in self.events_of(update) {
            self.events.emit(event).await;
        }
    }
}

impl Report {
    /// Where the events go.
    pub fn events(&self) -> &Events {
        &self.events
    }

    fn events_of(&mut self, update: Update) -> Vec<Event> {
        match update {
            Update::Started { step, name } => vec![self.event(ImageEvent::StepStarted { step, name })],
            Update::Output { step, is_stderr, bytes } => {
                let redactor = self.events.redactor();
                let lines = self.output(step).push(&bytes, is_stderr, &redactor);
                self.logged(step, lines)
            }
            Update::CacheFailed { step, kind, error } => {
                let warning = caches::failed(&self.image, kind, &error);
                self.logged(step, vec![error]).into_iter().chain(warning).collect()
            }
            Update::NothingToExport { step, text } => self.logged(step, vec![text]),
            Update::Finished { step, outcome, duration } => {
                let lines = self.output(step).end();
                let mut events = self.logged(step, lines);
                let outcome = match outcome {
                    Outcome::Done => StepOutcome::Done,
                    Outcome::Cached => StepOutcome::Cached,
                    Outcome::Failed(error) => StepOutcome::Failed(error),
                    Outcome::Canceled => StepOutcome::Cancelled,
                };
                events.push(self.event(ImageEvent::StepFinished { step, outcome, duration }));
                events
            }
            Update::Pushing => vec![self.event(ImageEvent::Pushing)],
            Update::Stalled { name, wait, time, received } => vec![Event::Note(match wait {
                Wait::Registry(host) => {
                    let received = received.map_or_else(String::new, |received| format!(", {}", share(received)));
                    no_progress(&self.image, &host, &format!("{name}{received}"), time)
                }
                Wait::Upload => {
                    format!("{}: still uploading to {} after {} s", self.image, self.registry, time.as_secs())
                }
            })],
            Update::Warning(warning) => {
                let diagnostic = self.warning(warning);
                Some(Event::Diagnostic(diagnostic)).filter(|_| self.warns).into_iter().collect()
            }
        }
    }

    fn event(&self, event: ImageEvent) -> Event {
        Event::Image { image: self.image.clone(), event }
    }

    fn logged(&self, step: StepId, lines: Vec<String>) -> Vec<Event> {
        lines.into_iter().map(|line| self.event(ImageEvent::StepLog { step, line })).collect()
    }

    fn output(&mut self, step: StepId) -> &mut Lines {
        if self.output.len() <= step {
            self.output.resize_with(step + 1, Lines::default);
        }
        &mut self.output[step]
    }

    fn warning(&mut self, warning: Warning) -> Diagnostic {
        let Warning { rule, mut message, url, lines } = warning;
        if !url.is_empty() {
            message = format!("{message} ({url})");
        }
        let lines = lines.filter(|_| !self.dockerfile_place.is_empty());
        let place = lines.map(|(line, end_line)| Place { file: self.dockerfile_place.clone(), line, end_line });
        self.broken_rules.extend(place.clone().map(|place| (rule.clone(), place)));
        Diagnostic { severity: Severity::Warning, title: rule, message, place }
    }
}

/// The note about an image that waits for a registry.
pub fn no_progress(image: &str, registry: &str, step: &str, time: Duration) -> String {
    format!("{image}: no progress for {} s, still waiting for {registry}: {step}", time.as_secs())
}

/// How much of an image has arrived: `3.1 of 40.0 MB`.
fn share(received: Received) -> String {
    let (unit, name) = if received.total < 1_000_000 { (1_000, "kB") } else { (1_000_000, "MB") };
    let amount = |bytes: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    format!("{} of {} {name}", amount(received.bytes), amount(received.total))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bollard_buildkit_proto::{
        google::protobuf::Timestamp,
        moby::buildkit::v1::{StatusResponse, Vertex, VertexLog, VertexStatus, VertexWarning},
        pb::{Position, Range},
    };

    use super::Progress;
    use crate::{
        buildkit::{
            steps::{Outcome, Update},
            transfers::{Received, Wait},
        },
        domain::{
            event::{Event, ImageEvent, StepOutcome},
            redact::Redactor,
        },
        events::Events,
    };

    fn progress(dockerfile: &str) -> Progress {
        Progress::new("django", dockerfile, true, &Events::channel(Redactor::default()).0)
    }

    /// Returns the events for a message, in short.
    fn feed(progress: &mut Progress, message: &StatusResponse) -> Vec<String> {
        let updates = progress.steps.decode(message);
        let events = updates.into_iter().flat_map(|update| progress.report.events_of(update));
        events
            .map(|event| match event {
                Event::Image { event: ImageEvent::StepStarted { step, .. }, .. } => format!("start {step}"),
                Event::Image { event: ImageEvent::StepLog { step, line }, .. } => format!("log {step} {line}"),
                Event::Image { event: ImageEvent::StepFinished { step, outcome, duration }, .. } => {
                    let word = match outcome {
                        StepOutcome::Done => "done".to_owned(),
                        StepOutcome::Cached => "cached".to_owned(),
                        StepOutcome::Cancelled => "cancelled".to_owned(),
                        StepOutcome::Failed(why) => format!("failed {why}"),
                    };
                    format!("{word} {step} {}", duration.as_millis())
                }
                Event::Image { event: ImageEvent::Pushing, .. } => "pushing".to_owned(),
                Event::Diagnostic(d) => {
                    format!("{} {} {:?}", d.title, d.message, d.place.map(|p| (p.file, p.line, p.end_line)))
                }
                other => format!("{other:?}"),
            })
            .collect()
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp { seconds: millis / 1000, nanos: i32::try_from(millis % 1000).unwrap() * 1_000_000 }
    }

    fn vertex(name: &str, end: Option<i64>, error: &str) -> StatusResponse {
        let vertex = Vertex {
            digest: name.into(),
            name: name.into(),
            started: Some(at(0)),
            completed: end.map(at),
            error: error.into(),
            ..Vertex::default()
        };
        StatusResponse { vertexes: vec![vertex], ..StatusResponse::default() }
    }

    fn log(step: &str, text: &str) -> StatusResponse {
        let log = VertexLog { vertex: step.into(), stream: 1, msg: text.into(), ..VertexLog::default() };
        StatusResponse { logs: vec![log], ..StatusResponse::default() }
    }

    #[test]
    fn a_step_that_fails_is_reported_with_all_of_its_output() {
        let (mut progress, step) = (progress(""), "[2/9] RUN x");
        assert_eq!(feed(&mut progress, &vertex(step, None, "")), ["start 0"]);
        assert_eq!(feed(&mut progress, &log(step, "one\nla")), ["log 0 one"]);
        assert_eq!(feed(&mut progress, &log(step, "st")), Vec::<String>::new());
        let end = feed(&mut progress, &vertex(step, Some(5), "exit code: 3"));
        assert_eq!(end, ["log 0 last", "failed exit code: 3 0 5"]);
        let failed = progress.failed_step(Some(step)).unwrap();
        assert_eq!((failed.name.as_str(), failed.log.join(" ")), (step, "one last".to_owned()));
        assert_eq!(progress.failed_step(None), Some(failed), "found without its digest too");
    }

    #[test]
    fn only_steps_of_the_dockerfile_count() {
        let mut progress = progress("");
        for name in ["[1/2] FROM x", "[2/2] RUN x", "exporting to image"] {
            feed(&mut progress, &vertex(name, Some(5), ""));
        }
        assert_eq!(progress.counts(), (1, 0));
    }

    #[test]
    fn a_cache_that_fails_is_a_warning() {
        let mut progress = progress("");
        let events =
            feed(&mut progress, &vertex("importing cache manifest from r/x:c", Some(5), "500 Internal Server Error"));
        let warning = "build cache django: the build cache could not be read: 500 Internal Server Error None";
        assert_eq!(events, ["start 0", "log 0 500 Internal Server Error", warning, "done 0 5"]);
        assert_eq!(progress.failed_step(None), None);
    }

    #[test]
    fn a_cache_that_stays_empty_is_logged() {
        let mut progress = progress("");
        feed(&mut progress, &vertex("1", None, ""));
        let id = "skipping cache export for empty result".to_owned();
        let begun =
            VertexStatus { id: id.clone(), vertex: "1".into(), started: Some(at(1)), ..VertexStatus::default() };
        let done = VertexStatus { completed: Some(at(1)), ..begun.clone() };
        let message = StatusResponse { statuses: vec![begun, done], ..StatusResponse::default() };
        assert_eq!(feed(&mut progress, &message), [format!("log 0 {id}")]);
    }

    #[test]
    fn a_canceled_step_ends() {
        let mut progress = progress("");
        let update = Update::Finished { step: 0, outcome: Outcome::Canceled, duration: Duration::ZERO };
        let events = progress.report.events_of(update);
        let outcome = StepOutcome::Cancelled;
        let event = ImageEvent::StepFinished { step: 0, outcome, duration: Duration::ZERO };
        assert_eq!(events, [Event::Image { image: "django".into(), event }]);
    }

    #[test]
    fn a_download_that_stands_still_says_how_much_has_arrived() {
        let mut progress = progress("");
        let mut note = |received| {
            let wait = Wait::Registry("docker.io".into());
            let name = "[1/2] FROM docker.io/library/python:3.13".into();
            progress.report.events_of(Update::Stalled { name, wait, time: Duration::from_secs(30), received })
        };
        let text =
            "django: no progress for 30 s, still waiting for docker.io: [1/2] FROM docker.io/library/python:3.13";
        assert_eq!(note(None), [Event::Note(text.to_owned())]);
        let received = Received { bytes: 12_345_678, total: 40_000_000 };
        assert_eq!(note(Some(received)), [Event::Note(format!("{text}, 12.3 of 40.0 MB"))]);
        let received = Received { bytes: 0, total: 5_150 };
        assert_eq!(note(Some(received)), [Event::Note(format!("{text}, 0.0 of 5.1 kB"))]);
    }

    #[test]
    fn build_checks_name_their_line() {
        let mut progress = progress("compose/Dockerfile");
        let position = |character| Some(Position { line: 3, character });
        let warning = VertexWarning {
            short: "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 3)".into(),
            url: "https://docs.docker.com/go/dockerfile/rule/from-as-casing/".into(),
            ranges: vec![Range { start: position(0), end: position(9) }],
            ..VertexWarning::default()
        };
        let message = StatusResponse { warnings: vec![warning], ..StatusResponse::default() };
        let expected = "FromAsCasing 'as' and 'FROM' keywords' casing do not match \
                        (https://docs.docker.com/go/dockerfile/rule/from-as-casing/) Some((\"compose/Dockerfile\", 3, 3))";
        assert_eq!(feed(&mut progress, &message), [expected]);
        assert!(progress.broken_rule("lint violation found for rules: FromAsCasing").is_some());
    }
}
