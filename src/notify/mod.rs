//! Tells people how a run goes: one [`message::Message`] drawn from the run's state, one [`service::Service`] a channel
//! to put it into words, one task that keeps the channel's message up to date.
//!
//! Nothing in here can fail or hold up a build: whatever a channel does ends in a warning of
//! [`live::Report`], within the budget that the caller gives.

pub mod color;
pub mod delivery;
pub mod discord;
pub mod http;
pub mod live;
pub mod message;
pub mod occasion;
pub mod once;
pub mod outcome;
pub mod service;
pub mod slack;
pub mod teams;
mod teller;
pub mod text;
