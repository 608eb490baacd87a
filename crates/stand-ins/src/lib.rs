//! Stand-ins for what cannot be had on one's own machine: GitHub's runner, its API, cache and token services, a Docker
//! engine, a registry, a git server, Discord, Slack and Teams.
//!
//! They share no code with the product, so that a mistake of the product cannot hide in them.

pub mod action;
pub mod cache;
pub mod console;
pub mod discord;
#[cfg(feature = "engine")]
pub mod engine;
pub mod fault;
pub mod file_commands;
pub mod fixed;
pub mod git;
pub mod github;
mod html;
pub mod oidc;
pub mod receiver;
pub mod registry;
pub mod runner;
pub mod slack;
pub mod teams;
