//! The reports of a run on GitHub: log, annotations, outputs, job summary, and comment.
//!
//! All are rendered from [`crate::domain::event::Event`] and [`crate::domain::run::RunState`] alone.

pub mod annotations;
pub mod artifacts;
pub mod bounded;
pub mod comment;
pub mod deployments;
mod folded;
pub mod human;
mod images;
pub mod log;
mod markdown;
pub mod outputs;
pub mod summary;
mod timeline;
