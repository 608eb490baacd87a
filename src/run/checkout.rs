//! Checks of the workspace: whether it contains a checkout, and whether that is the event's commit.

use std::{fs, path::Path};

use super::job::JobContext;
use crate::{
    domain::{failure::Failure, stage::Stage},
    regular_file,
};

/// Maximum size in bytes of the file of one reference.
const LARGEST_REF: u64 = 64 << 10;
/// Maximum size in bytes of the file of all references; half a million take some 40 MB.
const LARGEST_PACKED_REFS: u64 = 64 << 20;

/// Returns an error if the checkout step is missing, the most common mistake; no other message would say so.
pub(super) fn is_there(context: &JobContext) -> Result<(), Failure> {
    let wrong = |headline: String, hint: &str| Err(Failure::invalid(Stage::Plan, headline, Some(hint.to_owned())));
    match fs::read_dir(&context.workspace).map(|mut entries| entries.next().is_none()) {
        Ok(false) if context.project.is_dir() => Ok(()),
        Ok(false) => wrong(
            format!("the working directory {} does not exist", context.project.display()),
            "check the input `working-directory`; it is relative to the repository",
        ),
        Ok(true) => wrong("the workspace is empty".to_owned(), "put `uses: actions/checkout@v5` before this step"),
        Err(error) => wrong(
            format!("failed to read the workspace {}: {error}", context.workspace.display()),
            "put `uses: actions/checkout@v5` before this step",
        ),
    }
}

/// Warns when the checkout is not the event's commit, whose tags the images would get: the events `workflow_run`,
/// `issue_comment` and `workflow_dispatch` may refer to the default branch while another commit is built.
pub(super) fn differs(context: &JobContext) -> Option<String> {
    let event = &context.event;
    let head = head(&context.workspace.join(".git"))?;
    let known = [&event.sha, &event.workflow_sha];
    if event.sha.is_empty() || known.contains(&&head) {
        return None;
    }
    let short = |sha: &str| sha.get(..7).unwrap_or(sha).to_owned();
    Some(format!(
        "commit {} is checked out, but the event is about {}, and tags and labels describe that one; to build another \
         commit on purpose, give it its own tags (input `tags`)",
        short(&head),
        short(&event.sha),
    ))
}

/// Returns the commit that a repository has checked out, if one of the usual files contains it
/// (<https://git-scm.com/docs/gitrepository-layout>).
fn head(git: &Path) -> Option<String> {
    let head = regular_file::read_text(&git.join("HEAD"), LARGEST_REF).ok()?;
    let commit = match head.trim().strip_prefix("ref: ") {
        // The checkout is untrusted; it must not refer to other files.
        Some(name) if !name.starts_with("refs/") || name.split('/').any(|part| part == "..") => return None,
        Some(name) => regular_file::read_text(&git.join(name), LARGEST_REF).ok().or_else(|| packed(git, name))?,
        None => head,
    };
    let commit = commit.trim();
    (commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| commit.to_owned())
}

fn packed(git: &Path, name: &str) -> Option<String> {
    let all = regular_file::read_text(&git.join("packed-refs"), LARGEST_PACKED_REFS).ok()?;
    all.lines().find_map(|line| line.strip_suffix(name)?.strip_suffix(' ').map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use std::fs;

    #[test]
    fn finds_the_commit_where_git_keeps_it() {
        let git = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(git.path().join(name), text).unwrap();
        let head = || super::head(git.path());
        let [a, b, c] = ["a", "b", "c"].map(|digit| digit.repeat(40));
        assert_eq!(head(), None);
        write("HEAD", &format!("{a}\n"));
        assert_eq!(head().as_ref(), Some(&a));
        write("HEAD", "ref: refs/heads/main\n");
        assert_eq!(head(), None, "a branch without commits");
        write(
            "packed-refs",
            &format!("# pack-refs with: peeled\n{a} refs/heads/x-refs/heads/main\n{b} refs/heads/main\n"),
        );
        assert_eq!(head().as_ref(), Some(&b));
        fs::create_dir_all(git.path().join("refs/heads")).unwrap();
        write("refs/heads/main", &format!("{c}\n"));
        assert_eq!(head().as_ref(), Some(&c));
        write("refs/heads/main", "no commit\n");
        assert_eq!(head(), None);
        for elsewhere in [git.path().join("other").to_str().unwrap(), "other", "refs/../other"] {
            write("other", &c);
            write("HEAD", &format!("ref: {elsewhere}\n"));
            assert_eq!(head(), None, "{elsewhere}");
        }
        fs::remove_file(git.path().join("HEAD")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", git.path().join("HEAD")).unwrap();
        assert_eq!(head(), None);
    }
}
