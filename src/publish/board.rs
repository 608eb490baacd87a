//! The tags of a run and what has become of each so far. Pure.

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

/// What a tag pointed to before the run touched it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Before {
    /// The registry did not say.
    #[default]
    Unknown,
    /// There was no such tag.
    Nothing,
    /// A manifest or index.
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
    /// What it pointed to before.
    pub(super) before: Before,
    /// What it was given, or is to be given.
    pub(super) digest: Option<Digest>,
    /// What has become of it.
    pub(super) state: TagState,
}

impl Slot {
    /// The tag of a move that was written down.
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

/// All tags of a run, in the plan's order. Work on different tags goes on at the same time and is noted here, so that
/// what is known is not lost when the work is dropped.
#[derive(Debug, Default)]
pub(super) struct Board {
    slots: RefCell<Vec<Slot>>,
    failures: RefCell<Vec<(usize, Failure)>>,
}

impl Board {
    /// The tags of these images, none of which has moved. `before` says what each pointed to.
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

    /// A copy of every slot that `wanted` takes, with its place.
    pub(super) fn slots(&self, wanted: impl Fn(&Slot) -> bool) -> Vec<(usize, Slot)> {
        let slots = self.slots.borrow();
        slots.iter().enumerate().filter(|(_, slot)| wanted(slot)).map(|(place, slot)| (place, slot.clone())).collect()
    }

    /// Notes what became of a tag.
    pub(super) fn set(&self, place: usize, state: TagState) {
        self.change(place, |slot| slot.state = state);
    }

    /// Notes what a tag is to be given.
    pub(super) fn give(&self, place: usize, digest: &Digest) {
        self.change(place, |slot| slot.digest = Some(digest.clone()));
    }

    /// Notes what a tag pointed to before.
    pub(super) fn saw(&self, place: usize, before: Before) {
        self.change(place, |slot| slot.before = before);
    }

    fn change(&self, place: usize, change: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(place) {
            change(slot);
        }
    }

    /// Notes why a tag could not be moved.
    pub(super) fn fail(&self, place: usize, failure: Failure) {
        self.failures.borrow_mut().push((place, failure));
    }

    /// The failure of the first tag in the plan's order that has one.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.failures.borrow().iter().min_by_key(|(place, _)| *place).map(|(_, failure)| failure.clone())
    }

    /// What became of an image's tags; `None` for an image without any.
    pub(super) fn publication(&self, image: &str) -> Option<Publication> {
        let slots = self.slots(|slot| slot.image == image);
        // A tag that was kept has none.
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
