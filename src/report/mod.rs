//! What a run shows on GitHub: the log with its annotations, outputs, and the job summary.
//!
//! All are drawn from [`crate::domain::event::Event`] and [`crate::domain::run::RunState`] alone.

pub mod annotations;
pub mod bounded;
pub mod human;
pub mod log;
pub mod outputs;
pub mod summary;
