//! What one image says, as lines of its group.

use std::time::Duration;

use crate::{
    domain::event::{ImageEvent, StepId, StepOutcome},
    github::untrusted::inert,
    report::{bounded::BoundedLines, human, log::text::publication_lines},
};

/// Bytes of text that are kept of an image that is not being printed.
const KEPT_OF_IMAGE: usize = 1 << 20;
/// Bytes of text that are kept of a running step, to be shown again if it fails.
const KEPT_OF_STEP: usize = 128 << 10;

pub(super) struct ImageLog {
    pub(super) name: String,
    pub(super) steps: Vec<StepLog>,
    /// The step that the last line of output belongs to.
    pub(super) speaking: Option<StepId>,
    pub(super) kept: BoundedLines,
    pub(super) progress: Progress,
}

pub(super) struct StepLog {
    pub(super) name: String,
    pub(super) output: Option<BoundedLines>,
    pub(super) failed: bool,
}

#[derive(PartialEq, Eq)]
pub(super) enum Progress {
    /// Being built.
    Open,
    /// Ended, and this is the line about it; its group is still to be printed.
    Ended(String),
    /// As before, but failed.
    Failed(String),
    /// Its group is printed.
    Printed,
}

impl ImageLog {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            steps: Vec::new(),
            speaking: None,
            kept: BoundedLines::new(KEPT_OF_IMAGE),
            progress: Progress::Open,
        }
    }

    /// What was kept so far.
    pub(super) fn take_kept(&mut self) -> BoundedLines {
        std::mem::replace(&mut self.kept, BoundedLines::new(KEPT_OF_IMAGE))
    }

    /// The event as harmless lines of the image's group.
    pub(super) fn lines_of(&mut self, event: &ImageEvent) -> Vec<String> {
        match event {
            ImageEvent::StepStarted { step, name } => {
                if *step != self.steps.len() {
                    return Vec::new();
                }
                self.steps.push(StepLog {
                    name: name.clone(),
                    output: Some(BoundedLines::new(KEPT_OF_STEP)),
                    failed: false,
                });
                self.speaking = Some(*step);
                inert(name)
            }
            ImageEvent::StepLog { step, line } => {
                let Some(state) = self.steps.get_mut(*step) else { return Vec::new() };
                let mut lines: Vec<String> = Vec::new();
                // Steps run at the same time: a line of another step than before says whose it is.
                if self.speaking != Some(*step) {
                    lines.push(inert(&format!("{} …", label(&state.name))).join(" "));
                    self.speaking = Some(*step);
                }
                for line in inert(line) {
                    let line = format!("    {line}");
                    if let Some(output) = &mut state.output {
                        output.push(line.clone());
                    }
                    lines.push(line);
                }
                lines
            }
            ImageEvent::StepFinished { step, outcome, duration } => self.step_finished(*step, outcome, *duration),
            ImageEvent::Pushing => vec!["uploading".to_owned()],
            ImageEvent::Retrying { reason, attempt, wait } => {
                inert(&format!("{reason}; attempt {attempt} in {}", human::duration(*wait)))
            }
            ImageEvent::Published(publication) => {
                publication_lines(publication).iter().flat_map(|line| inert(line)).collect()
            }
            ImageEvent::Started
            | ImageEvent::Finished(_)
            | ImageEvent::Compared(_)
            | ImageEvent::Failed(_)
            | ImageEvent::Cancelled => Vec::new(),
        }
    }

    fn step_finished(&mut self, step: StepId, outcome: &StepOutcome, duration: Duration) -> Vec<String> {
        let Some(state) = self.steps.get_mut(step) else { return Vec::new() };
        let time = human::duration(duration);
        let outcome = match outcome {
            StepOutcome::Done => format!("DONE {time}"),
            StepOutcome::Cached => "CACHED".to_owned(),
            StepOutcome::Failed(message) => {
                state.failed = true;
                self.speaking = Some(step);
                format!("FAILED {time}: {message}")
            }
            StepOutcome::Cancelled => format!("STOPPED {time}"),
        };
        let lines = inert(&format!("{} {outcome}", label(&state.name)));
        if state.failed {
            if let Some(output) = &mut state.output {
                for line in &lines {
                    output.push(line.clone());
                }
            }
        } else {
            state.output = None;
        }
        lines
    }
}

/// What stands for a step where its whole name would be too much: `[2/5]` of `[2/5] RUN …`.
fn label(name: &str) -> &str {
    match name.split_once(']') {
        Some((head, _)) if head.starts_with('[') && head.contains('/') => &name[..=head.len()],
        _ => name,
    }
}
