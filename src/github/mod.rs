//! How an action speaks to the runner, by lines of its output that are commands and by files, and to GitHub's API.

pub mod api;
pub mod branch_head;
pub mod client;
pub mod commands;
pub mod comments;
pub mod deployments;
pub mod files;
pub mod history;
pub mod jobs;
pub mod oidc;
pub mod repository;
mod retry;
pub mod untrusted;
