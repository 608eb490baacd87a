//! What a run will do, decided before anything is started.

pub mod images;
pub mod labels;
pub mod naming;
pub mod tags;
