//! Values shared by all parts of a run. Pure: no I/O, no clock, no imports from other modules.

pub mod credentials;
pub mod default_user;
pub mod deploy;
pub mod deployment;
pub mod destinations;
pub mod diagnostic;
pub mod digest;
pub mod ecr;
pub mod event;
pub mod failure;
pub mod git_event;
pub mod history;
pub mod invalid;
pub mod nearest;
pub mod order;
pub mod outcome;
pub mod platform;
pub mod publication;
pub mod redact;
pub mod repository;
pub mod run;
pub mod secrecy;
pub mod secret;
pub mod stage;
pub mod tag;
pub mod visible;
