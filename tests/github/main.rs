//! What is asked of GitHub's API and told to it, against a GitHub that refuses what GitHub refuses and whose calls and
//! answers are held against GitHub's own description of its API.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on panics; clippy takes its helpers for production code"
)]

mod calls;
mod runs;
