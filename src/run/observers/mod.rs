//! Notifications about a running run, and the history of previous runs.
//!
//! None of them can fail a run, and none delays it by more than [`super::allowance`] allows.

pub mod chat;
pub mod comment;
pub mod deployment;
pub mod deployments;
pub mod history;
pub mod target_deployments;
