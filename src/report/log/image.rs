//! The lines of one image in the log.

use std::time::Duration;

use crate::{
    domain::event::{ImageEvent, StepId, StepOutcome},
    github::untrusted::inert,
    report::{bounded::BoundedLines, human, log::text::publication_lines},
};

/// Maximum bytes of buffered lines of an image whose group is not open.
const IMAGE_BUFFER: usize = 1 << 20;
/// Maximum bytes kept of a step's output, to be shown again if it fails.
const STEP_BUFFER: usize = 128 << 10;

pub(super) struct ImageLog {
    pub(super) name: String,
    pub(super) steps: Vec<StepLog>,
    /// The step of the last line of output.
    pub(super) current_step: Option<StepId>,
    pub(super) buffered: BoundedLines,
    pub(super) progress: Progress,
}

pub(super) struct StepLog {
    pub(super) name: String,
    pub(super) output: Option<BoundedLines>,
    pub(super) failed: bool,
}

#[derive(PartialEq, Eq)]
pub(super) enum Progress {
    /// In progress.
    Open,
    /// Finished with this result line; its group is not printed yet.
    Ended(String),
    /// Failed with this result line; its group is not printed yet.
    Failed(String),
    /// Its group has been printed.
    Printed,
}

impl ImageLog {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            steps: Vec::new(),
            current_step: None,
            buffered: BoundedLines::new(IMAGE_BUFFER),
            progress: Progress::Open,
        }
    }

    /// Takes the buffered lines.
    pub(super) fn take_buffered(&mut self) -> BoundedLines {
        std::mem::replace(&mut self.buffered, BoundedLines::new(IMAGE_BUFFER))
    }

    /// The lines for an event, with workflow commands escaped.
    pub(super) fn lines_of(&mut self, event: &ImageEvent) -> Vec<String> {
        match event {
            ImageEvent::StepStarted { step, name } => {
                if *step != self.steps.len() {
                    return Vec::new();
                }
                self.steps.push(StepLog {
                    name: name.clone(),
                    output: Some(BoundedLines::new(STEP_BUFFER)),
                    failed: false,
                });
                self.current_step = Some(*step);
                inert(name)
            }
            ImageEvent::StepLog { step, line } => {
                let Some(state) = self.steps.get_mut(*step) else { return Vec::new() };
                let mut lines: Vec<String> = Vec::new();
                // Steps run in parallel: name the step if it is not that of the previous line.
                if self.current_step != Some(*step) {
                    lines.push(inert(&format!("{} …", label(&state.name))).join(" "));
                    self.current_step = Some(*step);
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
                inert(&format!("{reason}; retrying in {} (attempt {attempt})", human::duration(*wait)))
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
                self.current_step = Some(step);
                format!("FAILED {time}: {message}")
            }
            StepOutcome::Cancelled => format!("CANCELLED {time}"),
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

/// The short label of a step: `[2/5]` of `[2/5] RUN …`.
fn label(name: &str) -> &str {
    match name.split_once(']') {
        Some((head, _)) if head.starts_with('[') && head.contains('/') => &name[..=head.len()],
        _ => name,
    }
}
