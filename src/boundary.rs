//! The boundary of the checkout: decides which files the checkout's own files may refer to. Other files belong to the runner
//! or to other steps, and a pull request must not be able to copy them into an image.
//!
//! The rules are those of `docker buildx bake`, which resolves symbolic links and requires `--allow fs.read=PATH`
//! (<https://github.com/docker/buildx/blob/master/bake/entitlements.go>); its boundary is the working directory.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// Directories of the kernel, which never belong to a project: `/proc/self/environ` contains all secrets of the run.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// The origin of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// A file of the checkout, or a convention such as `.env`.
    Checkout,
    /// An input. A path outside the checkout is allowed, since the workflow's author chose it. A path inside must not
    /// lead outside through symbolic links, because the checkout contains these links.
    Input,
}

/// The paths that the checkout's files may refer to.
#[derive(Clone, Debug, Default)]
pub struct Boundary {
    /// The path of the checkout, as given and without symbolic links.
    roots: [PathBuf; 2],
    /// The runner's own directories and files, without symbolic links.
    private: Vec<PathBuf>,
    /// The paths granted by the input `allow`, without symbolic links.
    granted: Vec<PathBuf>,
    /// Whether `allow` grants access to all paths.
    everything: bool,
}

impl Boundary {
    /// Creates the boundary of a checkout. `private` are the runner's own paths, including any within the checkout.
    pub fn new(checkout: &Path, private: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            roots: [lexical(checkout), real(checkout)],
            private: private.into_iter().map(|path| real(&path)).collect(),
            granted: Vec::new(),
            everything: false,
        }
    }

    /// Grants access to an absolute path and its contents; `*` grants access to all paths.
    pub fn grant(&mut self, path: &Path) {
        if path.as_os_str() == "*" {
            self.everything = true;
        } else {
            self.granted.push(real(path));
        }
    }

    /// Grants access to a directory that an input names, unless it is in the checkout.
    pub fn grant_named(&mut self, path: &Path) {
        if !self.is_in_checkout(&lexical(path)) {
            self.granted.push(real(path));
        }
    }

    /// Resolves an absolute path and checks that it may be read.
    ///
    /// # Errors
    /// Returns the resolved path if it may not be read.
    pub fn check(&self, path: &Path, named_by: NamedBy) -> Result<PathBuf, PathBuf> {
        let named_outside = named_by == NamedBy::Input && !self.is_in_checkout(&lexical(path));
        let real = real(path);
        let inside = self.is_in_checkout(&real) && !self.is_private(&real);
        let granted = self.everything || self.granted.iter().any(|granted| real.starts_with(granted));
        if inside || named_outside || (granted && !Self::is_kernels(&real)) { Ok(real) } else { Err(real) }
    }

    /// Whether a resolved path belongs to the kernel; access to such a path cannot be granted.
    pub fn is_kernels(real: &Path) -> bool {
        KERNEL.iter().any(|directory| real.starts_with(directory))
    }

    fn is_in_checkout(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| path.starts_with(root))
    }

    /// Whether it is one of the runner's own paths or contains one of them.
    fn is_private(&self, path: &Path) -> bool {
        self.private.iter().any(|private| path.starts_with(private) || private.starts_with(path))
    }
}

/// Removes `.` and `..` without reading the file system.
fn lexical(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            component => out.push(component),
        }
    }
    out
}

/// Resolves symbolic links in the existing part of the path.
fn real(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    let mut rest = path;
    loop {
        if let Ok(found) = fs::canonicalize(rest) {
            return lexical(&missing.iter().rev().fold(found, |path, part| path.join(part)));
        }
        let last = rest.components().next_back();
        match (rest.parent(), last) {
            (Some(parent), Some(last)) => {
                missing.push(last.as_os_str().to_owned());
                rest = parent;
            }
            _ => return lexical(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::symlink,
        path::{Path, PathBuf},
    };

    use tempfile::TempDir;

    use super::{Boundary, NamedBy};

    /// Returns a checkout with all kinds of links, next to a directory of the runner.
    fn world() -> (TempDir, PathBuf, PathBuf) {
        let world = tempfile::tempdir().unwrap();
        let base = world.path().canonicalize().unwrap();
        let (checkout, runner) = (base.join("checkout"), base.join("runner"));
        fs::create_dir_all(checkout.join("web/src")).unwrap();
        fs::create_dir_all(runner.join("temp")).unwrap();
        fs::write(runner.join("temp/key"), "secret").unwrap();
        fs::write(checkout.join("web/Dockerfile"), "FROM scratch\n").unwrap();
        symlink("web", checkout.join("inside")).unwrap();
        symlink("../runner", checkout.join("outside")).unwrap();
        symlink("/proc/self/environ", checkout.join("environ")).unwrap();
        symlink("outside", checkout.join("twice")).unwrap();
        symlink("/nowhere/at/all", checkout.join("dangling")).unwrap();
        (world, checkout, runner)
    }

    #[test]
    fn reads_paths_in_the_checkout_in_any_form() {
        let (_world, checkout, _) = world();
        let boundary = Boundary::new(&checkout, []);
        for inside in
            ["", ".", "web", "web/..", "web/../web/Dockerfile", "inside/Dockerfile", "not/there/yet", "web/src/../.."]
        {
            assert!(boundary.check(&checkout.join(inside), NamedBy::Checkout).is_ok(), "{inside}");
        }
        assert_eq!(
            boundary.check(&checkout.join("inside/Dockerfile"), NamedBy::Checkout),
            Ok(checkout.join("web/Dockerfile"))
        );
    }

    #[test]
    fn rejects_paths_outside_the_checkout() {
        let (_world, checkout, runner) = world();
        let boundary = Boundary::new(&checkout, []);
        for outside in [
            "..",
            "../runner",
            "../checkout-2",
            "/",
            "/proc/self/environ",
            "/dev/zero",
            "outside",
            "outside/temp/key",
            "twice/temp",
            "environ",
            "inside/../../runner/temp/key",
            "not/there/../../../runner",
            "outside/not/there",
        ] {
            for named_by in [NamedBy::Checkout, NamedBy::Input] {
                let checked = boundary.check(&checkout.join(outside), named_by);
                let by_link = !outside.starts_with("..") && !outside.starts_with('/') && !outside.contains("../../");
                let trusted = named_by == NamedBy::Input && !by_link;
                assert_eq!(checked.is_ok(), trusted, "{outside}, {named_by:?}: {checked:?}");
            }
        }
        assert_eq!(boundary.check(&checkout.join("twice/temp/key"), NamedBy::Checkout), Err(runner.join("temp/key")));
    }

    #[test]
    fn rejects_the_runners_paths_within_the_checkout() {
        let (_world, checkout, _) = world();
        let temp = checkout.join("web/src");
        let boundary = Boundary::new(&checkout, [temp.clone()]);
        for path in ["web/src", "web/src/x", "inside/src", "web", "."] {
            assert!(boundary.check(&checkout.join(path), NamedBy::Checkout).is_err(), "{path}");
        }
        assert!(boundary.check(&checkout.join("web/Dockerfile"), NamedBy::Checkout).is_ok());
    }

    #[test]
    fn reads_granted_paths_only() {
        let (_world, checkout, runner) = world();
        let mut boundary = Boundary::new(&checkout, []);
        boundary.grant(&checkout.join("outside/temp"));
        for (path, fine) in [
            ("outside/temp/key", true),
            ("../runner/temp", true),
            ("../runner", false),
            ("../runner/temporary", false),
            ("/etc/passwd", false),
        ] {
            assert_eq!(boundary.check(&checkout.join(path), NamedBy::Checkout).is_ok(), fine, "{path}");
        }
        boundary.grant(Path::new("*"));
        assert!(boundary.check(&runner, NamedBy::Checkout).is_ok());
        for kernels in ["/proc/self/environ", "environ", "/dev/zero", "/sys"] {
            assert!(boundary.check(&checkout.join(kernels), NamedBy::Checkout).is_err(), "{kernels}");
        }
    }
}
