//! Which tags an image gets. Pure.
//!
//! In reading order: [`language`] is what users write in the inputs `tags` and `flavor`, [`names`] what expressions in it
//! can use. [`tags_for`] decides for one event: with rules `by_rules`, without any `by_event`. [`Movement`] tells tags that
//! move from commit to commit from those that name one commit.

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
