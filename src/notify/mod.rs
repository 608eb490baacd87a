//! Tells people how a run goes: one [`message::Message`] drawn from the run's state, one renderer a channel,
//! one task that keeps the channel's message up to date.
//!
//! Nothing in here can fail or hold up a build: whatever a channel does ends in a warning of
//! [`live::Report`], within the budget that the caller gives.

pub mod answer;
pub mod delivery;
pub mod discord;
pub mod http;
pub mod live;
pub mod message;
pub mod text;
pub mod webhook;
