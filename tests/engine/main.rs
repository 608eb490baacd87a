//! Whole runs of the program against an engine and a registry in memory: what depends on the protocols, on order and on
//! time, and what goes wrong. Whether real engines behave like this one is for `tests/action` to show.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod builds;
mod cancellation;
mod engines;
mod failures;
mod linked;
mod preflight;
mod proxies;
mod publishing;
mod run;
