//! Who is notified of a run while it goes on, and what is learned about the runs before it.
//!
//! None of them can fail a run, and none makes it longer than [`super::allowance`] allows.

pub mod chat;
pub mod comment;
pub mod deployment;
pub mod history;
