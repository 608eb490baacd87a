//! The action's container, started as GitHub's runner starts it, on real engines and registries.
//!
//! `scripts/test.sh` starts the lab and builds the image `build-deploy:dev` in each of its engines. Every test has a
//! repository of its own, so they run at the same time.

#![expect(clippy::unwrap_used, clippy::panic, clippy::format_collect, reason = "a test that cannot go on fails")]

mod canaries;
mod cancellation;
mod clouds;
mod events;
mod failures;
mod faults;
mod git;
mod github;
mod lab;
mod linked;
mod logins;
mod messages;
mod metadata;
mod mistakes;
mod options;
mod oracle;
mod output;
mod projects;
mod proxy;
mod publishing;
mod run;
mod secrets;
mod ssh;
mod storing;
mod trust;
