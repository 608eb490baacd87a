//! Calls to GitHub's API. The stand-in rejects what GitHub rejects, and all calls and answers are validated against GitHub's
//! description of its API.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on panics; clippy takes its helpers for production code"
)]

mod calls;
mod runs;
