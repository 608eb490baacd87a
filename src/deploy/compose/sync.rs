//! The files of a release: staged on the server, then put in place, and put back with a rollback. They are those of the
//! checkout, or those of an earlier release, which the server has kept.
//!
//! What the project will be must be known before anything is put in place. A view of the directory serves for that: a
//! directory of links in which the new files replace the old ones.

use super::{
    ComposeTarget, archive,
    commands::{DIRECTORY, LIST, PLACE, PUT_BACK, STAGE, script},
    operate::{archive_file, list_file},
    settings::SyncedFile,
};
use crate::{deploy::target::TargetError, ssh::Command};

/// The view of a project with the files of the release.
pub(super) struct View {
    /// The directory.
    pub(super) directory: String,
    /// The directory to remove after its use; empty if there is none.
    pub(super) remove: String,
    /// Whether any file differs from the one in the project's directory.
    pub(super) differs: bool,
}

/// The files of an earlier release.
#[derive(Debug)]
pub(super) struct Again {
    /// The archive that contains them, in the directory of deployments.
    archive: String,
    names: Vec<String>,
}

impl ComposeTarget {
    /// Brings the files to the server, without putting them in place. The project's directory itself if there are none.
    pub(super) async fn view(&self) -> Result<View, TargetError> {
        let (path, files) = (self.settings.path.trim_end_matches('/'), self.file_names());
        if files.is_empty() {
            return Ok(View { directory: path.to_owned(), remove: String::new(), differs: false });
        }
        // Compose names a project after its directory.
        let base = path.rsplit('/').next().unwrap_or_default();
        let stage = self.stage();
        let (archive, input) = match self.again.get() {
            Some(again) => (again.archive.as_str(), Vec::new()),
            None => ("-", archive::pack(&self.settings.sync)),
        };
        let command = Command::new(script(STAGE, [path, &stage, base, archive].into_iter().chain(files))).input(input);
        let printed = self.remote.run("copy files", &command).await?;
        let remove = format!("{path}/{DIRECTORY}/{stage}");
        let directory = format!("{remove}/view/{base}");
        Ok(View { directory, remove, differs: printed.lines().any(|line| line == "differs") })
    }

    /// The paths of the files.
    pub(super) fn file_names(&self) -> Vec<&str> {
        match self.again.get() {
            Some(again) => again.names.iter().map(String::as_str).collect(),
            None => self.settings.sync.iter().map(SyncedFile::path).collect(),
        }
    }

    /// Makes the files of an earlier release those of this deployment, if it had any.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn take_files_of(&self, release: &str) -> Result<(), TargetError> {
        let command = Command::new(script(LIST, [self.settings.path.as_str(), &list_file(release)]));
        let names: Vec<String> = self.remote.run("cat", &command).await?.lines().map(String::from).collect();
        if !names.is_empty() {
            let _ = self.again.set(Again { archive: archive_file(release), names });
            // The project is another one with these files.
            *self.seen.lock().await = None;
        }
        Ok(())
    }

    /// Puts the files in place. The former ones are saved first, unless an unfinished deployment has saved some already.
    pub(super) async fn place_files(&self, release: &str) -> Result<(), TargetError> {
        let files = self.file_names();
        if files.is_empty() {
            return Ok(());
        }
        let View { remove, .. } = self.view().await?;
        let (stage, archive) = (self.stage(), archive_file(release));
        let arguments = [self.settings.path.as_str(), &stage, &archive].into_iter().chain(files);
        self.remote.run("copy files", &Command::new(script(PLACE, arguments))).await?;
        self.remote.run("rm", &Command::new(["rm", "-rf", &remove])).await.map(drop)
    }

    /// The directory of the staged files. Not shared with another deployment, which may remove its own at any time.
    fn stage(&self) -> String {
        format!("stage-{:08x}", self.nonce)
    }

    /// Puts the former files back, if any were saved.
    pub(super) async fn put_files_back(&self) -> Result<(), TargetError> {
        let command = Command::new(script(PUT_BACK, [self.settings.path.as_str()]));
        self.remote.run("put files back", &command).await.map(drop)
    }
}
