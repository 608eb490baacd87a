//! The log: every event as text, in one ordered stream.
//!
//! Images are built in parallel, but a log is read from top to bottom. So one image at a time is printed live, in a group
//! of its own; the lines of the others are buffered and printed as complete groups when its group is closed. Failed images
//! are printed last, followed by the cause of the failure outside any group.
//!
//! On GitHub, workflow commands are disabled within a group, and untrusted lines are escaped as well
//! ([`crate::github::untrusted`]).

mod image;
mod text;

use std::io::{self, Write};

use crate::{
    domain::{
        diagnostic::Diagnostic,
        event::{Event, ImageEvent, StepId},
        failure::Failure,
        outcome::RunOutcome,
        redact::Redactor,
        secret::Secret,
    },
    github::{
        commands::{self, StopToken},
        untrusted::inert,
    },
};

use super::{annotations::annotations, deployments::step_lines};
use image::{ImageLog, Progress};
use text::{diagnostic_text, failure_text, result_text};

/// The reader of the log.
#[derive(Clone)]
pub enum Reader {
    /// GitHub's runner, which executes workflow commands.
    Runner {
        /// Disables commands around untrusted lines.
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
    /// Diagnostics become annotations.
    Yes,
    /// Diagnostics are plain text in the log.
    No,
}

/// Writes the log. Flushes after each event, so that nothing is lost if the process is killed.
pub struct Log<W> {
    sink: W,
    reader: Reader,
    images: Vec<ImageLog>,
    /// The image whose group is open.
    live: Option<usize>,
    diagnostics: Vec<Diagnostic>,
    /// For texts outside the events of a run; events are already redacted.
    redactor: Redactor,
    /// The step whose output was printed last.
    last: Option<(usize, StepId)>,
}

impl<W: Write> Log<W> {
    /// Creates a log. `sink` must be the only writer to its stream, since the runner does not keep the order of two streams.
    pub fn new(sink: W, reader: Reader) -> Self {
        Self {
            sink,
            reader,
            images: Vec::new(),
            live: None,
            diagnostics: Vec::new(),
            redactor: Redactor::default(),
            last: None,
        }
    }

    /// Tells the runner to mask a secret from now on.
    pub fn mask(&mut self, secret: &Secret) -> io::Result<()> {
        if let Reader::Runner { token, .. } = self.reader.clone() {
            let commands_disabled = self.live.is_some();
            if commands_disabled {
                self.line(&token.resume())?;
            }
            for command in commands::masks(secret) {
                self.line(&command)?;
            }
            if commands_disabled {
                self.line(&token.stop())?;
            }
        }
        self.sink.flush()
    }

    /// Sets the redactor for diagnostics.
    pub fn redact(&mut self, redactor: Redactor) {
        self.redactor = redactor;
    }

    /// Writes text between events, such as the plan. It may contain untrusted names.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        for line in inert(text) {
            self.line(&line)?;
        }
        self.sink.flush()
    }

    /// Writes an event.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::StageStarted(stage) if self.live.is_none() => self.line(&format!("» {}", stage.word()))?,
            // Within a group, the lines of the image show the progress.
            Event::StageStarted(_) | Event::History(_) | Event::Superseded(_) | Event::JobUrl(_) => {}
            Event::Diagnostic(diagnostic) => self.diagnostic(diagnostic)?,
            Event::SecretLearned(secret) => {
                self.redactor = self.redactor.with(secret);
                self.mask(secret)?;
            }
            Event::Note(text) => self.text(text)?,
            Event::Deploy { target, step } => {
                for line in step_lines(target, step) {
                    self.text(&line)?;
                }
            }
            Event::Image { image, event } => self.image(image, event)?,
            Event::Finished(outcome) => self.finish(outcome)?,
        }
        self.sink.flush()
    }

    /// Writes a diagnostic after the end of the run, when the other annotations are already written.
    pub fn late(&mut self, diagnostic: &Diagnostic) -> io::Result<()> {
        let mut diagnostic = diagnostic.clone();
        self.redactor.diagnostic(&mut diagnostic);
        if !self.annotates() {
            return self.text(&diagnostic_text(&diagnostic));
        }
        let Diagnostic { severity, title, message, place } = diagnostic;
        self.line(&commands::annotation(severity, &title, &message, place.as_ref()))?;
        self.sink.flush()
    }

    /// Ends the log and returns the sink.
    pub fn into_sink(self) -> W {
        self.sink
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        // A single write per line, so that a kill cannot leave half a command.
        self.sink.write_all(format!("{line}\n").as_bytes())
    }

    fn diagnostic(&mut self, diagnostic: &Diagnostic) -> io::Result<()> {
        let mut diagnostic = diagnostic.clone();
        self.redactor.diagnostic(&mut diagnostic);
        if !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic.clone());
            // Annotations are shown in the log too; they are written once, at the end.
            if !self.annotates() {
                return self.text(&diagnostic_text(&diagnostic));
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
        let lines = image.lines_of(event);
        if image.progress == Progress::Printed {
            // Its group is closed: lines about its tags are printed outside.
            for line in lines {
                self.text(&format!("{name}: {line}"))?;
            }
            return Ok(());
        }
        if image.progress != Progress::Open {
            return Ok(());
        }
        match event {
            ImageEvent::Finished(result) => image.progress = Progress::Ended(result_text(name, result)),
            ImageEvent::Cancelled => image.progress = Progress::Ended(format!("- {name}: cancelled")),
            ImageEvent::Failed(failure) => {
                image.progress = Progress::Failed(format!("✗ {name}: {}", failure.headline));
            }
            _ => {}
        }
        let current_step = image.current_step;
        let open = image.progress == Progress::Open;
        if self.live.is_none() && open {
            self.open_group(index)?;
        }
        if self.live == Some(index) {
            for line in lines {
                self.line(&line)?;
            }
            self.last = current_step.map(|step| (index, step)).or(self.last);
            if !open {
                self.close_group(index)?;
                self.print_ended()?;
                let next = self.images.iter().position(|image| image.progress == Progress::Open);
                if let Some(next) = next {
                    self.open_group(next)?;
                }
            }
        } else if let Some(image) = self.images.get_mut(index) {
            for line in lines {
                image.buffered.push(line);
            }
            if self.live.is_none() {
                self.print_ended()?;
            }
        }
        Ok(())
    }

    /// Opens the group of an image and prints its buffered lines.
    fn open_group(&mut self, index: usize) -> io::Result<()> {
        let Some(image) = self.images.get_mut(index) else { return Ok(()) };
        let buffered = image.take_buffered();
        let (name, current_step) = (image.name.clone(), image.current_step);
        self.live = Some(index);
        self.begin(&name)?;
        for line in buffered.into_lines() {
            self.line(&line)?;
        }
        self.last = current_step.map(|step| (index, step)).or(self.last);
        Ok(())
    }

    /// Closes the open group. The result of the image is printed below it, where it is visible without expanding.
    fn close_group(&mut self, index: usize) -> io::Result<()> {
        self.live = None;
        self.end()?;
        let Some(image) = self.images.get_mut(index) else { return Ok(()) };
        match std::mem::replace(&mut image.progress, Progress::Printed) {
            Progress::Ended(line) | Progress::Failed(line) => self.text(&line),
            Progress::Open | Progress::Printed => Ok(()),
        }
    }

    /// Prints the groups of images that finished while another group was open. Failed images are printed at the end.
    fn print_ended(&mut self) -> io::Result<()> {
        while let Some(index) = self.images.iter().position(|image| matches!(image.progress, Progress::Ended(_))) {
            self.open_group(index)?;
            self.close_group(index)?;
        }
        Ok(())
    }

    fn finish(&mut self, outcome: &RunOutcome) -> io::Result<()> {
        if let Some(index) = self.live {
            self.close_group(index)?;
        }
        self.print_ended()?;
        let is_failed = |image: &ImageLog| matches!(image.progress, Progress::Failed(_));
        for failed in [false, true] {
            for index in 0..self.images.len() {
                let is_due = self
                    .images
                    .get(index)
                    .is_some_and(|image| image.progress != Progress::Printed && is_failed(image) == failed);
                if is_due {
                    self.open_group(index)?;
                    self.close_group(index)?;
                }
            }
        }
        match outcome {
            RunOutcome::Success => {}
            RunOutcome::Cancelled => self.line("cancelled: the runner stopped this step")?,
            RunOutcome::TimedOut => self.line("timed out: the run took longer than the input `timeout` allows")?,
            RunOutcome::Failure(failure) => self.failure(failure)?,
        }
        if self.annotates() {
            let failure = if let RunOutcome::Failure(failure) = outcome { Some(failure.as_ref()) } else { None };
            let drawn = annotations(&self.diagnostics, failure);
            for command in drawn.commands {
                self.line(&command)?;
            }
            for diagnostic in drawn.omitted {
                self.text(&diagnostic_text(&diagnostic))?;
            }
        }
        Ok(())
    }

    /// Writes the end of a failed run: the output of the failed step, if anything was printed after it, and the cause
    /// outside any group.
    fn failure(&mut self, failure: &Failure) -> io::Result<()> {
        let image = self.images.iter().position(|image| Some(image.name.as_str()) == failure.image());
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
