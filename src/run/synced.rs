//! Reads the files of the checkout that are copied to a server.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use crate::{
    boundary::{Boundary, NamedBy},
    deploy::compose::SyncedFile,
    domain::{failure::Failure, stage::Stage},
    regular_file,
};

/// Maximum size of one file in bytes, and maximum number of files. They are settings, not data.
const LARGEST: u64 = 1 << 20;
const MOST: usize = 200;

/// Reads files and the files in directories, relative to the project's directory.
///
/// # Errors
/// If a path does not exist, leaves the checkout, or is too large.
pub(super) fn files(paths: &[String], project: &Path, boundary: &Boundary) -> Result<Vec<SyncedFile>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        let path = path.trim_start_matches("./").trim_end_matches('/');
        add(path, project, boundary, &mut files).map_err(|problem| {
            let hint = "name files or directories of the checkout, relative to the working directory".to_owned();
            Failure::invalid(Stage::Plan, format!("input `deploy`, `sync`: `{path}`: {problem}"), Some(hint))
        })?;
    }
    Ok(files)
}

fn add(path: &str, project: &Path, boundary: &Boundary, files: &mut Vec<SyncedFile>) -> Result<(), String> {
    let full = project.join(path);
    // The author of the workflow names the path, but a link in it belongs to the checkout.
    boundary.check(&full, NamedBy::Checkout).map_err(|real| format!("{} is outside the checkout", real.display()))?;
    if full.is_dir() {
        let entries = fs::read_dir(&full).map_err(|error| error.to_string())?;
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        return names.iter().try_for_each(|name| add(&format!("{path}/{name}"), project, boundary, files));
    }
    if files.len() >= MOST {
        return Err(format!("more than {MOST} files"));
    }
    let content = regular_file::read(&full, LARGEST).map_err(|error| error.to_string())?;
    let mode = fs::metadata(&full).map_err(|error| error.to_string())?.permissions().mode();
    files.push(SyncedFile::new(path, content, mode & 0o100 != 0).map_err(|error| error.problem.to_owned())?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::files;
    use crate::boundary::Boundary;

    #[test]
    fn files_and_directories_of_the_checkout_are_read() {
        let base = tempfile::tempdir().unwrap();
        let project = base.path().join("project");
        fs::create_dir_all(project.join("conf/sites")).unwrap();
        fs::write(project.join("compose.yml"), "a").unwrap();
        fs::write(project.join("conf/sites/x.conf"), "b").unwrap();
        fs::write(base.path().join("secret"), "s").unwrap();
        symlink("../secret", project.join("link")).unwrap();
        let boundary = Boundary::new(&project, []);
        let read = |paths: &[&str]| {
            let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
            files(&paths, &project, &boundary)
                .map(|files| files.iter().map(|file| file.path().to_owned()).collect::<Vec<_>>())
                .map_err(|failure| failure.headline)
        };
        assert_eq!(read(&["./compose.yml", "conf/"]).unwrap(), ["compose.yml", "conf/sites/x.conf"]);
        assert!(read(&["link"]).unwrap_err().contains("is outside the checkout"));
        assert!(read(&["../secret"]).is_err());
        assert!(read(&["nothing"]).unwrap_err().starts_with("input `deploy`, `sync`: `nothing`: "));
    }
}
