//! Stand-ins for what cannot be had on one's own machine (GitHub's runner, its API, cache and token services, Discord), and the
//! demonstration on top of them.

pub mod action;
pub mod cache;
pub mod console;
pub mod discord;
pub mod file_commands;
pub mod github;
pub mod oidc;
pub mod runner;
pub mod show;
