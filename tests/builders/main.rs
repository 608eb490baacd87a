//! Builders other than the runner's engine, and caches: whole runs against the lab's engines and registries.
//!
//! A BuildKit of its own is stood for by the engine's: what it speaks inside `/grpc` is what buildkitd speaks on its
//! socket, so a bridge makes an endpoint of it. The containers of `builder: container` are bridges too, since there is no
//! package of buildkitd.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod bridge;
mod caches;
mod containers;
mod endpoints;
#[expect(dead_code, reason = "the tests of the action use the rest of it")]
#[path = "../action/lab.rs"]
mod lab;
mod run;
mod trust;
