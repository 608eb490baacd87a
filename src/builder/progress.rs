//! Turns BuildKit's status stream into [`Event`]s, and remembers what a failure report and the counts need. Pure.
//!
//! BuildKit repeats a vertex each time something about it changes, tells its running time in several intervals, and
//! may call one cached after calling it done; output comes in raw chunks, not lines
//! (<https://github.com/moby/buildkit/blob/master/util/progress/progressui/display.go>).

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use bollard_buildkit_proto::{
    google::protobuf::Timestamp,
    moby::buildkit::v1::{StatusResponse, Vertex, VertexLog, VertexWarning},
};

use super::caches::{self, CacheStep};
use crate::domain::{
    diagnostic::{Diagnostic, Place, Severity},
    event::{Event, ImageEvent, StepId, StepOutcome},
    failure::Failure,
    redact::Redactor,
    run::is_dockerfile_step,
    visible,
};

/// A line of output longer than this is cut in pieces, so that a step that never ends its line costs no memory.
const LONGEST_LINE: usize = 16 << 10;
/// Most bytes of an escape sequence that is not complete.
const LONGEST_SEQUENCE: usize = 4 << 10;

/// What is known of one image's build.
#[derive(Debug, Default)]
pub struct Progress {
    image: String,
    dockerfile_place: String,
    attempt: u32,
    steps: Vec<Step>,
    by_digest: HashMap<String, StepId>,
    warned: HashSet<(String, u32)>,
    /// Where rules of build checks were first broken.
    broken_rules: Vec<(String, Place)>,
    no_warnings: bool,
    /// Digests of steps that another image's build tells of.
    left_out: HashSet<String>,
    pushing: bool,
    /// Knows where a line must not be cut.
    redactor: Redactor,
}

#[derive(Debug, Default)]
struct Step {
    name: String,
    attempt: u32,
    /// Start and end of each interval in which it ran, in nanoseconds.
    intervals: Vec<(i128, i128)>,
    finished: bool,
    cached: bool,
    error: Option<String>,
    /// The last lines of its output.
    tail: VecDeque<String>,
    /// Unfinished lines of its two output streams.
    partial: [Vec<u8>; 2],
}

/// The step that made a build fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedStep {
    /// BuildKit's name for it.
    pub name: String,
    /// The last lines of its output.
    pub log: Vec<String>,
}

impl Progress {
    /// Nothing is known yet. `dockerfile_place` is the Dockerfile's path in the repository, for warnings about it.
    pub fn new(image: &str, dockerfile_place: &str) -> Self {
        Self { image: image.to_owned(), dockerfile_place: dockerfile_place.to_owned(), ..Self::default() }
    }

    /// Cuts long lines beside these secrets, never within one.
    #[must_use]
    pub fn sparing(self, redactor: &Redactor) -> Self {
        Self { redactor: redactor.clone(), ..self }
    }

    /// The same build is solved again, after a push broke: what is already known is not told twice.
    pub fn begin_attempt(&mut self) {
        self.attempt += 1;
        self.pushing = false;
    }

    /// Keeps the warnings of build checks to itself.
    #[must_use]
    pub fn without_warnings(self) -> Self {
        Self { no_warnings: true, ..self }
    }

    /// Says nothing of these steps: another image's build does.
    pub fn leave_out(&mut self, digests: impl Iterator<Item = String>) {
        self.left_out.extend(digests);
    }

    /// Whether the step with this digest is one that another image's build tells of.
    pub fn leaves_out(&self, digest: &str) -> bool {
        self.left_out.contains(digest)
    }

    /// Takes in one message of the status stream.
    pub fn feed(&mut self, status: &StatusResponse) -> Vec<Event> {
        let mut events = Vec::new();
        for vertex in &status.vertexes {
            self.vertex(vertex, &mut events);
        }
        for log in &status.logs {
            self.log(log, &mut events);
        }
        for empty in status.statuses.iter().filter(|s| s.completed.is_some() && s.id == caches::NOTHING_TO_EXPORT) {
            if let Some(&step) = self.by_digest.get(&empty.vertex) {
                events.push(self.event(ImageEvent::StepLog { step, line: empty.id.clone() }));
            }
        }
        if !self.pushing && status.statuses.iter().any(|s| s.started.is_some() && s.id.starts_with("pushing ")) {
            self.pushing = true;
            events.push(self.event(ImageEvent::Pushing));
        }
        for warning in &status.warnings {
            let told = self.warning(warning);
            events.extend(told.filter(|_| !self.no_warnings));
        }
        events
    }

    /// The step of a cache that is running: one that is read rather than one that is written.
    pub fn running_cache_step(&self) -> Option<(CacheStep, &str)> {
        let running = self.steps.iter().filter(|step| !step.finished && step.attempt == self.attempt);
        let about_caches = running.filter_map(|step| Some((caches::step(&step.name)?, step.name.as_str())));
        about_caches.min_by_key(|(kind, _)| *kind == CacheStep::Export)
    }

    /// Ends the steps of caches that still run: the next solve has none.
    pub fn give_caches_up(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for id in 0..self.steps.len() {
            let step = &mut self.steps[id];
            if !step.finished && caches::step(&step.name).is_some() {
                step.finished = true;
                let (outcome, duration) = (StepOutcome::Cancelled, step.duration());
                events.push(self.event(ImageEvent::StepFinished { step: id, outcome, duration }));
            }
        }
        events
    }

    /// The Dockerfile's steps that had something to do, and how many of them came from the cache. A `FROM` runs nothing
    /// and is called done or cached as it happens, so it does not count.
    pub fn counts(&self) -> (usize, usize) {
        let steps = self.steps.iter().filter(|step| is_dockerfile_step(&step.name) && !step.name.contains("] FROM "));
        steps.fold((0, 0), |(total, cached), step| (total + 1, cached + usize::from(step.cached)))
    }

    /// The failed step: the one with this digest, else the first that reported an error of its own.
    pub fn failed_step(&self, digest: Option<&str>) -> Option<FailedStep> {
        let own_error = |step: &&Step| step.error.as_deref().is_some_and(|error| !is_cancellation(error));
        let named = digest.and_then(|digest| self.by_digest.get(digest)).and_then(|id| self.steps.get(*id));
        let step = named.or_else(|| self.steps.iter().find(own_error))?;
        let mut log: Vec<String> = step.tail.iter().cloned().collect();
        log.extend(step.partial.iter().filter(|rest| !rest.is_empty()).map(|rest| text(rest)));
        Some(FailedStep { name: step.name.clone(), log })
    }

    /// Where a rule of the build checks that is named in `message` was first broken.
    pub fn broken_rule(&self, message: &str) -> Option<&Place> {
        self.broken_rules.iter().find(|(rule, _)| message.contains(rule)).map(|(_, place)| place)
    }

    fn event(&self, event: ImageEvent) -> Event {
        Event::Image { image: self.image.clone(), event }
    }

    fn vertex(&mut self, vertex: &Vertex, events: &mut Vec<Event>) {
        if vertex.started.is_none() && vertex.completed.is_none() || self.left_out.contains(&vertex.digest) {
            return;
        }
        let id = if let Some(id) = self.by_digest.get(&vertex.digest) {
            *id
        } else {
            let id = self.steps.len();
            self.by_digest.insert(vertex.digest.clone(), id);
            self.steps.push(Step { name: vertex.name.clone(), attempt: self.attempt, ..Step::default() });
            events.push(self.event(ImageEvent::StepStarted { step: id, name: vertex.name.clone() }));
            id
        };
        let attempt = self.attempt;
        let step = &mut self.steps[id];
        if step.attempt != attempt && vertex.error.is_empty() {
            // A second solve finds everything in the cache; the first one says what the build was like.
            return;
        }
        step.cached |= vertex.cached;
        if let (Some(started), Some(completed)) = (&vertex.started, &vertex.completed) {
            let (start, end) = (nanos(started), nanos(completed));
            match step.intervals.iter_mut().find(|(known, _)| *known == start) {
                Some(interval) => interval.1 = end,
                None => step.intervals.push((start, end)),
            }
        }
        // A step is told as finished once; only a failure that comes later is news.
        if vertex.completed.is_none() || (step.finished && (vertex.error.is_empty() || step.error.is_some())) {
            return;
        }
        step.finished = true;
        let cache = caches::step(&step.name).filter(|_| !vertex.error.is_empty() && !is_cancellation(&vertex.error));
        let outcome = if vertex.error.is_empty() || cache.is_some() {
            if step.cached { StepOutcome::Cached } else { StepOutcome::Done }
        } else {
            step.error = Some(vertex.error.clone());
            if is_cancellation(&vertex.error) {
                StepOutcome::Cancelled
            } else {
                StepOutcome::Failed(vertex.error.clone())
            }
        };
        let duration = step.duration();
        if let Some(cache) = cache {
            // The build goes on without it; if it does not, its own error says so.
            let line = vertex.error.clone();
            let warning = caches::failed(&self.image, cache, &line);
            events.push(Event::Image { image: self.image.clone(), event: ImageEvent::StepLog { step: id, line } });
            events.extend(warning);
        }
        let step = &mut self.steps[id];
        let unfinished = step.partial.iter_mut().filter(|rest| !rest.is_empty());
        let rest: Vec<String> = unfinished.map(|rest| text(&std::mem::take(rest))).collect();
        for line in &rest {
            step.remember(line);
        }
        events.extend(rest.into_iter().map(|line| self.event(ImageEvent::StepLog { step: id, line })));
        events.push(self.event(ImageEvent::StepFinished { step: id, outcome, duration }));
    }

    fn log(&mut self, log: &VertexLog, events: &mut Vec<Event>) {
        let Some(&id) = self.by_digest.get(&log.vertex) else { return };
        let step = &mut self.steps[id];
        let stream = usize::from(log.stream == 2);
        let mut lines = Vec::new();
        for piece in log.msg.split_inclusive(|byte| *byte == b'\n') {
            let partial = &mut step.partial[stream];
            partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                lines.push(text(&std::mem::take(partial)));
            } else if partial.len() >= LONGEST_LINE + self.redactor.held_back() {
                lines.extend(first_piece(partial, &self.redactor));
            }
        }
        for line in lines {
            step.remember(&line);
            events.push(Event::Image { image: self.image.clone(), event: ImageEvent::StepLog { step: id, line } });
        }
    }

    fn warning(&mut self, warning: &VertexWarning) -> Option<Event> {
        let short = text(&warning.short);
        // An instruction of several lines comes as a range for each of them.
        let (first, last) = (warning.ranges.first(), warning.ranges.last());
        let line = first.and_then(|r| r.start.as_ref()).and_then(|p| u32::try_from(p.line).ok()).unwrap_or(0);
        let end_line = last.and_then(|r| r.end.as_ref()).and_then(|p| u32::try_from(p.line).ok()).unwrap_or(line);
        if !self.warned.insert((short.clone(), line)) {
            return None;
        }
        // `short` is "RuleName: what is wrong (line 3)"; the place says the line.
        let (title, message) = short.split_once(": ").unwrap_or((&short, &short));
        let mut message = message.strip_suffix(&format!(" (line {line})")).unwrap_or(message).to_owned();
        if !warning.url.is_empty() {
            message = format!("{message} ({})", warning.url);
        }
        let place = (line > 0 && !self.dockerfile_place.is_empty()).then(|| Place {
            file: self.dockerfile_place.clone(),
            line,
            end_line: end_line.max(line),
        });
        self.broken_rules.extend(place.clone().map(|place| (title.to_owned(), place)));
        Some(Event::Diagnostic(Diagnostic { severity: Severity::Warning, title: title.to_owned(), message, place }))
    }
}

impl Step {
    /// The time in which it ran, overlapping intervals counted once.
    fn duration(&self) -> Duration {
        let mut intervals = self.intervals.clone();
        intervals.sort_unstable();
        let mut total = 0;
        let mut reached = i128::MIN;
        for (start, end) in intervals {
            total += (end - start.max(reached)).max(0);
            reached = reached.max(end);
        }
        Duration::from_nanos(u64::try_from(total).unwrap_or(0))
    }

    fn remember(&mut self, line: &str) {
        if self.tail.len() == Failure::LOG_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line.to_owned());
    }
}

fn is_cancellation(error: &str) -> bool {
    error.contains("context canceled")
}

fn nanos(time: &Timestamp) -> i128 {
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos)
}

/// A line as a terminal would leave it: without its end, and what a carriage return overwrote is gone.
fn text(raw: &[u8]) -> String {
    let line = String::from_utf8_lossy(raw);
    let line = line.trim_end_matches(['\n', '\r']);
    line.rsplit('\r').next().unwrap_or_default().to_owned()
}

/// Takes a piece off a line that is too long to wait for its end, unless less of it is left once what is not seen is
/// removed. The piece is redacted, since its end is known to be no part of a secret only together with what follows.
fn first_piece(partial: &mut Vec<u8>, redactor: &Redactor) -> Option<String> {
    let raw = std::mem::take(partial);
    let whole = raw.len() - unfinished_character(&raw);
    let line = String::from_utf8_lossy(&raw[..whole]);
    let end = line.trim_end_matches('\r');
    let line = &line[end.rfind('\r').map_or(0, |at| at + 1)..];
    let sequence = Some(visible::unfinished(line)).filter(|length| *length <= LONGEST_SEQUENCE).unwrap_or_default();
    let (line, sequence) = line.split_at(line.len() - sequence);
    let line = visible::bare(line);
    let long = line.len() >= LONGEST_LINE + redactor.held_back();
    let (piece, taken) = if long { redactor.redact_beginning(&line) } else { (String::new(), 0) };
    partial.extend(line[taken..].bytes().chain(sequence.bytes()));
    partial.extend(&raw[whole..]);
    long.then_some(piece)
}

/// The bytes at the end that begin a character whose other bytes are not there yet.
fn unfinished_character(raw: &[u8]) -> usize {
    let last = raw.iter().rev().take(3).position(|byte| byte & 0xC0 != 0x80);
    let Some((there, byte)) = last.and_then(|back| Some((back + 1, raw.iter().rev().nth(back)?))) else { return 0 };
    let length = match byte {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF7 => 4,
        _ => 1,
    };
    if there < length { there } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bollard_buildkit_proto::{
        google::protobuf::Timestamp,
        moby::buildkit::v1::{StatusResponse, Vertex, VertexLog, VertexStatus, VertexWarning},
        pb::{Position, Range},
    };

    use super::{CacheStep, Progress};
    use crate::domain::{
        event::{Event, ImageEvent, StepOutcome},
        redact::Redactor,
        secret::Secret,
    };

    fn at(millis: i64) -> Timestamp {
        Timestamp { seconds: millis / 1000, nanos: i32::try_from(millis % 1000).unwrap() * 1_000_000 }
    }

    fn vertex(digest: &str, times: (Option<i64>, Option<i64>), cached: bool, error: &str) -> StatusResponse {
        let vertex = Vertex {
            digest: digest.into(),
            name: format!("[{digest}/9] RUN x"),
            started: times.0.map(at),
            completed: times.1.map(at),
            cached,
            error: error.into(),
            ..Vertex::default()
        };
        StatusResponse { vertexes: vec![vertex], ..StatusResponse::default() }
    }

    fn log(digest: &str, stream: i64, text: &str) -> StatusResponse {
        let log = VertexLog { vertex: digest.into(), stream, msg: text.into(), ..VertexLog::default() };
        StatusResponse { logs: vec![log], ..StatusResponse::default() }
    }

    /// What happened, in short.
    fn told(events: Vec<Event>) -> Vec<String> {
        events
            .into_iter()
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

    #[test]
    fn a_step_is_told_once_and_its_time_is_what_it_ran() {
        let mut progress = Progress::new("django", "Dockerfile");
        assert_eq!(told(progress.feed(&vertex("1", (None, None), false, ""))), Vec::<String>::new());
        assert_eq!(told(progress.feed(&vertex("1", (Some(1000), None), false, ""))), ["start 0"]);
        assert_eq!(told(progress.feed(&vertex("1", (Some(1000), Some(1500)), false, ""))), ["done 0 500"]);
        assert_eq!(told(progress.feed(&vertex("1", (Some(9000), Some(9001)), true, ""))), Vec::<String>::new());
        assert_eq!(progress.counts(), (1, 1), "called cached after done counts as cached");
        assert_eq!(told(progress.feed(&vertex("2", (Some(1000), Some(1000)), true, ""))), ["start 1", "cached 1 0"]);
        assert_eq!(progress.steps[0].duration(), Duration::from_millis(501));
    }

    #[test]
    fn a_cache_that_fails_is_no_failed_step() {
        let mut progress = Progress::new("django", "");
        let mut message = vertex("1", (Some(0), Some(5)), false, "500 Internal Server Error");
        message.vertexes[0].name = "importing cache manifest from r/x:c".into();
        let told = told(progress.feed(&message));
        let warning = "build cache django: the build cache could not be read: 500 Internal Server Error None";
        assert_eq!(told, ["start 0", "log 0 500 Internal Server Error", warning, "done 0 5"]);
        assert_eq!(progress.failed_step(None), None);
    }

    #[test]
    fn a_cache_that_stays_empty_is_told() {
        let mut progress = Progress::new("django", "");
        progress.feed(&vertex("1", (Some(0), None), false, ""));
        let id = "skipping cache export for empty result".to_owned();
        let begun =
            VertexStatus { id: id.clone(), vertex: "1".into(), started: Some(at(1)), ..VertexStatus::default() };
        let done = VertexStatus { completed: Some(at(1)), ..begun.clone() };
        let message = StatusResponse { statuses: vec![begun, done], ..StatusResponse::default() };
        assert_eq!(told(progress.feed(&message)), [format!("log 0 {id}")]);
    }

    #[test]
    fn a_cache_that_is_given_up_runs_no_more() {
        let mut progress = Progress::new("django", "");
        let mut message = vertex("1", (Some(0), None), false, "");
        message.vertexes.extend(vertex("2", (Some(0), None), false, "").vertexes);
        message.vertexes[1].name = "importing cache manifest from r/x:c".into();
        progress.feed(&message);
        assert_eq!(progress.running_cache_step(), Some((CacheStep::Import, "importing cache manifest from r/x:c")));
        assert_eq!(told(progress.give_caches_up()), ["cancelled 1 0"]);
        assert_eq!(progress.running_cache_step(), None);
        assert_eq!(told(progress.feed(&vertex("1", (Some(0), Some(5)), false, ""))), ["done 0 5"]);
    }

    #[test]
    fn chunks_become_lines() {
        let mut progress = Progress::new("django", "");
        progress.feed(&vertex("1", (Some(0), None), false, ""));
        assert_eq!(told(progress.feed(&log("1", 1, "one\ntw"))), ["log 0 one"]);
        assert_eq!(told(progress.feed(&log("1", 2, "err\r\n"))), ["log 0 err"]);
        assert_eq!(told(progress.feed(&log("1", 1, "o\n10%\r50%\r100%\n"))), ["log 0 two", "log 0 100%"]);
        assert_eq!(told(progress.feed(&log("1", 1, "last"))), Vec::<String>::new());
        let end = progress.feed(&vertex("1", (Some(0), Some(5)), false, "exit code: 3"));
        assert_eq!(told(end), ["log 0 last", "failed exit code: 3 0 5"]);
        let failed = progress.failed_step(Some("1")).unwrap();
        assert_eq!(failed.log, ["one", "err", "two", "100%", "last"]);
        assert_eq!(progress.failed_step(None), Some(failed), "found without its digest too");
    }

    #[test]
    fn a_line_without_end_costs_no_memory() {
        let mut progress = Progress::new("django", "");
        progress.feed(&vertex("1", (Some(0), None), false, ""));
        for _ in 0..100 {
            progress.feed(&log("1", 1, &"x".repeat(10_000)));
        }
        assert!(progress.steps[0].partial[0].len() < 2 * super::LONGEST_LINE);
        assert!(progress.steps[0].tail.len() <= 40);
        for noise in ["\u{0}", "\u{1b}[31m", "50%\r"] {
            for _ in 0..100 {
                progress.feed(&log("1", 2, &noise.repeat(10_000)));
            }
            assert!(progress.steps[0].partial[1].len() < 8 * super::LONGEST_LINE, "{noise:?}");
        }
    }

    /// Whatever stands around it, and however the engine sends it.
    #[test]
    fn no_line_is_cut_within_a_secret() {
        let secret = "x9Q-canary-of-some-length";
        let redactor = Redactor::new(&[Secret::new(secret)]);
        let colored = secret.chars().map(String::from).collect::<Vec<_>>().join("\u{1b}[31m\u{0}");
        for (written, size) in [(secret, 1000), (&colored, 777), (secret, 3)] {
            for before in (super::LONGEST_LINE - 50..super::LONGEST_LINE + 600).step_by(47) {
                let line = format!("{}{written}{}é\n", "-".repeat(before), "é".repeat(3_000));
                let mut progress = Progress::new("django", "").sparing(&redactor);
                progress.feed(&vertex("1", (Some(0), None), false, ""));
                let chunks = line.as_bytes().chunks(if before % 5 == 0 { size } else { 10_000 });
                let mut printed = String::new();
                for chunk in chunks {
                    let log = VertexLog { vertex: "1".into(), stream: 1, msg: chunk.to_vec(), ..VertexLog::default() };
                    for event in progress.feed(&StatusResponse { logs: vec![log], ..StatusResponse::default() }) {
                        let Event::Image { event: ImageEvent::StepLog { line, .. }, .. } = event else { panic!() };
                        printed.push_str(&crate::domain::visible::bare(&redactor.redact(&line)));
                    }
                }
                let want = format!("{}[redacted]{}", "-".repeat(before), "é".repeat(3_001));
                assert!(printed == want, "{before}: {}", printed.replace(['-', 'é'], ""));
            }
        }
    }

    #[test]
    fn a_second_attempt_does_not_change_the_counts() {
        let mut progress = Progress::new("django", "");
        progress.feed(&vertex("1", (Some(0), Some(900)), false, ""));
        progress.begin_attempt();
        assert_eq!(told(progress.feed(&vertex("1", (Some(2000), Some(2000)), true, ""))), Vec::<String>::new());
        assert_eq!(progress.counts(), (1, 0));
    }

    #[test]
    fn a_push_is_told_once_an_attempt() {
        let mut progress = Progress::new("django", "");
        let status = VertexStatus { id: "pushing layers".into(), started: Some(at(1)), ..VertexStatus::default() };
        let message = StatusResponse { statuses: vec![status], ..StatusResponse::default() };
        assert_eq!(told(progress.feed(&message)), ["pushing"]);
        assert_eq!(told(progress.feed(&message)), Vec::<String>::new());
        progress.begin_attempt();
        assert_eq!(told(progress.feed(&message)), ["pushing"]);
    }

    #[test]
    fn build_checks_name_their_line_once() {
        let mut progress = Progress::new("django", "compose/Dockerfile");
        let warning = VertexWarning {
            short: "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 3)".into(),
            url: "https://docs.docker.com/go/dockerfile/rule/from-as-casing/".into(),
            ranges: vec![Range {
                start: Some(Position { line: 3, character: 0 }),
                end: Some(Position { line: 3, character: 9 }),
            }],
            ..VertexWarning::default()
        };
        let message = StatusResponse { warnings: vec![warning.clone(), warning], ..StatusResponse::default() };
        let expected = "FromAsCasing 'as' and 'FROM' keywords' casing do not match \
                        (https://docs.docker.com/go/dockerfile/rule/from-as-casing/) Some((\"compose/Dockerfile\", 3, 3))";
        assert_eq!(told(progress.feed(&message)), [expected]);
    }
}
