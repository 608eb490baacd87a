//! The message from the state of a run to what a channel shows, against receivers that reject what the real services
//! reject.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on panics; clippy takes its helpers for production code"
)]

mod command;
mod discord;
mod harness;
mod hidden;
mod inert;
mod outcome;
mod pages;
mod runs;
mod slack;
mod teams;
