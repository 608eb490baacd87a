//! GitHub: workflow commands and files of the runner, and GitHub's API.

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
