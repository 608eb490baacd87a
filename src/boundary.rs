//! The boundary of the checkout: which files the checkout's own files may name. Everything beside it belongs to the
//! runner or to other steps, and a pull request could otherwise put it into an image.
//!
//! The measure is `docker buildx bake`, which evaluates symbolic links and asks for `--allow fs.read=PATH`
//! (<https://github.com/docker/buildx/blob/master/bake/entitlements.go>); its boundary is the working directory.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// Directories of the kernel, which are never files of a project: `/proc/self/environ` holds every secret of the run.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Where a path comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// A file of the checkout, or a convention such as `.env`.
    Checkout,
    /// An input. A path outside the checkout is the workflow author's wish; one inside is followed no further than the
    /// checkout, since a symbolic link there is the checkout's.
    Input,
}

/// What the checkout's files may read.
#[derive(Clone, Debug, Default)]
pub struct Boundary {
    /// The checkout as it is named, and without symbolic links.
    roots: [PathBuf; 2],
    /// The runner's own directories and files, without symbolic links.
    private: Vec<PathBuf>,
    /// What the input `allow` grants, without symbolic links.
    granted: Vec<PathBuf>,
    /// Whether it grants everything.
    everything: bool,
}

impl Boundary {
    /// The boundary of a checkout. `private` are the runner's own paths, wherever they are.
    pub fn new(checkout: &Path, private: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            roots: [lexical(checkout), real(checkout)],
            private: private.into_iter().map(|path| real(&path)).collect(),
            granted: Vec::new(),
            everything: false,
        }
    }

    /// Grants a path, absolute, and all below it; `*` grants everything.
    pub fn grant(&mut self, path: &Path) {
        if path.as_os_str() == "*" {
            self.everything = true;
        } else {
            self.granted.push(real(path));
        }
    }

    /// Grants a directory that an input names, if it is outside the checkout.
    pub fn grant_named(&mut self, path: &Path) {
        if !self.is_in_checkout(&lexical(path)) {
            self.granted.push(real(path));
        }
    }

    /// The real path of an absolute one, if it may be read.
    ///
    /// # Errors
    /// The real path, if it may not.
    pub fn check(&self, path: &Path, named_by: NamedBy) -> Result<PathBuf, PathBuf> {
        let named_outside = named_by == NamedBy::Input && !self.is_in_checkout(&lexical(path));
        let real = real(path);
        let inside = self.is_in_checkout(&real) && !self.is_private(&real);
        let granted = self.everything || self.granted.iter().any(|granted| real.starts_with(granted));
        if inside || named_outside || (granted && !Self::is_kernels(&real)) { Ok(real) } else { Err(real) }
    }

    /// Whether a real path is one of the kernel's, which can never be granted.
    pub fn is_kernels(real: &Path) -> bool {
        KERNEL.iter().any(|directory| real.starts_with(directory))
    }

    fn is_in_checkout(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| path.starts_with(root))
    }

    /// Whether it is one of the runner's own paths, or a directory that one of them lies in: then a build would get it.
    fn is_private(&self, path: &Path) -> bool {
        self.private.iter().any(|private| path.starts_with(private) || private.starts_with(path))
    }
}

/// The path without `.` and `..`, as text.
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

/// The path without symbolic links, as far as it exists; what does not exist is appended as text.
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

    /// A checkout with links of every kind beside a directory of the runner's.
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
    fn what_is_in_the_checkout_is_read_however_it_is_written() {
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
    fn what_leads_out_of_it_is_not() {
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
    fn the_runners_own_paths_are_not_even_below_the_checkout() {
        let (_world, checkout, _) = world();
        let temp = checkout.join("web/src");
        let boundary = Boundary::new(&checkout, [temp.clone()]);
        for path in ["web/src", "web/src/x", "inside/src", "web", "."] {
            assert!(boundary.check(&checkout.join(path), NamedBy::Checkout).is_err(), "{path}");
        }
        assert!(boundary.check(&checkout.join("web/Dockerfile"), NamedBy::Checkout).is_ok());
    }

    #[test]
    fn what_is_granted_is_read_and_nothing_beside_it() {
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
