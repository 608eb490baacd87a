//! Chat notifications: a [`message::Message`] is drawn from the run's state, each [`service::Service`] renders it for its
//! channel, and one task per channel sends it and keeps it up to date.
//!
//! A notification cannot fail or delay a build: every problem becomes the warning of a [`report::ChannelReport`], within
//! the time budget that the caller sets.

mod channel_notifier;
pub mod color;
pub mod delivery;
pub mod discord;
pub mod final_message;
pub mod http;
pub mod message;
pub mod notifier;
pub mod options;
pub mod policy;
pub mod report;
pub mod service;
pub mod single_message;
pub mod slack;
pub mod teams;
pub mod text;
