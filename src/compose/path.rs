//! Paths as text. Relative ones are relative to the working directory; nothing is looked up on disk.

/// Whether a context is fetched from elsewhere and not a path: a URL, a git address, `docker-image://…`
/// (<https://github.com/moby/buildkit/blob/v0.25.1/frontend/dockerui/context.go#L76>).
pub fn is_remote(text: &str) -> bool {
    text.contains("://") || text.starts_with("github.com/") || text.starts_with("git@")
}

/// `path` as seen from the directory `base`, normalised.
pub fn join(base: &str, path: &str) -> String {
    if path.starts_with('/') { normalise(path) } else { normalise(&format!("{base}/{path}")) }
}

/// The shortest form of a path, `/`-separated: no empty parts, no `.`, no `..` but leading ones; `.` for nothing.
pub fn normalise(path: &str) -> String {
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

/// The directory that a file lies in.
pub(super) fn parent(file: &str) -> String {
    match file.rsplit_once('/') {
        Some(("", _)) => "/".to_owned(),
        Some((directory, _)) => normalise(directory),
        None => ".".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_remote, join, parent};

    #[test]
    fn joins_as_a_shell_would_see_it() {
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
    fn tells_urls_from_paths() {
        for yes in ["https://x/y.git#main", "git@github.com:a/b", "github.com/a/b", "docker-image://alpine"] {
            assert!(is_remote(yes), "{yes}");
        }
        for no in [".", "github.community/x", "../git", "/abs"] {
            assert!(!is_remote(no), "{no}");
        }
    }
}
