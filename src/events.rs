//! The one channel of [`Event`]s from the stages to the renderers.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::domain::{
    event::{Event, ImageEvent},
    redact::Redactor,
};

/// Sends events. Every text in them passes the [`Redactor`] here, which removes what a reader does not see and then the
/// secrets: no renderer can show one, whatever it removes or cuts afterwards.
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
    #[must_use]
    pub fn unheard(&self) -> Self {
        self.branch().0
    }

    /// Tells what happened. After the receiver is gone, nobody listens and nothing happens.
    pub async fn emit(&self, event: Event) {
        let _ = self.sender.send(self.redactor.event(event)).await;
    }

    /// Tells what happened to an image.
    pub async fn image(&self, image: &str, event: ImageEvent) {
        self.emit(Event::Image { image: image.to_owned(), event }).await;
    }

    /// What takes the secrets of the run out of texts, for texts that are cut before they are told.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }
}
