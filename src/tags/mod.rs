//! Decides which tags an image gets. Pure.
//!
//! In reading order: [`language`] is the language of the inputs `tags` and `flavor`, and [`names`] provides the values
//! that its expressions can use. [`tags_for`] decides the tags for one event: `by_rules` if there are rules, `by_event`
//! otherwise. [`Movement`] separates the tags that move from commit to commit from those that identify one commit.

mod by_event;
mod by_rules;
pub mod language;
mod movement;
pub mod names;
mod subject;
mod tagged;
mod tags_for;

pub use self::{
    movement::Movement,
    subject::{GitTags, Subject},
    tagged::{RuleError, TagError, Tagged},
    tags_for::tags_for,
};
