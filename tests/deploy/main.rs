//! Deployments: the policy with a target that is a script, and Docker Compose on the lab's server.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod policy;
mod script;
