//! The names that expressions can use, and their values: facts about the event, and parts of a version.

mod facts;
mod moment;
pub(super) mod pep440;
pub(super) mod render;
pub(super) mod semver;

pub use self::{facts::Facts, render::RenderError};
