//! Finds compose files and Dockerfiles below the project's directory, for a project in which none was found.

use std::{collections::VecDeque, fs, path::Path};

/// Maximum depth of a directory, and maximum number of entries that are looked at.
const DEEPEST: usize = 3;
const MOST: usize = 5000;
/// Maximum number of files in the hint.
const SHOWN: usize = 3;

/// Returns a hint that names the first files that were found; `None` if there are none.
pub(super) fn hint(project: &Path) -> Option<String> {
    let (mut dockerfiles, mut compose_files) = (Vec::new(), Vec::new());
    let mut open = VecDeque::from([(project.to_path_buf(), 0)]);
    let mut seen = 0;
    while let Some((directory, depth)) = open.pop_front() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            seen += 1;
            if seen > MOST {
                break;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(kind) = entry.file_type() else { continue };
            // Links are not followed, and hidden directories hold no projects.
            if kind.is_dir() && depth < DEEPEST && !name.starts_with('.') && name != "node_modules" {
                open.push_back((entry.path(), depth + 1));
            } else if kind.is_file() {
                let path = entry.path();
                let Some(path) = path.strip_prefix(project).ok().and_then(Path::to_str) else { continue };
                if name == "Dockerfile" {
                    dockerfiles.push(path.to_owned());
                } else if is_compose_file(&name) {
                    compose_files.push(path.to_owned());
                }
            }
        }
    }
    let shown = |input: &str, files: &[String]| {
        (!files.is_empty()).then(|| format!("`{input}: {}`", files[..files.len().min(SHOWN)].join("`, `")))
    };
    let found: Vec<String> =
        [shown("compose-file", &compose_files), shown("file", &dockerfiles)].into_iter().flatten().collect();
    (!found.is_empty()).then(|| format!("set {}", found.join(" or ")))
}

fn is_compose_file(name: &str) -> bool {
    let is_yaml = [".yml", ".yaml"].iter().any(|end| name.ends_with(end));
    is_yaml && (name.starts_with("compose.") || name.starts_with("docker-compose"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::hint;

    #[test]
    fn the_first_files_are_named() {
        let project = tempfile::tempdir().unwrap();
        assert_eq!(hint(project.path()), None);
        for path in
            ["docker/web/Dockerfile", "docker/docker-compose.yml", ".git/Dockerfile", "a/b/c/d/Dockerfile", "x.yml"]
        {
            let path = project.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let want = "set `compose-file: docker/docker-compose.yml` or `file: docker/web/Dockerfile`";
        assert_eq!(hint(project.path()).as_deref(), Some(want));
    }
}
