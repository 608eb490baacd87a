//! What a run shows on GitHub: the log with its annotations, outputs, the job summary, a comment.
//!
//! All are drawn from [`crate::domain::event::Event`] and [`crate::domain::run::RunState`] alone.

pub mod annotations;
pub mod bounded;
pub mod comment;
pub mod human;
mod images;
pub mod log;
mod markdown;
pub mod outputs;
pub mod summary;
mod timeline;
