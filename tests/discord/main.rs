//! The Discord message from the state of a run to what a channel shows, against a receiver that rejects what Discord
//! rejects.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot go on panics; clippy takes its helpers for production code"
)]

mod delivery;
mod pages;
mod runs;
