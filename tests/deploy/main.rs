//! Deployments with Docker Compose on the lab's server.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod compose;
mod files;
mod gate;
mod interrupted;
#[expect(dead_code, reason = "the tests of the action use the rest of it")]
#[path = "../action/lab.rs"]
mod lab;
mod migrations;
mod program;
mod rollout;
mod site;
mod ssh;
