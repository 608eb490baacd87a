//! What the user asked for and where the run happens: inputs, the runner's environment and the event
//! that started it, read without touching files, clock or network.
//!
//! In reading order: [`spec`] says which inputs there are, [`cli`] and [`runner`] gather what was
//! written, [`parse`] turns it into typed [`parse::Inputs`] and reports all mistakes together,
//! [`payload`] and [`context`] tell what happened on GitHub.

pub mod attest;
pub mod builder;
pub mod cache;
pub mod cli;
pub mod error;
pub mod event;
pub mod moved;
pub mod parse;
pub mod payload;
pub mod runner;
pub mod spec;
pub mod structured;
pub mod typed;
pub mod values;
pub mod yaml;
