//! The log: every event as text, in one ordered stream.
//!
//! Images build at the same time, but a log is read from top to bottom. So one image at a time is printed as things
//! happen, in a group of its own; what the others say is kept and printed as whole groups once its group is closed.
//! What failed comes last, and after it, outside any group, why.
//!
//! On GitHub, all of a group stands in a bracket in which the runner obeys no commands, and each line of others is
//! made harmless besides ([`crate::github::untrusted`]).

use std::{
    io::{self, Write},
    time::Duration,
};

use crate::{
    domain::{
        event::{Diagnostic, Ending, Event, ImageEvent, ImageResult, Severity, StepId, StepOutcome},
        run::Failure,
        secret::Secret,
    },
    github::{
        commands::{self, StopToken},
        untrusted::inert,
    },
};

use super::{annotations::annotations, bounded::BoundedLines, human};

/// Bytes of text that are kept of an image that is not being printed.
const KEPT_OF_IMAGE: usize = 1 << 20;
/// Bytes of text that are kept of a running step, to be shown again if it fails.
const KEPT_OF_STEP: usize = 128 << 10;

/// Who reads the log.
#[derive(Clone)]
pub enum Reader {
    /// GitHub's runner, which understands commands.
    Runner {
        /// Guards what others wrote.
        token: StopToken,
        /// Whether diagnostics become annotations.
        annotations: Annotate,
    },
    /// A terminal or a file.
    Person,
}

/// Whether diagnostics become annotations of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Annotate {
    /// Yes.
    Yes,
    /// No: they are plain text in the log.
    No,
}

/// Writes the log. Flushes after each event, so nothing is lost to a kill.
pub struct Log<W> {
    sink: W,
    reader: Reader,
    images: Vec<ImageLog>,
    /// The image that is being printed.
    live: Option<usize>,
    diagnostics: Vec<Diagnostic>,
    /// The step whose output was printed last.
    last: Option<(usize, StepId)>,
}

struct ImageLog {
    name: String,
    steps: Vec<StepLog>,
    /// The step that the last line of output belongs to.
    speaking: Option<StepId>,
    kept: BoundedLines,
    progress: Progress,
}

struct StepLog {
    name: String,
    output: Option<BoundedLines>,
    failed: bool,
}

#[derive(PartialEq, Eq)]
enum Progress {
    /// Being built.
    Open,
    /// Ended, and this is the line about it; its group is still to be printed.
    Ended(String),
    /// As before, but failed.
    Failed(String),
    /// Its group is printed.
    Printed,
}

impl<W: Write> Log<W> {
    /// A log that writes to `sink`, which must be the only writer to its stream: the runner does not keep the order
    /// between two.
    pub fn new(sink: W, reader: Reader) -> Self {
        Self { sink, reader, images: Vec::new(), live: None, diagnostics: Vec::new(), last: None }
    }

    /// Makes the runner hide a secret from here on.
    pub fn mask(&mut self, secret: &Secret) -> io::Result<()> {
        if let Reader::Runner { token, .. } = self.reader.clone() {
            let guarded = self.live.is_some();
            if guarded {
                self.line(&token.resume())?;
            }
            for command in commands::masks(secret) {
                self.line(&command)?;
            }
            if guarded {
                self.line(&token.stop())?;
            }
        }
        self.sink.flush()
    }

    /// Writes text of our own among the events, such as the plan. Names in it may come from others.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        for line in inert(text) {
            self.line(&line)?;
        }
        self.sink.flush()
    }

    /// Writes what happened.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::StageStarted(stage) if self.live.is_none() => self.line(&format!("» {}", stage.word()))?,
            // The images in their groups tell how far they are.
            Event::StageStarted(_) => {}
            Event::Diagnostic(diagnostic) => self.diagnostic(diagnostic)?,
            Event::Image { image, event } => self.image(image, event)?,
            Event::Finished(ending) => self.finish(ending)?,
        }
        self.sink.flush()
    }

    /// Ends the log and gives the sink back.
    pub fn into_sink(self) -> W {
        self.sink
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        // One write a line: a kill in between leaves no half command.
        self.sink.write_all(format!("{line}\n").as_bytes())
    }

    fn diagnostic(&mut self, diagnostic: &Diagnostic) -> io::Result<()> {
        if !self.diagnostics.contains(diagnostic) {
            self.diagnostics.push(diagnostic.clone());
            // An annotation shows up in the log as well, so there it is said once, at the end.
            if !self.annotates() {
                return self.text(&diagnostic_text(diagnostic));
            }
        }
        Ok(())
    }

    fn annotates(&self) -> bool {
        matches!(self.reader, Reader::Runner { annotations: Annotate::Yes, .. })
    }

    fn image(&mut self, name: &str, event: &ImageEvent) -> io::Result<()> {
        let index = self.images.iter().position(|image| image.name == name).unwrap_or_else(|| {
            self.images.push(ImageLog::new(name));
            self.images.len() - 1
        });
        let Some(image) = self.images.get_mut(index) else { return Ok(()) };
        if image.progress != Progress::Open {
            return Ok(());
        }
        let lines = image.lines_of(event);
        match event {
            ImageEvent::Finished(result) => image.progress = Progress::Ended(result_text(name, result)),
            ImageEvent::Cancelled => image.progress = Progress::Ended(format!("- {name}: stopped")),
            ImageEvent::Failed(failure) => {
                image.progress = Progress::Failed(format!("✗ {name}: {}", failure.headline));
            }
            _ => {}
        }
        let speaking = image.speaking;
        let open = image.progress == Progress::Open;
        if self.live.is_none() && open {
            self.open_group(index)?;
        }
        if self.live == Some(index) {
            for line in lines {
                self.line(&line)?;
            }
            self.last = speaking.map(|step| (index, step)).or(self.last);
            if !open {
                self.close_group(index)?;
                self.print_ended()?;
                let next = self.images.iter().position(|image| image.progress == Progress::Open);
                if let Some(next) = next {
                    self.open_group(next)?;
                }
            }
        } else if let Some(image) = self.images.get_mut(index) {
            lines.into_iter().for_each(|line| image.kept.push(line));
            if self.live.is_none() {
                self.print_ended()?;
            }
        }
        Ok(())
    }

    /// Opens an image's group and prints what was kept for it.
    fn open_group(&mut self, index: usize) -> io::Result<()> {
        let Some(image) = self.images.get_mut(index) else { return Ok(()) };
        let kept = std::mem::replace(&mut image.kept, BoundedLines::new(KEPT_OF_IMAGE));
        let (name, speaking) = (image.name.clone(), image.speaking);
        self.live = Some(index);
        self.begin(&name)?;
        for line in kept.into_lines() {
            self.line(&line)?;
        }
        self.last = speaking.map(|step| (index, step)).or(self.last);
        Ok(())
    }

    /// Closes the live group; the line about its image stands below it, where it is seen without unfolding.
    fn close_group(&mut self, index: usize) -> io::Result<()> {
        self.live = None;
        self.end()?;
        let Some(image) = self.images.get_mut(index) else { return Ok(()) };
        match std::mem::replace(&mut image.progress, Progress::Printed) {
            Progress::Ended(line) | Progress::Failed(line) => self.text(&line),
            Progress::Open | Progress::Printed => Ok(()),
        }
    }

    /// Prints the groups of images that ended while another was live; those that failed wait for the end.
    fn print_ended(&mut self) -> io::Result<()> {
        while let Some(index) = self.images.iter().position(|image| matches!(image.progress, Progress::Ended(_))) {
            self.open_group(index)?;
            self.close_group(index)?;
        }
        Ok(())
    }

    fn finish(&mut self, ending: &Ending) -> io::Result<()> {
        if let Some(index) = self.live {
            self.close_group(index)?;
        }
        self.print_ended()?;
        let is_failed = |image: &ImageLog| matches!(image.progress, Progress::Failed(_));
        for failed in [false, true] {
            for index in 0..self.images.len() {
                let waits = self
                    .images
                    .get(index)
                    .is_some_and(|image| image.progress != Progress::Printed && is_failed(image) == failed);
                if waits {
                    self.open_group(index)?;
                    self.close_group(index)?;
                }
            }
        }
        match ending {
            Ending::Success => {}
            Ending::Cancelled => self.line("cancelled: the runner stopped this step")?,
            Ending::TimedOut => self.line("stopped: the time of the input `timeout` is over")?,
            Ending::Failure(failure) => self.failure(failure)?,
        }
        if self.annotates() {
            let failure = if let Ending::Failure(failure) = ending { Some(failure.as_ref()) } else { None };
            let drawn = annotations(&self.diagnostics, failure);
            for command in drawn.commands {
                self.line(&command)?;
            }
            for diagnostic in drawn.left_out {
                self.text(&diagnostic_text(&diagnostic))?;
            }
        }
        Ok(())
    }

    /// The end of a failed run: the failing step's output, if something else was printed after it, and why it
    /// failed, in the open.
    fn failure(&mut self, failure: &Failure) -> io::Result<()> {
        let image = self.images.iter().position(|image| Some(&image.name) == failure.image.as_ref());
        let failed = image.and_then(|index| {
            let image = self.images.get_mut(index)?;
            let step = image.steps.iter().position(|step| step.failed)?;
            let title = format!("{}: {}", image.name, image.steps.get(step)?.name);
            Some(((index, step), title, image.steps.get_mut(step)?.output.take()?))
        });
        if let Some((place, title, output)) = failed
            && self.last != Some(place)
        {
            self.begin(&title)?;
            for line in output.into_lines() {
                self.line(&line)?;
            }
            self.end()?;
        }
        if let Reader::Runner { token, .. } = &self.reader {
            let stop = token.stop();
            self.line(&stop)?;
        }
        self.text(&failure_text(failure))?;
        if let Reader::Runner { token, .. } = &self.reader {
            let resume = token.resume();
            self.line(&resume)?;
        }
        Ok(())
    }

    fn begin(&mut self, title: &str) -> io::Result<()> {
        match self.reader.clone() {
            Reader::Runner { token, .. } => {
                self.line(&commands::group(title))?;
                self.line(&token.stop())
            }
            Reader::Person => self.text(&format!("── {title} ──")),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        match self.reader.clone() {
            Reader::Runner { token, .. } => {
                self.line(&token.resume())?;
                self.line(commands::END_GROUP)
            }
            Reader::Person => Ok(()),
        }
    }
}

impl ImageLog {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            steps: Vec::new(),
            speaking: None,
            kept: BoundedLines::new(KEPT_OF_IMAGE),
            progress: Progress::Open,
        }
    }

    /// The event as harmless lines of the image's group.
    fn lines_of(&mut self, event: &ImageEvent) -> Vec<String> {
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
            ImageEvent::Pushing => vec!["pushing".to_owned()],
            ImageEvent::Retrying { reason, attempt, wait } => {
                inert(&format!("{reason}; try {attempt} in {}", human::duration(*wait)))
            }
            ImageEvent::Started | ImageEvent::Finished(_) | ImageEvent::Failed(_) | ImageEvent::Cancelled => Vec::new(),
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
                lines.iter().for_each(|line| output.push(line.clone()));
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

fn result_text(name: &str, result: &ImageResult) -> String {
    let pushed = if result.pushed { "pushed" } else { "not pushed" };
    let mut parts = vec![format!("✓ {name}: {pushed}"), human::duration(result.duration)];
    if result.steps > 0 {
        parts.push(format!("{} of {} cached", result.cached, human::count(result.steps, "step")));
    }
    parts.extend(result.size.map(human::bytes));
    parts.push(result.digest.to_string());
    parts.join(", ")
}

fn diagnostic_text(diagnostic: &Diagnostic) -> String {
    let word = match diagnostic.severity {
        Severity::Notice => "notice",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let place = diagnostic.place.as_ref().map_or_else(String::new, |p| format!(" ({}:{})", p.file, p.line));
    format!("{word}: {}: {}{place}", diagnostic.title, diagnostic.message)
}

fn failure_text(failure: &Failure) -> String {
    let of = failure.image.as_ref().map_or_else(String::new, |image| format!(" of {image}"));
    let mut text = format!("\n✗ {}{of} failed: {}\n", failure.stage.word(), failure.headline);
    let place = failure.place.as_ref().map(|place| format!("{}:{}", place.file, place.line));
    let exit_code = failure.exit_code.map(|code| format!("exit code {code}"));
    for line in [place, failure.instruction.clone(), exit_code].into_iter().flatten() {
        text.push_str(&format!("  {line}\n"));
    }
    for line in &failure.log {
        text.push_str(&format!("  │ {line}\n"));
    }
    if let Some(hint) = &failure.hint {
        text.push_str(&format!("  → {hint}\n"));
    }
    text
}
