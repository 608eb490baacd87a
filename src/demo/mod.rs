//! Stand-ins for what cannot be had on one's own machine: GitHub's runner.

pub mod action;
pub mod console;
pub mod file_commands;
pub mod runner;
