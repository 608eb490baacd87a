//! Turns `followpaths`, the paths that a Dockerfile copies, into include patterns. A path with symbolic links needs the
//! links and their targets. Links never lead out of the context.
//!
//! Source: `followlinks.go` of `github.com/tonistiigi/fsutil`.

use std::collections::BTreeSet;

use super::{FileSyncError, filter, glob};

/// The symbolic links of a file tree. Paths are relative and clean.
pub(super) trait Links {
    /// The target of the symbolic link at `path`; `None` if it is not a link.
    fn target(&self, path: &str) -> Result<Option<String>, FileSyncError>;
    /// The names in the directory `path`, where `.` is the root; empty if it is not a directory.
    fn names(&self, path: &str) -> Result<Vec<String>, FileSyncError>;
}

/// The include patterns for `paths`; `None` if they lead to the root, which includes everything.
pub(super) fn follow(tree: &impl Links, paths: &[String]) -> Result<Option<Vec<String>>, FileSyncError> {
    let mut resolved = BTreeSet::new();
    let mut open: Vec<String> = paths.iter().rev().cloned().collect();
    while let Some(path) = open.pop() {
        let path = glob::join(".", &path);
        let mut rest = Some(path.as_str());
        let mut current = ".".to_owned();
        while let Some(path) = rest {
            let part;
            (part, rest) = match path.split_once('/') {
                Some((part, behind)) => (part, Some(behind)),
                None => (path, None),
            };
            current = glob::join(&current, part);
            let targets = targets(tree, &current)?;
            if rest.is_some() && targets.is_empty() {
                continue;
            }
            if resolved.insert(current.clone()) {
                let behind = rest.unwrap_or_default();
                open.extend(targets.iter().rev().map(|target| glob::join(target, behind)));
            }
            break;
        }
    }
    Ok(filter::without_nested(resolved.into_iter().collect()))
}

/// The targets of the links that `path` names, whose base name may be a pattern; absolute within the root.
fn targets(tree: &impl Links, path: &str) -> Result<Vec<String>, FileSyncError> {
    let (dir, base) = glob::split(path);
    let links = if filter::has_wildcard(path) {
        let mut names = tree.names(dir)?;
        names.sort();
        names
            .into_iter()
            .filter(|name| glob::matches(base, name) == Ok(true))
            .map(|name| glob::join(dir, &name))
            .collect()
    } else {
        vec![path.to_owned()]
    };
    let mut targets = Vec::new();
    for link in links {
        if let Some(target) = tree.target(&link)? {
            let within = if target.starts_with('/') { target } else { glob::join(glob::split(&link).0, &target) };
            targets.push(glob::join("/", &within));
        }
    }
    Ok(targets)
}
