//! Patterns of `.dockerignore`.

#[path = "../../src/buildkit/filesync/filter.rs"]
mod filter;
#[path = "../../src/buildkit/filesync/glob.rs"]
mod glob;
#[path = "../../src/buildkit/filesync/pattern.rs"]
mod pattern;
#[path = "../../src/buildkit/filesync/regexp.rs"]
mod regexp;

use filter::{Filter, Inherited, Shape, Verdict};

/// Whether patterns leave a file out; `None` if they are malformed.
pub fn is_left_out(exclude: &[String], include: &[String], path: &str) -> Option<bool> {
    let filter = Filter::new(include, exclude).ok()?;
    let (mut parent, mut own) = (Inherited::default(), Inherited::default());
    for above in path.match_indices('/').filter(|(at, _)| *at > 0).map(|(at, _)| &path[..at]) {
        if filter.judge(above, Shape::Directory, &parent, &mut own).ok()? == Verdict::Prune {
            return Some(true);
        }
        std::mem::swap(&mut parent, &mut own);
    }
    Some(filter.judge(path, Shape::Other, &parent, &mut own).ok()? != Verdict::Keep)
}

/// Go's `filepath.Match`.
pub fn glob_matches(pattern: &str, name: &str) -> Option<bool> {
    glob::matches(pattern, name).ok()
}
