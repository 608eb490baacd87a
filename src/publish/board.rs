//! The tags of a run and their current states. Pure.

use std::cell::RefCell;

use super::Move;
use crate::{
    domain::{
        digest::Digest,
        failure::Failure,
        publication::{Publication, TagResult, TagState},
    },
    plan::ImagePlan,
};

/// The target of a tag before the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Before {
    /// The registry did not answer.
    #[default]
    Unknown,
    /// The tag did not exist.
    Nothing,
    /// An image: a manifest or index.
    Image(Digest),
}

/// One tag in one repository.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// The image's name in the plan.
    pub(super) image: String,
    /// `registry/path`.
    pub(super) repository: String,
    /// The tag.
    pub(super) tag: String,
    /// Its target before the run.
    pub(super) before: Before,
    /// Its new digest, set as soon as it is known.
    pub(super) digest: Option<Digest>,
    /// Its current state.
    pub(super) state: TagState,
}

impl Slot {
    /// Creates the slot of a saved move.
    pub(super) fn of(one: &Move) -> Self {
        Self {
            image: String::new(),
            repository: one.repository.clone(),
            tag: one.tag.clone(),
            before: one.previous.clone().map_or(Before::Nothing, Before::Image),
            digest: one.digest.clone(),
            state: TagState::Moved,
        }
    }
}

/// All tags of a run, in the order of the plan. Concurrent tasks record their results here, so that none is lost if a task
/// is dropped.
#[derive(Debug, Default)]
pub(super) struct Board {
    slots: RefCell<Vec<Slot>>,
    failures: RefCell<Vec<(usize, Failure)>>,
}

impl Board {
    /// Creates a board with the tags of these images, none of which has moved. `before` returns the target of a tag.
    pub(super) fn new<'a>(
        images: impl IntoIterator<Item = &'a ImagePlan>,
        before: impl Fn(&str, &str) -> Before,
    ) -> Self {
        let mut slots = Vec::new();
        for image in images {
            for (repository, tag) in image.destinations.names() {
                let (repository, tag) = (repository.to_string(), tag.to_string());
                let (before, state) = (before(&repository, &tag), TagState::NotMoved);
                slots.push(Slot { image: image.name.clone(), repository, tag, before, digest: None, state });
            }
        }
        Self { slots: RefCell::new(slots), failures: RefCell::default() }
    }

    /// Returns a copy of every slot that `wanted` accepts, with its index.
    pub(super) fn slots(&self, wanted: impl Fn(&Slot) -> bool) -> Vec<(usize, Slot)> {
        let slots = self.slots.borrow();
        slots.iter().enumerate().filter(|(_, slot)| wanted(slot)).map(|(place, slot)| (place, slot.clone())).collect()
    }

    /// Records the state of a tag.
    pub(super) fn set(&self, place: usize, state: TagState) {
        self.change(place, |slot| slot.state = state);
    }

    /// Records the new digest of a tag.
    pub(super) fn give(&self, place: usize, digest: &Digest) {
        self.change(place, |slot| slot.digest = Some(digest.clone()));
    }

    /// Records the target of a tag before the run.
    pub(super) fn saw(&self, place: usize, before: Before) {
        self.change(place, |slot| slot.before = before);
    }

    fn change(&self, place: usize, change: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(place) {
            change(slot);
        }
    }

    /// Records why a tag could not be moved.
    pub(super) fn fail(&self, place: usize, failure: Failure) {
        self.failures.borrow_mut().push((place, failure));
    }

    /// Returns the failure of the first tag, in the order of the plan, that has one.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.failures.borrow().iter().min_by_key(|(place, _)| *place).map(|(_, failure)| failure.clone())
    }

    /// Returns the results for an image's tags; `None` if it has none.
    pub(super) fn publication(&self, image: &str) -> Option<Publication> {
        let slots = self.slots(|slot| slot.image == image);
        // A kept tag has no digest.
        let (_, first) = slots.iter().find(|(_, slot)| slot.digest.is_some()).or_else(|| slots.first())?;
        let changed = match (&first.before, &first.digest) {
            (Before::Unknown, _) | (_, None) => None,
            (Before::Nothing, Some(_)) => Some(true),
            (Before::Image(before), Some(digest)) => Some(before != digest),
        };
        let tags = slots.iter().map(|(_, slot)| TagResult {
            repository: slot.repository.clone(),
            tag: slot.tag.clone(),
            state: slot.state.clone(),
        });
        Some(Publication { digest: first.digest.clone(), changed, size: None, tags: tags.collect() })
    }
}
