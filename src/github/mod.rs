//! How an action speaks to the runner: lines of its output that are commands, and files.

pub mod api;
pub mod commands;
pub mod files;
pub mod repository;
pub mod untrusted;
