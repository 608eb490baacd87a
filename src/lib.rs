//! `build-deploy`: builds and pushes the images of a compose project, and notifies people, in one step of a workflow.
//!
//! The groups are in reading order; `tests/architecture.rs` lists which module may import which. [`pipeline`] shows a whole
//! run on one page.

// Values that everything shares.
pub mod domain;
pub mod events;

// Tools without any knowledge of a run.
pub mod beside;
pub mod boundary;
pub mod cancel;
pub mod http;
pub mod regular_file;
pub mod retry;
pub mod signals;

// From inputs and compose files to a plan.
pub mod compose;
pub mod compose_files;
pub mod environ;
pub mod inputs;
pub mod plan;
pub mod tags;
pub mod yaml;

// Clients of the services that a run talks to.
pub mod aws;
pub mod buildkit;
pub mod github;
pub mod registry;
pub mod ssh;

// The stages of a run, and the run itself.
pub mod builder;
pub mod context;
pub mod deploy;
pub mod pipeline;
pub mod preflight;
pub mod publish;

// The output of a run for people.
pub mod notify;
pub mod report;
pub mod reporter;

// Everything around the pipeline, and the subcommands.
pub mod commands;
pub mod laptop;
pub mod run;
