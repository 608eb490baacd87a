//! The one channel of [`Event`]s from the stages to the renderers.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::domain::{
    event::{Diagnostic, Ending, Event, ImageEvent, StepOutcome},
    redact::Redactor,
    run::Failure,
};

/// Sends events. Every text in them passes the [`Redactor`] here, so no renderer can show a secret.
#[derive(Clone, Debug)]
pub struct Events {
    sender: mpsc::Sender<Event>,
    redactor: Arc<Redactor>,
}

impl Events {
    /// A sender and its receiver. The queue is bounded: a build that logs faster than we print waits,
    /// so memory does not grow with the log.
    pub fn channel(redactor: Redactor) -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(1024);
        (Self { sender, redactor: Arc::new(redactor) }, receiver)
    }

    /// A sender of its own for a part of the work, whose events are told on by whoever has the receiver.
    pub fn branch(&self) -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(1024);
        (Self { sender, redactor: self.redactor.clone() }, receiver)
    }

    /// A sender that nobody listens to, for work that has been told of already.
    pub fn unheard() -> Self {
        Self::channel(Redactor::default()).0
    }

    /// Tells what happened. After the receiver is gone, nobody listens and nothing happens.
    pub async fn emit(&self, event: Event) {
        let _ = self.sender.send(self.redacted(event)).await;
    }

    /// Tells what happened to an image.
    pub async fn image(&self, image: &str, event: ImageEvent) {
        self.emit(Event::Image { image: image.to_owned(), event }).await;
    }

    fn redacted(&self, mut event: Event) -> Event {
        match &mut event {
            Event::Diagnostic(diagnostic) => self.diagnostic(diagnostic),
            Event::Note(text) => self.text(text),
            Event::Finished(Ending::Failure(failure)) => self.failure(failure),
            Event::StageStarted(_)
            | Event::History(_)
            | Event::Superseded(_)
            | Event::JobUrl(_)
            | Event::Finished(_) => {}
            Event::Image { event, .. } => match event {
                ImageEvent::StepStarted { name: text, .. }
                | ImageEvent::StepLog { line: text, .. }
                | ImageEvent::Retrying { reason: text, .. }
                | ImageEvent::StepFinished { outcome: StepOutcome::Failed(text), .. } => self.text(text),
                ImageEvent::Failed(failure) => self.failure(failure),
                ImageEvent::Started
                | ImageEvent::StepFinished { .. }
                | ImageEvent::Pushing
                | ImageEvent::Finished(_)
                | ImageEvent::Compared(_)
                | ImageEvent::Published(_)
                | ImageEvent::Cancelled => {}
            },
        }
        event
    }

    fn text(&self, text: &mut String) {
        *text = self.redactor.redact(text);
    }

    fn diagnostic(&self, diagnostic: &mut Diagnostic) {
        self.text(&mut diagnostic.title);
        self.text(&mut diagnostic.message);
    }

    fn failure(&self, failure: &mut Failure) {
        self.text(&mut failure.headline);
        for text in failure.hint.iter_mut().chain(&mut failure.instruction).chain(&mut failure.log) {
            *text = self.redactor.redact(text);
        }
    }
}
