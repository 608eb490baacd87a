//! Operations on paths as text, without access to the file system. Relative paths are relative to the working directory.

/// Whether a context is not a path but a URL, a Git address or `docker-image://…`
/// (<https://github.com/moby/buildkit/blob/v0.25.1/frontend/dockerui/context.go#L76>).
pub fn is_remote(text: &str) -> bool {
    text.contains("://") || text.starts_with("github.com/") || text.starts_with("git@")
}

/// Joins a path to the directory `base`, and normalizes the result.
pub fn join(base: &str, path: &str) -> String {
    if path.starts_with('/') { normalize(path) } else { normalize(&format!("{base}/{path}")) }
}

/// Returns the shortest form of a path: without empty parts, without `.`, and with `..` only at the beginning. An empty path
/// becomes `.`.
pub fn normalize(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// Returns the directory of a file.
pub(super) fn parent(file: &str) -> String {
    match file.rsplit_once('/') {
        Some(("", _)) => "/".to_owned(),
        Some((directory, _)) => normalize(directory),
        None => ".".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_remote, join, parent};

    #[test]
    fn paths_are_joined() {
        for (base, path, want) in [
            (".", ".", "."),
            (".", "./a//b/", "a/b"),
            ("sub", "..", "."),
            ("sub", "../../x", "../x"),
            (".", "../..", "../.."),
            ("sub", "/abs/../x", "/x"),
            ("/", "../x", "/x"),
            ("a b", "ü", "a b/ü"),
        ] {
            assert_eq!(join(base, path), want, "{base} + {path}");
        }
        assert_eq!([parent("a/b.yml"), parent("b.yml"), parent("/b.yml")], ["a", ".", "/"]);
    }

    #[test]
    fn remote_contexts() {
        for yes in ["https://x/y.git#main", "git@github.com:a/b", "github.com/a/b", "docker-image://alpine"] {
            assert!(is_remote(yes), "{yes}");
        }
        for no in [".", "github.community/x", "../git", "/abs"] {
            assert!(!is_remote(no), "{no}");
        }
    }
}
