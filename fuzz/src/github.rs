//! Texts of others in what the runner reads.

#[path = "../../src/github/untrusted.rs"]
pub mod untrusted;
