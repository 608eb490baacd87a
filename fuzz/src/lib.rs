//! The project's pure modules, and what every fuzz target holds them to: no input takes over a second or over 200 MB.

// Each target uses a part of them.
#![allow(dead_code)]

#[path = "../../src/compose/mod.rs"]
pub mod compose;
#[path = "../../src/domain/mod.rs"]
pub mod domain;
#[path = "../../src/inputs/mod.rs"]
pub mod inputs;
#[path = "../../src/plan/mod.rs"]
pub mod plan;
#[path = "../../src/tags/mod.rs"]
pub mod tags;
#[path = "../../src/yaml/mod.rs"]
pub mod yaml;

pub mod agent;
pub mod deploy;
pub mod filesync;
pub mod github;
pub mod notify;
pub mod registry;
pub mod ssh;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

const LONGEST: Duration = Duration::from_secs(1);
const LARGEST: usize = 200 << 20;

/// Counts what is in use.
struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(used, Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs the subject. A machine that is busy with something else gets a second chance.
pub fn bounded(subject: impl Fn()) {
    for last in [false, true] {
        let before = USED.load(Relaxed);
        PEAK.store(before, Relaxed);
        let began = Instant::now();
        subject();
        let (took, grew) = (began.elapsed(), PEAK.load(Relaxed).saturating_sub(before));
        assert!(grew <= LARGEST, "took {} MB", grew >> 20);
        if took <= LONGEST {
            return;
        }
        assert!(!last, "took {took:?}");
    }
}

/// The input in parts: it is cut at lines of `----`.
pub fn parts(data: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(data).split("\n----\n").map(str::to_owned).collect()
}
