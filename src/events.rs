//! The one channel of [`Event`]s from the stages to the renderers.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::mpsc;

use crate::domain::{
    event::{Event, ImageEvent},
    redact::Redactor,
    secret::Secret,
};

/// Sends events. Every text in them passes the [`Redactor`] here, which removes invisible characters and then secrets. So
/// no renderer can show a secret, even if it removes or cuts text afterwards.
#[derive(Clone, Debug)]
pub struct Events {
    sender: mpsc::Sender<Event>,
    /// Shared by all senders of a run, which can learn secrets during the run.
    redactor: Arc<RwLock<Arc<Redactor>>>,
}

impl Events {
    /// Creates a sender and its receiver. The queue is bounded, so that a build that logs faster than the log is written
    /// waits instead of filling the memory.
    pub fn channel(redactor: Redactor) -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(1024);
        (Self { sender, redactor: Arc::new(RwLock::new(Arc::new(redactor))) }, receiver)
    }

    /// Creates a separate sender for a part of the work. The holder of the receiver passes the events on.
    pub fn branch(&self) -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(1024);
        (Self { sender, redactor: self.redactor.clone() }, receiver)
    }

    /// Creates a sender without a receiver, for work whose events were sent before.
    #[must_use]
    pub fn unheard(&self) -> Self {
        self.branch().0
    }

    /// Sends an event. Does nothing once the receiver is dropped.
    pub async fn emit(&self, event: Event) {
        let event = self.redactor().event(event);
        let _ = self.sender.send(event).await;
    }

    /// Adds a secret that became known during the run, such as a token that expires too soon to be fetched before the build.
    /// From here on, it is redacted in every event and masked in the runner's log.
    pub async fn learn(&self, secret: Secret) {
        {
            let mut redactor = self.redactor.write().unwrap_or_else(PoisonError::into_inner);
            *redactor = Arc::new(redactor.with(&secret));
        }
        self.emit(Event::SecretLearned(secret)).await;
    }

    /// Sends an event about an image.
    pub async fn image(&self, image: &str, event: ImageEvent) {
        self.emit(Event::Image { image: image.to_owned(), event }).await;
    }

    /// Returns the redactor with every secret known so far, for text that is cut before it is sent.
    pub fn redactor(&self) -> Arc<Redactor> {
        self.redactor.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::Events;
    use crate::domain::{event::Event, redact::Redactor, secret::Secret};

    #[tokio::test]
    async fn a_secret_is_redacted_as_soon_as_it_is_learned() {
        let (events, mut receiver) = Events::channel(Redactor::new([&Secret::new("first-secret")]));
        let (branch, mut of_branch) = events.branch();
        let note = || Event::Note("first-secret and second-secret".into());
        events.emit(note()).await;
        branch.learn(Secret::new("second-secret")).await;
        events.emit(note()).await;
        branch.emit(note()).await;
        assert_eq!(receiver.recv().await, Some(Event::Note("[redacted] and second-secret".into())));
        assert_eq!(of_branch.recv().await, Some(Event::SecretLearned(Secret::new("second-secret"))));
        for receiver in [&mut receiver, &mut of_branch] {
            assert_eq!(receiver.recv().await, Some(Event::Note("[redacted] and [redacted]".into())));
        }
    }
}
