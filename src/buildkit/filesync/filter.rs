//! Decides for each entry of a walk whether it is sent, and for each directory whether it is read. Pure.
//!
//! Source: `filter.go` of `github.com/tonistiigi/fsutil`.

use super::{
    glob,
    pattern::{PatternError, Patterns},
};

/// Include and exclude patterns of one transfer.
#[derive(Debug)]
pub(super) struct Filter {
    include: Option<Patterns>,
    exclude: Option<Patterns>,
    /// The include patterns, if all are plain paths: then directories that none of them leads into need not be read.
    include_paths: Option<Vec<String>>,
    /// The same for the exclude patterns with `!`, which may include something within an excluded directory again.
    exception_paths: Option<Vec<String>>,
}

/// The results of the patterns for a directory, from which those of its children follow.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    include: Vec<bool>,
    exclude: Vec<bool>,
}

/// The decision about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is sent.
    Keep,
    /// It is not sent, but something below it may be.
    Skip,
    /// It is not sent, and nothing below it.
    Prune,
}

/// The properties of an entry that a filter needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Directory,
    Other,
}

impl Filter {
    /// A filter that keeps what matches `include` (everything if that is empty) and not `exclude`.
    pub(super) fn new(include: &[String], exclude: &[String]) -> Result<Self, PatternError> {
        let read = |patterns: &[String]| -> Result<_, PatternError> {
            let patterns = Patterns::new(patterns.iter().map(String::as_str))?;
            Ok(Some(patterns))
        };
        let include = if include.is_empty() { None } else { read(include)? };
        let exclude = if exclude.is_empty() { None } else { read(exclude)? };
        let include_paths = include.as_ref().and_then(|patterns| plain_paths(patterns.inclusions()));
        let exception_paths = exclude.as_ref().and_then(|patterns| plain_paths(patterns.exceptions()));
        Ok(Self { include, exclude, include_paths, exception_paths })
    }

    /// Decides about `path`. `parent` has the results for the directory above it, the default at the root; `own` is
    /// overwritten.
    pub(super) fn judge(
        &self,
        path: &str,
        shape: Shape,
        parent: &Inherited,
        own: &mut Inherited,
    ) -> Result<Verdict, PatternError> {
        let mut verdict = Verdict::Keep;
        if let Some(include) = &self.include
            && !include.matches(path, &parent.include, &mut own.include)?
        {
            if shape == Shape::Directory && self.include_paths.as_deref().is_some_and(|paths| !leads_to(path, paths)) {
                return Ok(Verdict::Prune);
            }
            verdict = Verdict::Skip;
        }
        if let Some(exclude) = &self.exclude
            && exclude.matches(path, &parent.exclude, &mut own.exclude)?
        {
            if shape == Shape::Directory && self.exception_paths.as_deref().is_some_and(|paths| !leads_to(path, paths))
            {
                return Ok(Verdict::Prune);
            }
            verdict = Verdict::Skip;
        }
        Ok(verdict)
    }
}

/// The patterns without a glob at their end, each followed by `/`; `None` if one still contains a glob.
fn plain_paths<'p>(patterns: impl Iterator<Item = &'p str>) -> Option<Vec<String>> {
    patterns
        .map(|pattern| {
            let path = pattern.strip_suffix("/**").unwrap_or(pattern);
            let path = path.strip_suffix("/*").unwrap_or(path);
            (!path.contains(['*', '[', ']', '?', '^', '\\'])).then(|| format!("{path}/"))
        })
        .collect()
}

/// Whether one of `paths` is `directory` or below it.
fn leads_to(directory: &str, paths: &[String]) -> bool {
    paths.iter().any(|path| path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/')))
}

/// Paths without those below an earlier one; `None` if one is the root itself, which includes everything. Like fsutil's
/// `dedupePaths`, compares with the previous kept path only.
pub(super) fn without_nested(paths: Vec<String>) -> Option<Vec<String>> {
    let mut kept: Vec<String> = Vec::with_capacity(paths.len());
    for path in paths {
        if path == "." {
            return None;
        }
        let last = kept.last().map_or("", String::as_str);
        if !path.strip_prefix(last).is_some_and(|rest| rest.starts_with('/')) {
            kept.push(path);
        }
    }
    Some(kept)
}

/// Whether the base name of `path` is a pattern for Go's `filepath.Match`.
pub(super) fn has_wildcard(path: &str) -> bool {
    let (_, base) = glob::split(path);
    let mut chars = base.chars();
    while let Some(ch) = chars.next() {
        match ch {
            '\\' => {
                chars.next();
            }
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}
