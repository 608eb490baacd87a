//! The inputs, the runner's environment and the event that started the run. Pure: no files, clock or network.
//!
//! In reading order: [`spec`] lists all inputs, [`cli`] and [`runner`] collect their values, [`parse`] checks them,
//! converts them into [`typed::Inputs`] and reports all mistakes together, [`payload`] and [`event`] describe the event
//! on GitHub.

pub mod attest;
pub mod builder;
pub mod cache;
pub mod cli;
pub mod error;
pub mod event;
pub mod images;
pub mod moved;
mod nodes;
pub mod parse;
pub mod payload;
mod quoted;
mod registries;
mod reserved;
pub mod runner;
mod secrets;
pub mod server_address;
pub mod spec;
pub mod targets;
pub mod typed;
pub mod values;
