//! What a server says about its containers and releases.

pub mod compose;
#[path = "../../../src/deploy/judge.rs"]
pub mod judge;
#[path = "../../../src/deploy/plan.rs"]
pub mod plan;
#[path = "../../../src/deploy/release.rs"]
pub mod release;
#[path = "../../../src/deploy/target.rs"]
pub mod target;
