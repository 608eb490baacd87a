//! Stand-ins for what cannot be had on one's own machine (GitHub's runner, its API, cache and token services, Discord,
//! Slack and Teams), and the demonstration on top of them.

pub mod action;
pub mod cache;
pub mod console;
pub mod discord;
pub mod fault;
pub mod file_commands;
pub mod github;
mod html;
pub mod oidc;
pub mod receiver;
pub mod runner;
mod scenes;
pub mod show;
pub mod slack;
pub mod teams;
