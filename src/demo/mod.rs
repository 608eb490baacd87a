//! Stand-ins for what cannot be had on one's own machine, GitHub's runner, Discord, Slack and Teams, and the
//! demonstration on top of them.

pub mod action;
pub mod console;
pub mod discord;
pub mod fault;
pub mod file_commands;
mod html;
pub mod receiver;
pub mod runner;
pub mod show;
pub mod slack;
pub mod teams;
