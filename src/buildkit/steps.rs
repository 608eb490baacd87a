//! Decodes a build's status stream into the build's steps and their updates. Pure.
//!
//! BuildKit repeats a vertex each time something about it changes, reports its running time in several intervals, and
//! may call one cached after calling it done
//! (<https://github.com/moby/buildkit/blob/master/util/progress/progressui/display.go>).

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use bollard_buildkit_proto::{
    google::protobuf::Timestamp,
    moby::buildkit::v1::{StatusResponse, Vertex, VertexWarning},
};

use super::{
    caches::{self, CacheStep},
    transfers::{self, Received, Transfers, Wait},
};

/// Number of a step within one build, in order of appearance.
pub type StepId = usize;

/// An update of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// A step began.
    Started {
        /// The step.
        step: StepId,
        /// BuildKit's name for it, such as `[2/5] RUN make`.
        name: String,
    },
    /// A step printed something.
    Output {
        /// The step.
        step: StepId,
        /// Whether it is standard error.
        is_stderr: bool,
        /// The bytes, which need not end where a line does.
        bytes: Vec<u8>,
    },
    /// A step that reads or writes a cache failed. The build continues; the step ends with the next update.
    CacheFailed {
        /// The step.
        step: StepId,
        /// Whether the cache is read or written.
        kind: CacheStep,
        /// BuildKit's reason.
        error: String,
    },
    /// A step that writes a cache had nothing to write.
    NothingToExport {
        /// The step.
        step: StepId,
        /// BuildKit's message.
        text: String,
    },
    /// A step ended. Reported once, except that a failure may follow.
    Finished {
        /// The step.
        step: StepId,
        /// Its outcome.
        outcome: Outcome,
        /// Its duration.
        duration: Duration,
    },
    /// The image's layers are being pushed. Reported once for each attempt.
    Pushing,
    /// A step has been waiting for a registry without any progress.
    Stalled {
        /// BuildKit's name for the step.
        name: String,
        /// The event that it waits for.
        wait: Wait,
        /// How long it has waited.
        time: Duration,
        /// How much of its layers has arrived, if it downloads any.
        received: Option<Received>,
    },
    /// A build check found something. Reported once for each line of the Dockerfile.
    Warning(Warning),
}

/// The outcome of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ran.
    Done,
    /// Its result was in the build cache.
    Cached,
    /// It failed with this message.
    Failed(String),
    /// It was stopped.
    Canceled,
}

/// A warning of a build check (<https://docs.docker.com/build/checks/>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The rule, such as `FromAsCasing`; without one, the message.
    pub rule: String,
    /// The problem.
    pub message: String,
    /// The rule's documentation; may be empty.
    pub url: String,
    /// The lines of the Dockerfile, first and last, from 1.
    pub lines: Option<(u32, u32)>,
}

/// A step of a build.
#[derive(Debug, Default)]
pub struct Step {
    /// BuildKit's name for it.
    pub name: String,
    /// Whether its result came from the build cache.
    pub cached: bool,
    attempt: u32,
    /// Start and end of each interval in which it ran, in nanoseconds.
    intervals: Vec<(i128, i128)>,
    finished: bool,
    error: Option<String>,
    transfers: Transfers,
}

/// The steps of one build, over all attempts to solve it.
#[derive(Debug, Default)]
pub struct Steps {
    all: Vec<Step>,
    by_digest: HashMap<String, StepId>,
    attempt: u32,
    pushing: bool,
    warned: HashSet<(String, u32)>,
    /// Digests of steps that another build reports.
    hidden: HashSet<String>,
}

impl Steps {
    /// All steps so far; a [`StepId`] is an index.
    pub fn all(&self) -> &[Step] {
        &self.all
    }

    /// Begins another attempt to solve the same build. Known steps are not reported again.
    pub fn begin_attempt(&mut self) {
        self.attempt += 1;
        self.pushing = false;
    }

    /// Stops reporting the steps with these digests, because another build reports them.
    pub fn hide(&mut self, digests: impl Iterator<Item = String>) {
        self.hidden.extend(digests);
    }

    /// Whether another build reports the step with this digest.
    pub fn hides(&self, digest: &str) -> bool {
        self.hidden.contains(digest)
    }

    /// Decodes a message of the status stream.
    pub fn decode(&mut self, status: &StatusResponse) -> Vec<Update> {
        let mut updates = Vec::new();
        for vertex in &status.vertexes {
            self.vertex(vertex, &mut updates);
        }
        for log in &status.logs {
            if let Some(&step) = self.by_digest.get(&log.vertex) {
                updates.push(Update::Output { step, is_stderr: log.stream == 2, bytes: log.msg.clone() });
            }
        }
        for one in &status.statuses {
            if let Some(step) = self.by_digest.get(&one.vertex).and_then(|id| self.all.get_mut(*id)) {
                step.transfers.take(one);
            }
        }
        for empty in status.statuses.iter().filter(|s| s.completed.is_some() && s.id == caches::NOTHING_TO_EXPORT) {
            if let Some(&step) = self.by_digest.get(&empty.vertex) {
                updates.push(Update::NothingToExport { step, text: empty.id.clone() });
            }
        }
        if !self.pushing && status.statuses.iter().any(|s| s.started.is_some() && s.id.starts_with("pushing ")) {
            self.pushing = true;
            updates.push(Update::Pushing);
        }
        for warning in &status.warnings {
            updates.extend(self.warning(warning).map(Update::Warning));
        }
        updates
    }

    /// The cache step that is running, if there is one; one that reads rather than one that writes.
    pub fn running_cache_step(&self) -> Option<(CacheStep, &str)> {
        let running = self.all.iter().filter(|step| !step.finished && step.attempt == self.attempt);
        let of_caches = running.filter_map(|step| Some((caches::step(&step.name)?, step.name.as_str())));
        of_caches.min_by_key(|(kind, _)| *kind == CacheStep::Export)
    }

    /// The steps that wait for a registry, and how many changes their transfers have seen.
    pub(super) fn waiting(&self) -> Vec<(StepId, Wait, u64)> {
        let of_attempt = || self.all.iter().enumerate().filter(|(_, step)| step.attempt == self.attempt);
        // BuildKit calls a base image done, and downloads its layers when another step needs them.
        let is_idle = of_attempt().all(|(_, step)| step.finished);
        of_attempt()
            .filter(|(_, step)| !step.finished || (is_idle && step.transfers.is_downloading()))
            .filter_map(|(id, step)| {
                Some((id, transfers::wait(&step.name, &step.transfers)?, step.transfers.changes()))
            })
            .collect()
    }

    /// The notice about a step that waits for a registry.
    pub(super) fn stalled(&self, step: StepId, wait: Wait, time: Duration) -> Update {
        let step = self.all.get(step);
        let name = step.map(|step| step.name.clone()).unwrap_or_default();
        Update::Stalled { name, wait, time, received: step.and_then(|step| step.transfers.received()) }
    }

    /// Ends the cache steps that still run, since the next attempt uses no caches.
    pub fn cancel_cache_steps(&mut self) -> Vec<Update> {
        let running = self.all.iter_mut().enumerate().filter(|(_, step)| !step.finished);
        let of_caches = running.filter(|(_, step)| caches::step(&step.name).is_some());
        let ended = of_caches.map(|(id, step)| {
            step.finished = true;
            Update::Finished { step: id, outcome: Outcome::Canceled, duration: step.duration() }
        });
        ended.collect()
    }

    /// The failed step: the one with this digest, else the first that failed and was not stopped.
    pub fn failed(&self, digest: Option<&str>) -> Option<StepId> {
        let has_failed = |step: &Step| step.error.as_deref().is_some_and(|error| !is_cancellation(error));
        let named = digest.and_then(|digest| self.by_digest.get(digest)).copied();
        named.or_else(|| self.all.iter().position(has_failed))
    }

    fn vertex(&mut self, vertex: &Vertex, updates: &mut Vec<Update>) {
        if vertex.started.is_none() && vertex.completed.is_none() || self.hidden.contains(&vertex.digest) {
            return;
        }
        let attempt = self.attempt;
        let id = *self.by_digest.entry(vertex.digest.clone()).or_insert_with(|| {
            let (step, name) = (self.all.len(), vertex.name.clone());
            self.all.push(Step { name: name.clone(), attempt, ..Step::default() });
            updates.push(Update::Started { step, name });
            step
        });
        let step = &mut self.all[id];
        if step.attempt != attempt && vertex.error.is_empty() {
            // A second attempt finds everything in the cache, so only the first one is representative.
            return;
        }
        step.cached |= vertex.cached;
        if let (Some(started), Some(completed)) = (&vertex.started, &vertex.completed) {
            step.ran(nanoseconds(started), nanoseconds(completed));
        }
        // A step ends only once; after that, only a failure is reported. BuildKit also calls steps canceled that are done.
        let is_failure = !vertex.error.is_empty() && !is_cancellation(&vertex.error);
        let may_fail = is_failure && step.error.is_none() && caches::step(&step.name).is_none();
        if vertex.completed.is_none() || (step.finished && !may_fail) {
            return;
        }
        step.finished = true;
        let outcome = match (vertex.error.as_str(), caches::step(&step.name)) {
            ("", _) => step.success(),
            (error, _) if is_cancellation(error) => {
                step.error = Some(error.to_owned());
                Outcome::Canceled
            }
            // The build continues without the cache, or fails with a separate error.
            (error, Some(kind)) => {
                updates.push(Update::CacheFailed { step: id, kind, error: error.to_owned() });
                step.success()
            }
            (error, None) => {
                step.error = Some(error.to_owned());
                Outcome::Failed(error.to_owned())
            }
        };
        updates.push(Update::Finished { step: id, outcome, duration: step.duration() });
    }

    fn warning(&mut self, warning: &VertexWarning) -> Option<Warning> {
        let short = String::from_utf8_lossy(&warning.short).trim_end().to_owned();
        // An instruction of several lines has a range for each of them.
        let (first, last) = (warning.ranges.first(), warning.ranges.last());
        let first = first.and_then(|r| r.start.as_ref()).and_then(|p| u32::try_from(p.line).ok()).unwrap_or(0);
        let last = last.and_then(|r| r.end.as_ref()).and_then(|p| u32::try_from(p.line).ok()).unwrap_or(first);
        if !self.warned.insert((short.clone(), first)) {
            return None;
        }
        // `short` is `RuleName: message (line 3)`.
        let (rule, message) = short.split_once(": ").unwrap_or((&short, &short));
        let message = message.strip_suffix(&format!(" (line {first})")).unwrap_or(message);
        Some(Warning {
            rule: rule.to_owned(),
            message: message.to_owned(),
            url: warning.url.clone(),
            lines: (first > 0).then_some((first, last.max(first))),
        })
    }
}

impl Step {
    fn ran(&mut self, start: i128, end: i128) {
        match self.intervals.iter_mut().find(|(known, _)| *known == start) {
            Some(interval) => interval.1 = end,
            None => self.intervals.push((start, end)),
        }
    }

    fn success(&self) -> Outcome {
        if self.cached { Outcome::Cached } else { Outcome::Done }
    }

    /// The time in which it ran. Intervals that overlap count once.
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
}

fn is_cancellation(error: &str) -> bool {
    error.contains("context canceled")
}

fn nanoseconds(time: &Timestamp) -> i128 {
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bollard_buildkit_proto::{
        google::protobuf::Timestamp,
        moby::buildkit::v1::{StatusResponse, Vertex, VertexStatus, VertexWarning},
        pb::{Position, Range},
    };

    use super::{CacheStep, Outcome, Steps, Update, Wait, Warning};

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

    fn short(updates: Vec<Update>) -> Vec<String> {
        let one = |update| match update {
            Update::Started { step, .. } => format!("start {step}"),
            Update::Finished { step, outcome, duration } => format!("{outcome:?} {step} {}", duration.as_millis()),
            other => format!("{other:?}"),
        };
        updates.into_iter().map(one).collect()
    }

    #[test]
    fn a_step_is_reported_once_and_with_the_time_it_ran() {
        let mut steps = Steps::default();
        assert_eq!(short(steps.decode(&vertex("1", (None, None), false, ""))), Vec::<String>::new());
        assert_eq!(short(steps.decode(&vertex("1", (Some(1000), None), false, ""))), ["start 0"]);
        assert_eq!(short(steps.decode(&vertex("1", (Some(1000), Some(1500)), false, ""))), ["Done 0 500"]);
        assert_eq!(short(steps.decode(&vertex("1", (Some(9000), Some(9001)), true, ""))), Vec::<String>::new());
        assert!(steps.all()[0].cached, "called cached after done counts as cached");
        assert_eq!(steps.all()[0].duration(), Duration::from_millis(501));
        let canceled = steps.decode(&vertex("1", (Some(9000), Some(9002)), false, "rpc error: context canceled"));
        assert_eq!(short(canceled), Vec::<String>::new(), "a step that is done cannot be canceled");
        let failed = steps.decode(&vertex("1", (Some(9000), Some(9002)), false, "error from sender: x"));
        assert_eq!(short(failed), ["Failed(\"error from sender: x\") 0 502"], "but it can fail");
        let cached = steps.decode(&vertex("2", (Some(1000), Some(1000)), true, ""));
        assert_eq!(short(cached), ["start 1", "Cached 1 0"]);
    }

    #[test]
    fn the_failed_step_is_found_with_and_without_its_digest() {
        let mut steps = Steps::default();
        steps.decode(&vertex("1", (Some(0), Some(5)), false, "context canceled"));
        steps.decode(&vertex("2", (Some(0), Some(5)), false, "exit code: 3"));
        assert_eq!([steps.failed(Some("2")), steps.failed(Some("9")), steps.failed(None)], [Some(1); 3]);
        assert_eq!(steps.failed(Some("1")), Some(0));
    }

    #[test]
    fn a_cache_that_fails_is_no_failed_step() {
        let mut steps = Steps::default();
        let mut message = vertex("1", (Some(0), Some(5)), false, "500 Internal Server Error");
        message.vertexes[0].name = "importing cache manifest from r/x:c".into();
        let updates = steps.decode(&message);
        let error = "500 Internal Server Error".to_owned();
        assert_eq!(updates[1], Update::CacheFailed { step: 0, kind: CacheStep::Import, error });
        assert_eq!(short(updates[2..].to_vec()), ["Done 0 5"]);
        assert_eq!(steps.failed(None), None);
    }

    #[test]
    fn a_cache_step_that_is_canceled_runs_no_more() {
        let mut steps = Steps::default();
        let mut message = vertex("1", (Some(0), None), false, "");
        message.vertexes.extend(vertex("2", (Some(0), None), false, "").vertexes);
        message.vertexes[1].name = "importing cache manifest from r/x:c".into();
        steps.decode(&message);
        assert_eq!(steps.running_cache_step(), Some((CacheStep::Import, "importing cache manifest from r/x:c")));
        assert_eq!(short(steps.cancel_cache_steps()), ["Canceled 1 0"]);
        assert_eq!(steps.running_cache_step(), None);
        message.vertexes[1].completed = Some(at(7));
        message.vertexes[1].error = "500 Internal Server Error".into();
        assert_eq!(short(steps.decode(&message)), Vec::<String>::new(), "it ended already");
        assert_eq!(short(steps.decode(&vertex("1", (Some(0), Some(5)), false, ""))), ["Done 0 5"]);
    }

    #[test]
    fn a_second_attempt_changes_no_step() {
        let mut steps = Steps::default();
        steps.decode(&vertex("1", (Some(0), Some(900)), false, ""));
        steps.begin_attempt();
        assert_eq!(short(steps.decode(&vertex("1", (Some(2000), Some(2000)), true, ""))), Vec::<String>::new());
        assert!(!steps.all()[0].cached);
    }

    #[test]
    fn a_push_is_reported_once_an_attempt() {
        let mut steps = Steps::default();
        let status = VertexStatus { id: "pushing layers".into(), started: Some(at(1)), ..VertexStatus::default() };
        let message = StatusResponse { statuses: vec![status], ..StatusResponse::default() };
        assert_eq!(steps.decode(&message), [Update::Pushing]);
        assert_eq!(steps.decode(&message), []);
        steps.begin_attempt();
        assert_eq!(steps.decode(&message), [Update::Pushing]);
    }

    #[test]
    fn a_base_image_is_waited_for_after_its_step() {
        let mut steps = Steps::default();
        let mut message = vertex("1", (Some(0), Some(5)), false, "");
        message.vertexes[0].name = "[1/2] FROM r.example/x:1".into();
        let layer = VertexStatus { id: "sha256:ab".into(), vertex: "1".into(), total: 9, ..VertexStatus::default() };
        message.statuses = vec![layer.clone()];
        steps.decode(&message);
        assert_eq!(steps.waiting(), [(0, Wait::Registry("r.example".into()), 1)]);
        steps.decode(&vertex("2", (Some(6), None), false, ""));
        assert_eq!(steps.waiting(), [], "something else happens");
        steps.decode(&vertex("2", (Some(6), Some(7)), false, ""));
        assert_eq!(steps.waiting().len(), 1);
        let ended = VertexStatus { current: 9, completed: Some(at(8)), ..layer };
        steps.decode(&StatusResponse { statuses: vec![ended], ..StatusResponse::default() });
        assert_eq!(steps.waiting(), []);
    }

    #[test]
    fn a_build_check_is_reported_once_a_line() {
        let mut steps = Steps::default();
        let position = |character| Some(Position { line: 3, character });
        let warning = VertexWarning {
            short: "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 3)".into(),
            url: "https://docs.docker.com/go/dockerfile/rule/from-as-casing/".into(),
            ranges: vec![Range { start: position(0), end: position(9) }],
            ..VertexWarning::default()
        };
        let message = StatusResponse { warnings: vec![warning.clone(), warning], ..StatusResponse::default() };
        let want = Warning {
            rule: "FromAsCasing".into(),
            message: "'as' and 'FROM' keywords' casing do not match".into(),
            url: "https://docs.docker.com/go/dockerfile/rule/from-as-casing/".into(),
            lines: Some((3, 3)),
        };
        assert_eq!(steps.decode(&message), [Update::Warning(want)]);
    }

    #[test]
    fn outcomes_tell_failures_from_cancellations() {
        let mut steps = Steps::default();
        let updates = steps.decode(&vertex("1", (Some(0), Some(5)), false, "exit code: 3"));
        let failed = Outcome::Failed("exit code: 3".into());
        assert_eq!(updates[1], Update::Finished { step: 0, outcome: failed, duration: Duration::from_millis(5) });
        let updates = steps.decode(&vertex("2", (Some(0), Some(5)), false, "rpc error: context canceled"));
        assert!(matches!(updates[1], Update::Finished { outcome: Outcome::Canceled, .. }));
    }
}
