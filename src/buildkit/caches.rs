//! Recognizes BuildKit's steps and errors of build caches. Pure.

/// A step of a build that reads or writes a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStep {
    /// The cache is read.
    Import,
    /// The cache is written.
    Export,
}

/// The beginning of the names of such steps
/// (<https://github.com/moby/buildkit/tree/master/cache/remotecache>, `Name()` of each).
const EXPORTS: [&str; 2] = ["exporting cache to ", "exporting to GitHub Actions Cache"];
const IMPORT: &str = "importing cache manifest from ";

/// BuildKit's message, which is not an error, if it wrote nothing to a cache because no step had a result to keep
/// (<https://github.com/moby/buildkit/blob/master/cache/remotecache/export.go>).
pub(super) const NOTHING_TO_EXPORT: &str = "skipping cache export for empty result";

/// The text after the name of a cache step in the error of a cache that did not respond.
pub const NO_ANSWER: &str = ": no answer within";

/// The kind of cache step that has this name; `None` for every other step.
pub fn step(name: &str) -> Option<CacheStep> {
    if name.starts_with(IMPORT) {
        return Some(CacheStep::Import);
    }
    EXPORTS.iter().any(|prefix| name.starts_with(prefix)).then_some(CacheStep::Export)
}

/// Whether a build failed only because of its caches, so that it may succeed without them.
pub fn is_cause(error: &str) -> bool {
    let signs = ["cache exporter", "cache importer", "duplicate cache export"];
    // A daemon that waits to read a cache is blocked, so another solve would wait as well.
    signs.iter().any(|sign| error.contains(sign))
        || (error.contains(NO_ANSWER) && step(error) == Some(CacheStep::Export))
}

#[cfg(test)]
mod tests {
    use super::{CacheStep, is_cause, step};

    #[test]
    fn cache_steps_are_known_by_name() {
        assert_eq!(step("importing cache manifest from r/x:buildcache"), Some(CacheStep::Import));
        assert_eq!(step("exporting cache to registry"), Some(CacheStep::Export));
        assert_eq!(step("exporting to GitHub Actions Cache"), Some(CacheStep::Export));
        assert_eq!([step("exporting to image"), step("[2/3] RUN x")], [None; 2]);
    }

    #[test]
    fn errors_of_caches_are_known_by_their_text() {
        assert!(is_cause("failed to configure gha cache exporter: cache token expired"));
        assert!(is_cause("unknown cache exporter: \"s3\"") && !is_cause("failed to push r/x"));
    }
}
