//! The deployment policy, with a target that is a script.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lost;
mod outcomes;
mod script;
