//! The result of the notifications to one channel.

use super::service::Posted;

/// The result of a run's messages to one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelReport {
    /// Index of the channel, in the order in which the channels were given.
    pub channel: usize,
    /// The message that shows the outcome, or the last known message.
    pub posted: Option<Posted>,
    /// Whether the outcome was delivered.
    pub status: DeliveryStatus,
    /// A problem to show to the user. Contains no secret.
    pub warning: Option<String>,
}

/// Whether a channel shows the outcome of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// The channel shows the outcome, or no message was requested.
    Done,
    /// The outcome was not delivered; the post stage may try again.
    Retryable,
    /// The outcome was not delivered, and another try would fail too or could post it a third time.
    Failed,
}

/// The text of [`ChannelReport::warning`] for a message that was not sent.
pub fn not_sent(channel: &str, reason: &str) -> String {
    format!("{channel}: message not sent: {reason}")
}

/// The text of [`ChannelReport::warning`] for a message that was sent without its mention.
pub fn not_mentioned(channel: &str, reason: &str) -> String {
    format!("{channel}: message sent, but nobody was mentioned: {reason}")
}
